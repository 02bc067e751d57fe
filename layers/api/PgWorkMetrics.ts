/**
 * What is due, of both flows and of the topics, as metrics: read when metrics are, by one statement beside that of health.
 *
 * Counts end at five thousand: beyond that the age of the oldest tells more, and the tables hold millions. Everything is found at the
 * head of an index that a claim uses; with all lanes full it is five thousand entries of each, some 1,000 buffers (half of 2,007 that
 * were measured at twice the bound), however many millions there are.
 */
import { Clock, Duration, Effect, Layer, Schema } from "effect"
import { SqlClient } from "effect/sql"
import { DueWork, type Waiting } from "../../src/api/DueWork.ts"
import { sumOf } from "../../src/api/Overview.ts"
import { gauge } from "../../src/running/Instrument.ts"
import { describe } from "../../src/running/describe.ts"
import { stuckByName } from "../../src/running/stuckLoops.ts"
import { observe } from "../../src/running/Observed.ts"
import { sayOnce } from "../../src/running/sayOnce.ts"
import { TopicReader } from "../../src/stream/TopicReader.ts"
import { openLanes } from "../crawl/claimStatement.ts"
import { secondsSince } from "../postgres/epochNumbers.ts"
import { mapSqlFailure } from "../postgres/sqlFailures.ts"
import { rowsAs } from "../postgres/statementArrays.ts"
import { Settings } from "../Settings.ts"
import { StoreUnavailable } from "../../src/domain/StoreUnavailable.ts"
import { readings } from "./readings.ts"
import { ageBars, pointAges } from "./tableSample.ts"

/** Counted so far and no further. */
const most = 5_000

const up = gauge("penstock.database.up", { unit: "{database}", description: "1 while the database answers, else 0" })
const due = gauge("penstock.work.due", {
  unit: "{item}",
  description: `what could be taken up now, by flow; at most ${most}`,
  labels: ["flow"]
})
const oldest = gauge("penstock.work.oldest.age", {
  unit: "s",
  description: "how long the oldest due work has waited, by flow and kind; 0 where nothing is due",
  labels: ["flow", "kind"]
})
const waiting = gauge("penstock.sync.waiting", {
  unit: "{accounting_point}",
  description: `accounting points in each lane of the sync; at most ${most}`,
  labels: ["lane"]
})
const points = gauge("penstock.sync.points", {
  unit: "{accounting_point}",
  description:
    "relevant accounting points by the time since their last sync, in shares of SYNC_WITHIN; an estimate where they are many",
  labels: ["age"]
})
const age = gauge("penstock.sync.oldest.age", {
  unit: "s",
  description: "age of the oldest in each lane of the sync: since its event, its last sync, or since its time came",
  labels: ["lane"]
})
const sources = gauge("penstock.crawl.sources", {
  unit: "{source}",
  description: "Hilltop sources by state: usable, paused, or with a problem",
  labels: ["state"]
})
const lag = gauge("penstock.topic.lag", {
  unit: "{record}",
  description: "records of a topic that a group has not read",
  labels: ["topic", "group"]
})
const recordAge = gauge("penstock.topic.oldest.age", {
  unit: "s",
  description: "how long the oldest record waits that a group has not read; 0 where it has read all",
  labels: ["topic", "group"]
})
const stuck = gauge("penstock.loop.stuck", {
  unit: "{loop}",
  description: "1 where a loop of this instance shows no sign of life or only fails, else 0",
  labels: ["loop"]
})

const kinds: Readonly<Record<Exclude<keyof Waiting, "uselessServers">, readonly [flow: string, kind: string]>> = {
  event: ["accounting_points", "event"],
  sync: ["accounting_points", "sync"],
  abandonedSync: ["accounting_points", "abandoned_sync"],
  request: ["hilltop", "request"],
  abandonedRequest: ["hilltop", "abandoned_request"],
  record: ["stream", "record"]
}

const lanes = {
  event: ["failures = 0 AND last_sync_start IS NULL AND last_event_at > synced_event_at", "last_event_at"],
  never: ["failures = 0 AND last_sync_start IS NULL AND last_synced_at IS NULL", "accounting_point_id"],
  longest: [
    "failures = 0 AND last_sync_start IS NULL AND last_synced_at IS NOT NULL AND last_synced_at < now() - make_interval(secs => $within)",
    "last_synced_at"
  ],
  failing: ["last_sync_start IS NULL AND failures > 0 AND next_attempt_at <= now()", "next_attempt_at"],
  running: ["last_sync_start IS NOT NULL", "last_sync_start"]
} as const
type LaneName = keyof typeof lanes
const laneNames = Object.keys(lanes) as ReadonlyArray<LaneName>

/** Classes of age, each up to a share of SYNC_WITHIN. */
const ageClasses = [
  ["quarter", ageBars / 4],
  ["half", ageBars / 2],
  ["three_quarters", (3 * ageBars) / 4],
  ["whole", ageBars],
  ["late", ageBars + 1]
] as const

const Row = Schema.Struct({
  hilltop: Schema.Int,
  usable: Schema.Int,
  paused: Schema.Int,
  problem: Schema.Int,
  lanes: Schema.Record(Schema.String, Schema.Struct({ waiting: Schema.Int, seconds: Schema.NullOr(Schema.Finite) }))
})
const asRow = rowsAs(Row)
const unavailable = mapSqlFailure((cause) => new StoreUnavailable({ cause }))

/** The first so many of each lane, by its index; how old the first is. */
const laneSql = (within: number) =>
  laneNames
    .map((name) => {
      const [where, order] = lanes[name]
      const first =
        order === "accounting_point_id" ? "NULL::timestamptz" : `min(${order}) FILTER (WHERE isfinite(${order}))`
      return `'${name}', (SELECT json_build_object('waiting', count(*), 'seconds', greatest(0, ${secondsSince(first)}))
        FROM (SELECT ${order} FROM flex.accounting_point_sync WHERE relevant AND ${where.replace("$within", String(within))}
          ORDER BY ${order} LIMIT ${most}) lane)`
    })
    .join(", ")

