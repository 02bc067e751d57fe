/**
 * An instance stands still in the middle of what it does until others have done it anew, and goes on as if nothing had been.
 *
 * What it does is under way for certain: the sources are slow for a moment, and then its database stands still for another. So
 * some of its fetches are on their way when it stops, and have run out of time when it goes on; of others it has the answers
 * in hand, and finds what it asked of the database done.
 */
import { Effect, Schedule } from "effect"
import type { SqlClient } from "effect/sql"
import type { ChaosWorld, FaultKind } from "./ChaosFault.ts"
import { numbered, numberIn, othersThan } from "./ChaosFault.ts"
import type { ChaosInstance } from "./ChaosInstance.ts"
import { sharedRoles } from "./chaosRoles.ts"
import { usualAdapter } from "./sourceFaults.ts"

/** How long a source takes for an answer meanwhile, in milliseconds. */
const slowly = 1_000
/** Of two servers each of which may be asked three things at a time, most: some are the instance's. */
const enoughLeases = 4
/** Longer than it takes to claim anew what had just been claimed, and than any wait for it makes sense. */
const [leastBusy, mostBusy] = ["1500 millis", "10 seconds"] as const
/**
 * By then some of its fetches have brought what waits for the database, and others go on. For longer there would be no free
 * connection, and what waits for one fails as soon as the instance goes on: it would give back what it holds.
 */
const untilAnswered = "400 millis"
/** Leases are extended every 4 s, and a claim of the others is over. */
const heartbeats = "6 seconds"
const patience = "60 seconds"
/** What it does when it goes on is what all this is about: another fault at once would keep it from that. */
const goingOn = "3 seconds"
const mostTries = 5

/** A task or a copy that an instance has taken; `mark` changes when it, or another one, gets on with it. */
interface Held {
  readonly id: number
  readonly mark: string
  /** Of a task the end of its lease, of a copy its version. */
  readonly since: number
}

const leases = (sql: SqlClient.SqlClient) => sql<Held>`
  SELECT task_id::float8 AS id, concat(fence, ' ', lease_until) AS mark, extract(epoch FROM lease_until)::float8 AS since
  FROM hilltop_fetch_leases`
/** Those that were settled by a run that was claimed after the lease had ended. */
const settledAnew = (sql: SqlClient.SqlClient, held: ReadonlyArray<Held>) => sql<{ n: number }>`
  SELECT count(*)::int4 AS n
  FROM unnest(${held.map(({ id }) => String(id))}::int8[], ${held.map(({ since }) => String(since))}::float8[]) AS held (id, since)
  WHERE EXISTS (SELECT FROM settle_log s WHERE s.task = held.id AND s.fetched_after >= to_timestamp(held.since))`

const claims = (sql: SqlClient.SqlClient) => sql<Held>`
  SELECT accounting_point_id::float8 AS id, concat(version, ' ', last_sync_start) AS mark, version::float8 AS since
  FROM flex.accounting_point_sync WHERE last_sync_start IS NOT NULL`
/** Those that were written by somebody. */
const writtenAnew = (sql: SqlClient.SqlClient, held: ReadonlyArray<Held>) => sql<{ n: number }>`
  SELECT count(*)::int4 AS n
  FROM unnest(${held.map(({ id }) => String(id))}::int8[], ${held.map(({ since }) => String(since))}::float8[]) AS held (id, since)
  JOIN flex.accounting_point_sync s ON s.accounting_point_id = held.id AND s.version > held.since`

/** As an operator would, so that there is something to be under way. */
const makeDue = (sql: SqlClient.SqlClient) => sql`
  UPDATE hilltop_fetch_tasks SET next_fetch_at = now() WHERE id IN (
    SELECT id FROM hilltop_fetch_tasks t WHERE set_aside_at IS NULL AND next_fetch_at > now()
      AND NOT EXISTS (SELECT FROM hilltop_fetch_leases l WHERE l.task_id = t.id)
    ORDER BY random() LIMIT 40 FOR UPDATE SKIP LOCKED)`

