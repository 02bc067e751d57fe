/**
 * What is told of partitions that stand still: a metric by reason, and words for health. The log has each of them, from whoever reads.
 */
import { Effect } from "effect"
import { gauge } from "../running/Instrument.ts"
import type { Standstill, StandstillReason } from "./TopicReader.ts"

const words: Readonly<Record<StandstillReason, string>> = {
  open_transaction: "a transaction is open for long",
  unreadable: "records cannot be read",
  not_sent: "the broker does not send what is there",
  not_kept: "a batch cannot be kept"
}
const reasons = Object.keys(words) as ReadonlyArray<StandstillReason>

const standing = gauge("penstock.stream.standing_still", {
  unit: "{partition}",
  description: "partitions that a group is not served, by reason; each is read by one process",
  labels: ["topic", "group", "reason"]
})

/** All reasons, also those that no partition has. */
export const showStill = (topic: string, group: string, still: ReadonlyArray<Standstill>) =>
  Effect.forEach(
    reasons,
    (reason) => standing.set(still.filter((one) => one.reason === reason).length, { topic, group, reason }),
    { discard: true }
  )

/** Of at least one. */
export const standstillWords = (topic: string, still: ReadonlyArray<Standstill>): string => {
  const why = reasons.filter((reason) => still.some((one) => one.reason === reason)).map((reason) => words[reason])
  const which = still.length === 1 ? "a partition stands still" : `${still.length} partitions stand still`
  return `${which} in ${topic}: ${why.join("; ")}`
}
