/**
 * The figures of the overview in PostgreSQL, in a time that does not grow with the tables.
 *
 * What waits, fails or rests is counted from the heads of the indexes that the claims use, up to a bound. How many rows there are in
 * all, and how old, is told from a sample of the tables' pages, which is all of them while they are few. It is kept for 30 s, and the
 * number of tasks for 5 min where it is an estimate, since to choose pages is to look at the number of each.
 */
import { Duration, Effect, Layer, Predicate, Schema } from "effect"
import { SqlClient } from "effect/sql"
import { type Count, lanes as laneNames, serverStates, type ServerView, sumOf } from "../../src/api/Overview.ts"
import { type KeptFigures, OverviewStore } from "../../src/api/OverviewStore.ts"
import { AdapterTold } from "../../src/domain/AdapterTold.ts"
import { SetAsideReason } from "../../src/domain/FetchTask.ts"
import { StoreUnavailable } from "../../src/domain/StoreUnavailable.ts"
import { isFree } from "../crawl/claimStatement.ts"
import { secondsSince } from "../postgres/epochNumbers.ts"
import { mapSqlFailure } from "../postgres/sqlFailures.ts"
import { rowsAs } from "../postgres/statementArrays.ts"
import { finite, writableMillis } from "../postgres/writableValues.ts"
import { Settings } from "../Settings.ts"
import { keptFor } from "./keptFor.ts"
import { plainAddress } from "./plainAddress.ts"
import { reasonOf, serverState } from "./describedServer.ts"
import { ageBars, pointAges, scaled, shareOf } from "./tableSample.ts"

const plain = mapSqlFailure((cause) => new StoreUnavailable({ cause }))

/** Rows that are counted of anything that waits, fails or rests. */
const most = 1_000
/** Due tasks that are counted over all lanes, and so many that fail or rest. */
const mostDue = 5_000
const mostMarked = 2_000
/** Of a sample, with some 10 tasks each. */
const taskPages = 500
const sizesFor = Duration.seconds(30)
const tasksFor = Duration.minutes(5)
const [mostServers, mostSources, mostKinds, samples] = [200, 500, 20, 5]

const sync = "flex.accounting_point_sync"
const waits = "relevant AND last_sync_start IS NULL AND failures = 0"
/** Up to a bound. */
const counted = (from: string, condition: string) =>
  `(SELECT count(*)::int4 FROM (SELECT FROM ${from} WHERE ${condition} LIMIT ${most + 1}) head)`
/** Seconds since a time; none where there is no time, or one that is for ever, and 0 since one that is still to come. */
const age = (moment: string) => `CASE WHEN isfinite(${moment}) THEN greatest(0, ${secondsSince(moment)}) END`
/** Since the earliest of the times that are any. */
const oldestOf = (moment: string) => age(`min(${moment}) FILTER (WHERE isfinite(${moment}))`)

const bounded = (n: number): Count => (n > most ? { value: most, is: "at_least" } : { value: n, is: "exact" })