export const workStatement = (sql: SqlClient.SqlClient, within: Duration.Duration) => sql`
    SELECT (SELECT count(*)::int4 FROM (SELECT FROM ${openLanes(sql)}
        CROSS JOIN LATERAL (SELECT FROM hilltop_fetch_tasks t
          WHERE t.origin = lane.origin AND t.source_id = lane.source_id AND t.priority = kind.priority
            AND t.set_aside_at IS NULL AND t.next_fetch_at <= now() LIMIT ${most}::int4) due LIMIT ${most}::int4) first) AS hilltop,
      s.usable, s.paused, s.problem, json_build_object(${sql.literal(laneSql(Duration.toSeconds(within)))}) AS lanes
    FROM (SELECT count(*) FILTER (WHERE NOT paused AND problem IS NULL)::int4 AS usable, count(*) FILTER (WHERE paused)::int4 AS paused,
      count(*) FILTER (WHERE NOT paused AND problem IS NOT NULL)::int4 AS problem FROM hilltop_sources) s`

export const readWork = Effect.fnUntraced(function* (within: Duration.Duration) {
  const sql = yield* SqlClient.SqlClient
  const [row] = yield* asRow(workStatement(sql, within)).pipe(unavailable)
  return row ?? (yield* Effect.die(new Error("an aggregate gave no row")))
})

/** Kafka is asked over the network, so not at every look. */
const betweenLooksAtTopics = "10 seconds"

export const PgWorkMetrics = Layer.effectDiscard(
  Effect.gen(function* () {
    const dueWork = yield* DueWork
    const reader = yield* TopicReader
    const sql = yield* SqlClient.SqlClient
    const within = yield* Settings.SYNC_WITHIN.config
    const read = yield* readings

    const ages = Effect.flatMap(dueWork.waiting, (found) =>
      Effect.forEach(Object.entries(kinds), ([name, [flow, kind]]) =>
        oldest.set(found[name as keyof typeof kinds] ?? 0, { flow, kind })
      )
    )
    const sampled = pointAges(sql, Duration.toSeconds(within))
    const byAge = Effect.flatMap(sampled.pipe(unavailable), ({ ages, never }) =>
      points.setAll([
        ...ageClasses.map(([name, until], index) => {
          const from = ageClasses[index - 1]?.[1] ?? 0
          return [sumOf(ages.slice(from, until)).value, { age: name }] as const
        }),
        [never.value, { age: "never" }]
      ])
    )
    const counts = Effect.flatMap(Effect.provideService(readWork(within), SqlClient.SqlClient, sql), (row) =>
      Effect.gen(function* () {
        yield* due.set(row.hilltop, { flow: "hilltop" })
        yield* due.set(
          laneNames.reduce((sum, name) => sum + (name === "running" ? 0 : (row.lanes[name]?.waiting ?? 0)), 0),
          { flow: "accounting_points" }
        )
        for (const lane of laneNames) {
          yield* waiting.set(row.lanes[lane]?.waiting, { lane })
          if (lane !== "never") yield* age.set(row.lanes[lane]?.seconds ?? 0, { lane })
        }
        for (const state of ["usable", "paused", "problem"] as const) yield* sources.set(row[state], { state })
      })
    )
    const unknown = Effect.all(
      [
        due.setAll([]),
        oldest.setAll([]),
        waiting.setAll([]),
        age.setAll([]),
        points.setAll([]),
        sources.setAll([]),
        up.set(0)
      ],
      { discard: true }
    )
    yield* observe(
      Effect.andThen(Effect.all([ages, counts, byAge], { concurrency: 2, discard: true }), up.set(1)).pipe(
        // Of a database that hangs, what was known last is not known any more.
        Effect.timeout("1500 millis"),
        Effect.catchCause((cause) =>
          Effect.andThen(
            sayOnce("metrics", Effect.logWarning("metrics: what is due could not be read", describe(cause))),
            unknown
          )
        )
      )
    )

    const lookAtTopics = yield* Effect.cachedWithTTL(
      Effect.forEach(
        read,
        ({ group, topic }) =>
          reader.unread({ group, topic }).pipe(
            Effect.timeout("1500 millis"),
            Effect.map((unread) => ({ unread, labels: { group, topic } })),
            Effect.orElseSucceed(() => ({ unread: undefined, labels: { group, topic } }))
          ),
        { concurrency: "unbounded" }
      ),
      betweenLooksAtTopics
    )
    yield* observe(
      Effect.gen(function* () {
        const found = yield* lookAtTopics
        const now = yield* Clock.currentTimeMillis
        yield* lag.setAll(found.map(({ labels, unread }) => [unread?.records, labels] as const))
        yield* recordAge.setAll(
          found.map(({ labels, unread }) => {
            const at = unread?.oldestAt
            const seconds = at === undefined ? undefined : Math.max(0, now - at) / 1000
            return [unread?.records === 0 ? 0 : seconds, labels] as const
          })
        )
        const records = found.map(({ unread }) => unread?.records)
        yield* due.set(
          records.includes(undefined) ? undefined : records.reduce<number>((sum, one) => sum + (one ?? 0), 0),
          { flow: "stream" }
        )
      })
    )
    yield* observe(
      Effect.gen(function* () {
        const loops = yield* stuckByName
        yield* stuck.setAll([...loops].map(([loop, isStuck]) => [isStuck ? 1 : 0, { loop }] as const))
      })
    )
  })
)
