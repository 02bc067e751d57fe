/** `penstock disk`: what takes the room, how fast it grows, and what would be free if less were kept. */
import { Duration, Effect, Option, Schema } from "effect"
import { Command, Flag } from "effect/cli"
import { auditTrail, observations, readDiskUse } from "../../layers/postgres/diskUse.ts"
import { KnownTopicReadings } from "../../layers/api/KnownTopicReadings.ts"
import { Settings } from "../../layers/Settings.ts"
import { topicRules } from "../../layers/topics/EmbeddedTopicRetention.ts"
import { readBehind } from "../../layers/topics/readTopic.ts"
import { bytesText, freeAt } from "../doctor/checkMachine.ts"
import { Json } from "./globalFlags.ts"
import { type Cell, print, printJson, printTable } from "./output.ts"
import { embeddedDirectory, withDatabase } from "./withDatabase.ts"

const longest = Duration.days(365 * 1_000)
const flags = {
  olderThan: Flag.String("older-than").pipe(
    Flag.withDescription(
      "What would be free if topics, the audit trail and superseded observations were kept for so long; else by the settings"
    ),
    Flag.withMetavar("duration"),
    Flag.filterMap(
      (text) =>
        Option.filter(
          Schema.decodeOption(Schema.DurationFromString)(text),
          Duration.between({ minimum: Duration.zero, maximum: longest })
        ),
      () => 'a duration, such as "90 days"'
    ),
    Flag.optional
  )
}

/** How long each is kept, in seconds: topics by their names. */
const keptFor = Effect.fnUntraced(function* (olderThan: Duration.Duration | undefined) {
  const audit = olderThan ?? (yield* Settings.LOOKUP_AUDIT_RETENTION.config)
  const history = olderThan ?? (yield* Settings.OBSERVATION_HISTORY_RETENTION.config)
  const topics = (yield* topicRules).map(({ keep, topic }) => [topic, olderThan ?? keep] as const)
  const all = [...topics, [auditTrail, audit] as const, [observations, history] as const]
  return new Map(all.flatMap(([what, keep]) => (keep === undefined ? [] : [[what, Duration.toSeconds(keep)] as const])))
})

export const disk = Command.make("disk", flags, ({ olderThan }) =>
  withDatabase(
    Effect.gen(function* () {
      const kept = yield* keptFor(Option.getOrUndefined(olderThan))
      const { uses, whole } = yield* readDiskUse(kept)
      // How much is free on the disk of another machine, its server does not say.
      const room =
        (yield* Settings.DATABASE_URL.config) === undefined ? yield* freeAt(yield* embeddedDirectory) : undefined
      const grows = uses.reduce((sum, { bytesPerDay = 0 }) => sum + bytesPerDay, 0)
      const frees = kept.size === 0 ? undefined : uses.reduce((sum, { wouldFree = 0 }) => sum + wouldFree, 0)
      if (yield* Json) {
        return yield* printJson([
          ...uses.map(({ bytes, bytesPerDay, growsBy, what, wouldFree }) => ({
            what,
            bytes,
            bytes_per_day: bytesPerDay ?? null,
            grows_by: growsBy ?? null,
            would_free: wouldFree ?? null
          })),
          {
            what: "whole database",
            bytes: whole,
            bytes_per_day: grows,
            would_free: frees ?? null,
            free_bytes: room?.free ?? null
          }
        ])
      }
      const row = (
        what: string,
        bytes: number,
        perDay: number | undefined,
        by: string | undefined,
        free: number | undefined
      ): ReadonlyArray<Cell> => [
        what,
        bytesText(bytes),
        `${Math.round((100 * bytes) / Math.max(1, whole))} %`,
        perDay === undefined ? null : bytesText(perDay),
        by ?? null,
        free === undefined ? null : bytesText(free)
      ]
      yield* printTable(
        ["what", "size", "share", "grows by, a day", "known by", "would free"],
        [
          ...uses.map((use) => row(use.what, use.bytes, use.bytesPerDay, use.growsBy, use.wouldFree)),
          row("whole database", whole, grows, undefined, frees)
        ]
      )
      const limited = (yield* topicRules).filter(
        ({ compactAfter, keep }) => keep !== undefined || compactAfter !== undefined
      )
      for (const { group, records, topic } of yield* readBehind(limited.map((rule) => rule.topic))) {
        yield* print(`${topic} keeps ${records} records that ${group} has not read.`)
      }
      if (room === undefined) return
      const days = grows === 0 ? Infinity : room.free / grows
      const last = days > 3_650 ? "" : `: for ${Math.floor(days)} days at that pace`
      yield* print(`${bytesText(room.free)} of its disk are free${last}.`)
    }).pipe(Effect.provide(KnownTopicReadings))
  )
).pipe(
  Command.withDescription(
    "Show what takes the room, how fast it grows (by when its rows came, or since an earlier look), and what would be free if less were kept"
  ),
  Command.withExamples([
    { command: "penstock disk", description: "Before a disk is full" },
    { command: 'penstock disk --older-than "90 days"', description: "What retention would free" }
  ])
)