const Seconds = Schema.NullOr(Schema.Finite)
const asLanes = rowsAs(
  Schema.Struct({
    pending: Schema.Int,
    never_synced: Schema.Int,
    longest_unsynced: Schema.Int,
    failing: Schema.Int,
    running: Schema.Int,
    late: Schema.Int,
    pending_age: Seconds,
    never_synced_age: Seconds,
    longest_unsynced_age: Seconds,
    failing_age: Seconds,
    running_age: Seconds
  })
)
/** Ten index scans that end at their bound, index-only where nothing but the count is wanted. */
const lanesStatement = (withinSeconds: number) => `
  SELECT ${counted(sync, `${waits} AND last_event_at > synced_event_at`)} AS pending,
    ${counted(sync, `${waits} AND last_synced_at IS NULL`)} AS never_synced,
    ${counted(sync, `${waits} AND last_synced_at IS NOT NULL`)} AS longest_unsynced,
    ${counted(sync, "relevant AND last_sync_start IS NULL AND failures > 0")} AS failing,
    ${counted(sync, "relevant AND last_sync_start IS NOT NULL")} AS running,
    ${counted(sync, `${waits} AND last_synced_at IS NOT NULL AND last_synced_at < now() - make_interval(secs => ${withinSeconds})`)}
      + (SELECT count(*)::int4 FROM (SELECT unneeded_since FROM ${sync} WHERE ${waits} AND last_synced_at IS NULL
          ORDER BY accounting_point_id LIMIT ${most + 1}) never WHERE unneeded_since < now() - make_interval(secs => ${withinSeconds})) AS late,
    (SELECT ${oldestOf("coalesce(event_seen_at, last_event_at)")} FROM (SELECT event_seen_at, last_event_at FROM ${sync}
      WHERE ${waits} AND last_event_at > synced_event_at ORDER BY last_event_at LIMIT 100) head) AS pending_age,
    (SELECT ${oldestOf("unneeded_since")} FROM (SELECT unneeded_since FROM ${sync} WHERE ${waits} AND last_synced_at IS NULL
      ORDER BY accounting_point_id LIMIT 100) head) AS never_synced_age,
    (SELECT ${age("last_synced_at")} FROM ${sync} WHERE ${waits} AND last_synced_at IS NOT NULL AND last_synced_at > '-infinity'
      ORDER BY last_synced_at LIMIT 1) AS longest_unsynced_age,
    (SELECT ${age("next_attempt_at")} FROM ${sync} WHERE relevant AND last_sync_start IS NULL AND failures > 0
      AND next_attempt_at <= now() AND next_attempt_at > '-infinity' ORDER BY next_attempt_at LIMIT 1) AS failing_age,
    (SELECT ${age("last_sync_start")} FROM ${sync} WHERE relevant AND last_sync_start IS NOT NULL AND last_sync_start > '-infinity'
      ORDER BY last_sync_start LIMIT 1) AS running_age`

const asFailures = rowsAs(
  Schema.Struct({
    kind: Schema.String,
    points: Schema.Int,
    all: Schema.Int,
    late: Schema.Int,
    samples: Schema.Array(
      Schema.Struct({ gsrn: Schema.String, failures: Schema.Int, next_attempt_at: Schema.NullOr(Schema.Finite) })
    )
  })
)
/** Counted of the first so many: over all that fail it would read all of them. */
const failuresStatement = (withinSeconds: number) => `
  SELECT kind, count(*)::int4 AS points, max(n)::int4 AS all, count(*) FILTER (WHERE since < now() - make_interval(secs => ${withinSeconds}))::int4 AS late,
    to_jsonb(array_agg(jsonb_build_object('gsrn', business_id, 'failures', failures, 'next_attempt_at', floor(${writableMillis("next_attempt_at")}))
      ORDER BY place) FILTER (WHERE place <= ${samples})) AS samples
  FROM (SELECT *, count(*) OVER () AS n, row_number() OVER (PARTITION BY kind ORDER BY next_attempt_at) AS place FROM (
    SELECT coalesce(last_error, 'other') AS kind, business_id, failures, next_attempt_at, coalesce(last_synced_at, unneeded_since) AS since
    FROM ${sync} WHERE relevant AND last_sync_start IS NULL AND failures > 0 ORDER BY next_attempt_at LIMIT ${most + 1}) head) counted
  GROUP BY kind ORDER BY points DESC, kind LIMIT ${mostKinds}`

const asTasks = rowsAs(Schema.Struct({ origin: Schema.String, tasks: Schema.Finite }))
const asSizes = rowsAs(Schema.Struct({ sites: Schema.Finite, series: Schema.Finite }))

const InstanceRow = Schema.Struct({
  roles: Schema.Array(Schema.String),
  running_seconds: Schema.Finite,
  seen_seconds: Schema.Finite,
  adapter: Schema.Unknown
})
const asInstances = rowsAs(InstanceRow)
const readTold = Schema.decodeUnknownOption(AdapterTold)

