/**
 * Metrics of the background sync: what was claimed, by which lane, what became of it, and how far the copy was behind an event.
 */
import { Clock, Effect } from "effect"
import { combinations, counter, delaySeconds, histogram } from "../running/Instrument.ts"
import type { Claim } from "./LockStore.ts"
import type { ClaimEnd } from "./runClaims.ts"

const claims = counter("penstock.sync.claims", {
  unit: "{claim}",
  description: "accounting points that were taken to be synced, by lane",
  labels: ["lane"]
})
const syncs = counter("penstock.syncs", {
  unit: "{sync}",
  description: "syncs of accounting points, by what became of them and the lane they came by",
  labels: ["outcome", "lane"]
})
const lag = histogram("penstock.event.lag", {
  unit: "s",
  description: "from the arrival of an event to the copy that covers it",
  boundaries: delaySeconds
})

export type Lane = "failing" | "event" | "never" | "longest"

export const laneOf = ({ failures, hasEvent, version }: Pick<Claim, "failures" | "hasEvent" | "version">): Lane =>
  failures > 0 ? "failing" : hasEvent ? "event" : version === 0 ? "never" : "longest"

const allLanes: ReadonlyArray<Lane> = ["event", "never", "longest", "failing"]
const ends: ReadonlyArray<ClaimEnd> = ["changed", "unchanged", "superseded", "failed", "released"]

/** Shown before there are any. */
export const showSyncs = Effect.all(
  [
    claims.show(...allLanes.map((lane) => ({ lane }))),
    syncs.show(...combinations(["outcome", ends], ["lane", allLanes])),
    lag.show({})
  ],
  { discard: true }
)

export const noteClaims = (taken: ReadonlyArray<Claim>) =>
  Effect.forEach(Map.groupBy(taken, laneOf), ([lane, list]) => claims.add(list.length, { lane }), { discard: true })

/** How one ended. By the store's clock: what has passed since the claim was made is added to it. */
export const noteSync = (claim: Claim, outcome: ClaimEnd): Effect.Effect<void> =>
  Effect.gen(function* () {
    yield* syncs.add(1, { outcome, lane: laneOf(claim) })
    const { eventCameAt, hasEvent } = claim
    if (!hasEvent || eventCameAt === undefined || (outcome !== "changed" && outcome !== "unchanged")) return
    const since = Number((yield* Clock.monotonicTimeNanos) - claim.receivedAt) / 1000
    yield* lag.record(Math.max(0, claim.startedAt + since - eventCameAt) / 1e6)
  })
