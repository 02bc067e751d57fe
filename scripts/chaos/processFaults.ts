/**
 * What happens to the instances themselves: killed, standing still, their clock moved, replaced by a newer version.
 *
 * One that stands still for longer than a lease or a claim lasts goes on afterwards as if nothing had been: that is what
 * fences are for.
 */
import { Effect, Schedule } from "effect"
import type { SqlClient } from "effect/sql"
import type { SeededRandom } from "../simulators/SeededRandom.ts"
import { type ChaosShape, type ChaosWorld, type FaultKind, numbered, numberIn, othersThan } from "./ChaosFault.ts"
import type { ChaosInstance } from "./ChaosInstance.ts"

const each = ({ instances }: ChaosShape) => numbered("instance", instances)
const sparesLookups: FaultKind["spares"] = (target, { instances }) => ({
  lookupsAt: othersThan(numberIn(target), instances)
})
const sparesOthers: FaultKind["spares"] = (target, { councils, instances }) => ({
  lookupsAt: othersThan(numberIn(target), instances),
  councils: othersThan(0, councils)
})

const to =
  (act: (instance: ChaosInstance, millis: number, random: SeededRandom) => Effect.Effect<unknown>) =>
  ({ instances }: ChaosWorld, target: string, millis: number, random: SeededRandom) => {
    const number = numberIn(target)
    const those = instances.filter((instance) => number === undefined || instance.number === number)
    return Effect.forEach(those, (instance) => act(instance, millis, random), {
      discard: true,
      concurrency: "unbounded"
    }).pipe(Effect.as(undefined))
  }

const hour = 3_600_000
/** Leases are extended every 4 s. */
const heartbeats = "6 seconds"
const clockOff = (by: number) =>
  to((instance, millis) =>
    Effect.ensuring(Effect.andThen(instance.setClockOff(by), Effect.sleep(millis)), instance.setClockOff(0))
  )

interface HeldLease {
  readonly task: number
  readonly fence: number
  readonly until: number
}

/** While one instance stands still: until another one has settled a task of which it holds the lease; how many it held. */
const untilOvertaken = (sql: SqlClient.SqlClient) =>
  Effect.gen(function* () {
    const leases = sql<HeldLease>`
      SELECT task_id::float8 AS task, fence::float8 AS fence, extract(epoch FROM lease_until)::float8 AS until
      FROM hilltop_fetch_leases`
    const before = yield* leases
    yield* Effect.sleep(heartbeats)
    // What the other one holds is settled meanwhile, or its lease was extended.
    const same = new Set((yield* leases).map(({ fence, until }) => `${fence} ${until}`))
    const held = before.filter(({ fence, until }) => same.has(`${fence} ${until}`))
    if (held.length === 0) return 0
    // By a run that was claimed after the lease of this one had ended.
    const settled = sql<{ n: number }>`
      SELECT count(*)::int4 AS n FROM unnest(${held.map(({ task }) => String(task))}::int8[],
        ${held.map(({ until }) => String(until))}::float8[]) AS held (task, until)
      WHERE EXISTS (SELECT FROM settle_log s WHERE s.task = held.task AND s.fetched_after >= to_timestamp(held.until))`
    yield* settled.pipe(
      Effect.repeat({ until: ([row]) => (row?.n ?? 0) > 0, schedule: Schedule.spaced("200 millis") }),
      Effect.timeoutOption("60 seconds")
    )
    return held.length
  }).pipe(Effect.catchCause(() => Effect.succeed(0)))

export const processFaults = {
  kill: {
    text: "killed (SIGKILL), and started again",
    room: "process",
    targets: (shape) => [...each(shape), "instances"],
    longest: 3_000,
    inflict: to((instance, millis) => instance.killFor(millis))
  },
  pause: {
    text: "standing still (SIGSTOP)",
    room: "process",
    targets: each,
    shortest: 1_000,
    // Longer than a lease and a claim last.
    longest: 22_000,
    inflict: to((instance, millis) => instance.pauseWhile(Effect.sleep(millis))),
    // It may hold all places at a server until its leases end.
    spares: sparesLookups
  },
  overtaken: {
    text: "standing still (SIGSTOP) until another one has done its tasks",
    room: "process",
    targets: (shape) => (shape.instances === 2 ? each(shape) : []),
    inflict: ({ instances, sql }, target) => {
      const instance = instances[(numberIn(target) ?? 1) - 1]
      if (instance === undefined) return Effect.succeed(undefined)
      const pause = instance.pauseWhile(untilOvertaken(sql))
      return Effect.repeat(pause, {
        until: (tasks) => tasks > 0,
        times: 5,
        schedule: Schedule.spaced("500 millis")
      }).pipe(Effect.map((tasks) => `${tasks} tasks`))
    },
    // It may hold all places at a server until its leases end.
    spares: sparesLookups
  },
  "clock-ahead": {
    text: "its clock an hour ahead",
    room: "process",
    targets: each,
    shortest: 2_000,
    inflict: clockOff(hour),
    spares: sparesOthers
  },
  "clock-behind": {
    text: "its clock an hour behind",
    room: "process",
    targets: each,
    shortest: 2_000,
    inflict: clockOff(-hour),
    spares: sparesOthers
  },
  deploy: {
    text: "a newer version with a migration, one after the other",
    room: "process",
    targets: () => ["instances"],
    inflict: ({ instances }) =>
      Effect.as(
        Effect.forEach(instances, ({ deploy }) => deploy, { discard: true }),
        undefined
      )
  }
} as const satisfies Readonly<Record<string, FaultKind>>