const asServers = rowsAs(
  Schema.Struct({
    origin: Schema.String,
    state: Schema.Literals(serverStates),
    asked_again_at: Schema.NullOr(Schema.Finite),
    pace: Schema.Finite,
    requests_per_second: Schema.Finite,
    max_concurrent: Schema.Finite,
    in_flight: Schema.Int,
    recent_millis: Schema.Finite,
    usual_millis: Schema.Finite,
    failures: Schema.Int,
    source_ids: Schema.Array(Schema.Int),
    total: Schema.Int,
    due: Schema.Int,
    due_more: Schema.Boolean,
    late_seconds: Seconds
  })
)
const asSources = rowsAs(
  Schema.Struct({
    id: Schema.Int,
    council_id: Schema.Int,
    hts_url: Schema.String,
    paused: Schema.Boolean,
    problem: Schema.NullOr(Schema.String),
    names: Schema.Unknown,
    total: Schema.Int
  })
)
const asMarked = rowsAs(
  Schema.Struct({
    origin: Schema.String,
    reason: Schema.NullOr(SetAsideReason),
    tasks: Schema.Int,
    more: Schema.Boolean
  })
)
/** Of each lane as many as its share of a fixed number. Plan: an index-only scan of the tasks of the source that are so, which ends there. */
const marked = (reason: string, condition: string) => `
  SELECT origin, reason, sum(n)::int4 AS tasks, bool_or(more) AS more
  FROM (SELECT origin, source_id, greatest(100, ${mostMarked} / count(*) OVER ())::int4 AS most FROM hilltop_lanes) lane
  CROSS JOIN LATERAL (SELECT reason, count(*) FILTER (WHERE place <= lane.most) AS n, bool_or(place > lane.most) AS more FROM (
    SELECT ${reason} AS reason, row_number() OVER (ORDER BY t.id) AS place FROM hilltop_fetch_tasks t
    WHERE t.source_id = lane.source_id AND t.origin = lane.origin AND ${condition} LIMIT lane.most + 1) head GROUP BY reason) counted
  GROUP BY origin, reason`