const untilBusy = (sql: SqlClient.SqlClient) =>
  Effect.all([leases(sql), claims(sql)]).pipe(
    Effect.repeat({
      until: ([tasks, copies]) => tasks.length >= enoughLeases && copies.length > 0,
      schedule: Schedule.spaced("50 millis")
    }),
    Effect.timeoutOption(mostBusy),
    Effect.ignore
  )

/** While one instance stands still: what it holds is what nobody gets on with; until others have done it, how much there was. */
const untilOvertaken = (sql: SqlClient.SqlClient) =>
  Effect.gen(function* () {
    const both = Effect.all([leases(sql), claims(sql)])
    const before = yield* both
    yield* Effect.sleep(heartbeats)
    const after = yield* both
    const [tasks, copies] = [unmoved(before[0], after[0]), unmoved(before[1], after[1])]
    const done = Effect.all({ settled: counted(settledAnew(sql, tasks)), written: counted(writtenAnew(sql, copies)) })
    yield* done.pipe(
      Effect.repeat({
        until: ({ settled, written }) => settled === tasks.length && written === copies.length,
        schedule: Schedule.spaced("200 millis")
      }),
      Effect.timeoutOption(patience)
    )
    return yield* done
  }).pipe(Effect.catchCause(() => Effect.succeed({ settled: 0, written: 0 })))

const unmoved = (before: ReadonlyArray<Held>, after: ReadonlyArray<Held>): ReadonlyArray<Held> => {
  const marks = new Set(after.map(({ mark }) => mark))
  return before.filter(({ mark }) => marks.has(mark))
}

const counted = <E, R>(rows: Effect.Effect<ReadonlyArray<{ readonly n: number }>, E, R>) =>
  Effect.map(rows, ([row]) => row?.n ?? 0)

const overtake = ({ adapter, hilltop, network, sql }: ChaosWorld, instance: ChaosInstance) => {
  const links = network.links(`database ${instance.number}`)
  const each = (what: "freezeAll" | "thawAll") => Effect.sync(() => links.forEach((link) => link[what]()))
  const usual = Effect.andThen(adapter.faults.set(usualAdapter), Effect.orDie(hilltop.faults.set([])))
  return Effect.gen(function* () {
    yield* adapter.faults.set({ ...usualAdapter, latency: slowly })
    yield* Effect.orDie(hilltop.faults.set([{ fault: "delay", milliseconds: slowly }]))
    yield* Effect.ignore(makeDue(sql))
    yield* Effect.sleep(leastBusy)
    yield* untilBusy(sql)
    yield* each("freezeAll")
    yield* Effect.sleep(untilAnswered)
    yield* usual
    const overtaken = yield* instance.pauseWhile(Effect.andThen(each("thawAll"), untilOvertaken(sql)))
    yield* Effect.sleep(goingOn)
    return overtaken
  }).pipe(Effect.ensuring(Effect.andThen(each("thawAll"), usual)))
}

export const overtakenFault: FaultKind = {
  text: "standing still (SIGSTOP) in the middle of its work until others have done it",
  room: "process",
  targets: ({ instances }) =>
    numbered("instance", instances).filter((_, i) => sharedRoles(i + 1, instances).length > 0),
  inflict: (world, target) => {
    const number = numberIn(target) ?? 1
    const instance = world.instances[number - 1]
    if (instance === undefined) return Effect.succeed(undefined)
    const shared = sharedRoles(number, world.instances.length)
    return Effect.repeat(overtake(world, instance), {
      until: ({ settled, written }) =>
        (settled > 0 || !shared.includes("crawl")) && (written > 0 || !shared.includes("sync")),
      times: mostTries,
      schedule: Schedule.spaced("500 millis")
    }).pipe(Effect.map(({ settled, written }) => `${settled} tasks, ${written} copies`))
  },
  // It may hold all places at a server until its leases end.
  spares: (target, { instances }) => ({ lookupsAt: othersThan(numberIn(target), instances) })
}