export const PgOverview = Layer.effect(
  OverviewStore,
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const within = Duration.toSeconds(yield* Settings.SYNC_WITHIN.config)
    const adapterRate = yield* Settings.ADAPTER_RATE.config
    const rate = yield* Settings.CRAWL_SERVER_RATE.config
    const concurrent = yield* Settings.CRAWL_SERVER_CONCURRENCY.config

    const ages = pointAges(sql, within)
    const sizes = keptFor(
      () => sizesFor,
      Effect.map(
        asSizes(sql`
          SELECT (SELECT count(*) FROM (SELECT FROM observation_sites LIMIT 20001) few)::float8 AS sites,
            (SELECT count(*) FROM (SELECT FROM observation_sites_measurements LIMIT 20001) few)::float8 AS series`),
        ([row]) => {
          const upTo = (n = 0): Count => (n > 20_000 ? { value: 20_000, is: "at_least" } : { value: n, is: "exact" })
          return { sites: upTo(row?.sites), series: upTo(row?.series) }
        }
      )
    )
    const readTasks = Effect.gen(function* () {
      const percent = yield* shareOf(sql, "hilltop_fetch_tasks", taskPages)
      const rows = yield* asTasks(sql`
        SELECT origin, count(*)::float8 AS tasks FROM hilltop_fetch_tasks TABLESAMPLE SYSTEM (${percent}::float4) GROUP BY origin`)
      return {
        byOrigin: new Map(rows.map(({ origin, tasks: n }) => [origin, scaled(n, percent)])),
        none: scaled(0, percent)
      }
    })
    const tasks = keptFor(({ none }) => (none.is === "exact" ? sizesFor : tasksFor), readTasks)

    const accountingPoints = Effect.fnUntraced(function* (
      figures: Effect.Success<typeof ages>,
      instances: ReadonlyArray<typeof InstanceRow.Type>
    ) {
      const [row] = yield* asLanes(sql`${sql.literal(lanesStatement(within))}`)
      if (row === undefined) return yield* Effect.die(new Error("an aggregate gave no row"))
      const failures = yield* asFailures(sql`${sql.literal(failuresStatement(within))}`)
      const relevant = sumOf([...figures.ages, figures.never])
      const isLate = row.late + failures.reduce((sum, one) => sum + one.late, 0)
      const late = bounded(isLate)
      const inTime = sumOf(figures.ages.slice(0, ageBars))
      return {
        configured: true,
        relevant,
        // What is late was counted, if not all of it: nothing fresh is an estimate while nothing is late.
        fresh:
          relevant.is === "estimate" && isLate === 0 && row.never_synced === 0
            ? { value: relevant.value, is: "estimate" as const }
            : inTime,
        never_synced: bounded(row.never_synced),
        late,
        within_seconds: within,
        ages: figures.ages.map((points, bar) => ({
          up_to_seconds: bar === ageBars ? null : ((bar + 1) * within) / ageBars,
          points
        })),
        lanes: laneNames.map((lane) => ({
          lane,
          rows:
            lane === "longest_unsynced" && row.longest_unsynced > most && relevant.value > most
              ? { value: relevant.value, is: relevant.is }
              : bounded(row[lane]),
          oldest_seconds: row[`${lane}_age`]
        })),
        failures: failures.map(({ all, kind, points, samples: some }) => ({
          kind,
          points: { value: points, is: all > most ? ("at_least" as const) : ("exact" as const) },
          samples: some
        })),
        adapter: adapterFigures(adapterRate, instances)
      }
    })

    /**
     * Of each lane and kind as many due tasks as its share of a fixed number; those in flight, which are few, are taken off.
     * Plan (PostgreSQL 18, 10 million tasks on 20 servers, a tenth of them due): an index-only scan of `hilltop_fetch_tasks_lanes` per
     * lane and kind that ends at the bound, and one that ends at the first; 700 buffers. The whole refresh takes 3,800, and 15 ms of
     * the database's time on two cores that had much other work.
     */
    const readServers = asServers(sql`
      WITH lanes AS MATERIALIZED (
        SELECT lane.origin, lane.source_id, NOT source.paused AND source.problem IS NULL AS is_open
        FROM hilltop_lanes lane JOIN hilltop_sources source ON source.id = lane.source_id
      ), bound AS MATERIALIZED (
        SELECT greatest(5, least(${most}, ${mostDue} / greatest(1, 4 * count(*) FILTER (WHERE is_open))))::int4 AS most FROM lanes
      ), leased AS MATERIALIZED (
        SELECT t.origin, t.source_id, t.priority, count(*) AS n
        FROM hilltop_fetch_leases l CROSS JOIN LATERAL (SELECT * FROM hilltop_fetch_tasks t WHERE t.id = l.task_id OFFSET 0) t
        WHERE t.set_aside_at IS NULL AND t.next_fetch_at <= now() GROUP BY t.origin, t.source_id, t.priority
      ), due AS MATERIALIZED (
        SELECT lanes.origin, sum(least(greatest(0, head.n - coalesce(leased.n, 0)), bound.most))::int4 AS n,
          bool_or(head.n - coalesce(leased.n, 0) > bound.most) AS more, max(first.age) AS age
        FROM lanes CROSS JOIN bound CROSS JOIN generate_series(0, 3) AS kind (priority)
        LEFT JOIN leased ON leased.origin = lanes.origin AND leased.source_id = lanes.source_id AND leased.priority = kind.priority
        CROSS JOIN LATERAL (SELECT count(*) AS n FROM (
          SELECT FROM hilltop_fetch_tasks t
          WHERE t.origin = lanes.origin AND t.source_id = lanes.source_id AND t.priority = kind.priority
            AND t.set_aside_at IS NULL AND t.next_fetch_at <= now() LIMIT bound.most + 1 + coalesce(leased.n, 0)) due) head
        LEFT JOIN LATERAL (SELECT ${sql.literal(age("next_fetch_at"))} AS age FROM (
          SELECT t.next_fetch_at FROM hilltop_fetch_tasks t
          WHERE t.origin = lanes.origin AND t.source_id = lanes.source_id AND t.priority = kind.priority
            AND t.set_aside_at IS NULL AND t.next_fetch_at <= now() AND t.next_fetch_at > '-infinity' AND ${isFree(sql)}
          ORDER BY t.next_fetch_at LIMIT 1) oldest) first ON head.n > 0
        WHERE lanes.is_open GROUP BY lanes.origin
      ), described AS (
        SELECT s.*, lanes.source_ids, CASE WHEN lanes.source_ids IS NULL THEN 'idle' ELSE ${sql.literal(serverState("s"))} END AS state
        FROM hilltop_servers s LEFT JOIN (SELECT origin, array_agg(source_id ORDER BY source_id) AS source_ids FROM lanes GROUP BY origin) lanes
          USING (origin)
      )
      SELECT s.origin, s.state, ${sql.literal(writableMillis("nullif(greatest(s.open_until, s.cool_down_until, now()), now())"))} AS asked_again_at,
        coalesce(${sql.literal(finite("s.pace"))}, 1) AS pace, coalesce(s.requests_per_second, ${rate}::float8) AS requests_per_second,
        coalesce(s.max_concurrent, ${concurrent}::int4)::float8 AS max_concurrent, s.in_flight,
        coalesce(${sql.literal(finite("s.recent_millis"))}, 0) AS recent_millis, coalesce(${sql.literal(finite("s.usual_millis"))}, 0) AS usual_millis,
        s.failures, coalesce(s.source_ids, '{}') AS source_ids, (count(*) OVER ())::int4 AS total, coalesce(due.n, 0) AS due,
        coalesce(due.more, false) AS due_more, CASE WHEN due.n > 0 THEN due.age END AS late_seconds
      FROM described s LEFT JOIN due USING (origin)
      WHERE s.state <> 'idle' OR s.in_flight > 0
      ORDER BY array_position(${[...serverStates]}::text[], s.state), s.origin LIMIT ${mostServers}`)

    const hilltop = Effect.fnUntraced(function* (kept: Effect.Success<typeof readTasks>) {
      const servers = yield* readServers
      const sources = yield* asSources(sql`
        SELECT id, council_id, hts_url, paused, coalesce(problem, doubt) AS problem, configuration -> 'measurementNames' AS names,
          (count(*) OVER ())::int4 AS total
        FROM hilltop_sources ORDER BY coalesce(problem, doubt) IS NULL, id LIMIT ${mostSources}`)
      const failing = yield* asMarked(
        sql`${sql.literal(marked("NULL::text", "attempts > 0 AND set_aside_at IS NULL AND unavailable_since IS NULL"))}`
      )
      const aside = yield* asMarked(sql`${sql.literal(marked("set_aside_reason", "set_aside_at IS NOT NULL"))}`)
      const markedAs = (rows: typeof failing) => {
        /** Of a server whose counting ended, any reason may have more. */
        const unended = new Set(rows.flatMap(({ more, origin }) => (more ? [origin] : [])))
        return (of: (row: (typeof rows)[number]) => boolean): Count => {
          const those = rows.filter(of)
          return {
            value: those.reduce((sum, { tasks }) => sum + tasks, 0),
            is: those.some(({ origin }) => unended.has(origin)) ? "at_least" : "exact"
          }
        }
      }
      const [fails, rests] = [markedAs(failing), markedAs(aside)]
      const views = servers.map((one): ServerView => ({
        origin: one.origin,
        state: one.state,
        reason: reasonOf(one),
        asked_again_at: one.asked_again_at,
        pace: one.pace,
        requests_per_second: one.requests_per_second,
        max_concurrent: one.max_concurrent,
        in_flight: one.in_flight,
        recent_millis: one.recent_millis,
        usual_millis: one.usual_millis,
        failures: one.failures,
        tasks: kept.byOrigin.get(one.origin) ?? kept.none,
        due: { value: one.due, is: one.due_more ? "at_least" : "exact" },
        late_seconds: one.late_seconds,
        set_aside: rests(({ origin }) => origin === one.origin),
        failing: fails(({ origin }) => origin === one.origin),
        source_ids: one.source_ids
      }))
      const reasons = new Set(aside.flatMap(({ reason, tasks }) => (tasks > 0 ? [reason] : [])))
      return {
        servers: views,
        servers_total: servers[0]?.total ?? 0,
        sources: sources.map(({ hts_url, names, ...source }) => ({
          id: source.id,
          council_id: source.council_id,
          paused: source.paused,
          problem: source.problem,
          origin: URL.canParse(hts_url) ? new URL(hts_url).origin : "",
          address: plainAddress(hts_url),
          measurement_names: Array.isArray(names) ? names.filter(Predicate.isString) : []
        })),
        sources_total: sources[0]?.total ?? 0,
        tasks: kept.byOrigin.size === 0 ? kept.none : sumOf([...kept.byOrigin.values()]),
        due: sumOf(views.map(({ due }) => due)),
        in_flight: views.reduce((sum, one) => sum + one.in_flight, 0),
        failing: fails(() => true),
        set_aside: [...reasons].map((reason) => ({ reason, tasks: rests((row) => row.reason === reason) }))
      }
    })

    const readInstances = asInstances(sql`
      SELECT roles, coalesce(${sql.literal(age("started_at"))}, 0) AS running_seconds, coalesce(${sql.literal(age("seen_at"))}, 0) AS seen_seconds, adapter
      FROM penstock_instances WHERE seen_at > now() - interval '30 seconds' ORDER BY started_at LIMIT 100`)

    return OverviewStore.of({
      read: Effect.gen(function* () {
        const instances = yield* readInstances
        return {
          instances: instances.map(({ roles, running_seconds }) => ({ roles, running_seconds })),
          accounting_points: yield* accountingPoints(yield* ages, instances),
          hilltop: yield* hilltop(yield* tasks),
          observations: yield* sizes
        } satisfies KeptFigures
      }).pipe(plain)
    })
  })
)

const worst = ["open", "doubted", "closed"] as const

/** What all instances told that are alive, together. */
const adapterFigures = (
  limit: number | undefined,
  instances: ReadonlyArray<typeof InstanceRow.Type>
): KeptFigures["accounting_points"]["adapter"] => {
  const told = instances.flatMap(({ adapter, seen_seconds }) => {
    const one = readTold(adapter)
    return one._tag === "Some" ? [{ ...one.value, seen_seconds }] : []
  })
  const perSecond = (of: (one: AdapterTold) => number) =>
    told.reduce((sum, one) => sum + of(one) / Math.max(1, one.seconds), 0)
  const calls = told.reduce((sum, one) => sum + one.calls, 0)
  const circuits = told.flatMap(({ circuit }) => (circuit === null ? [] : [circuit]))
  const circuit = worst.map((state) => circuits.find((one) => one.state === state)).find((one) => one !== undefined)
  return {
    configured: true,
    rate_limit_per_second: limit ?? null,
    calls_per_second: perSecond((one) => one.calls),
    answered_per_second: perSecond((one) => one.calls - one.failed),
    failed_per_second: perSecond((one) => one.failed),
    mean_millis: calls === 0 ? null : told.reduce((sum, one) => sum + one.total_millis, 0) / calls,
    slowest_millis: calls === 0 ? null : Math.max(...told.map((one) => one.slowest_millis)),
    told_seconds_ago: told.length === 0 ? null : Math.max(0, Math.min(...told.map((one) => one.seen_seconds))),
    circuit: {
      state: circuit?.state ?? "unknown",
      since: circuit?.since ?? null,
      next_call_at: circuit?.next_call_at ?? null,
      reporters: circuits.length
    }
  }
}
