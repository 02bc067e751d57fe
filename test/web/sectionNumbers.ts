/**
 * Every number of the sections that move with the snapshots, cell by cell, against the database, which is asked in other words than the
 * service asks it.
 */
import { assert } from "@effect/vitest"
import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import type { Page } from "playwright-core"
import { bytes, decimal, durationText, integer, millis } from "../../web/parts/numbers.ts"
import { agree, at, barsOf, card, figuresOf, rowsOf, textOf, textWithin } from "./shown.ts"

const asked = <A extends object>(statement: (sql: SqlClient.SqlClient) => Effect.Effect<ReadonlyArray<A>, unknown>) =>
  Effect.flatMap(SqlClient.SqlClient, (sql) => Effect.orDie(statement(sql)))
const one = <A extends object>(statement: (sql: SqlClient.SqlClient) => Effect.Effect<ReadonlyArray<A>, unknown>) =>
  Effect.map(asked(statement), ([row]) => row!)

interface PointCounts {
  readonly relevant: number
  readonly fresh: number
  readonly late: number
  readonly never: number
  readonly pending: number
  readonly waiting: number
  readonly failing: number
  readonly running: number
}
const pointCounts = one<PointCounts>(
  (sql) => sql`
    SELECT count(*)::int4 AS relevant, sum((age < interval '24 hours')::int4)::int4 AS fresh, sum((age >= interval '24 hours')::int4)::int4 AS late,
      sum((age IS NULL)::int4)::int4 AS never, sum((free AND failures = 0 AND last_event_at > synced_event_at)::int4)::int4 AS pending,
      sum((free AND failures = 0 AND age IS NOT NULL)::int4)::int4 AS waiting, sum((free AND failures > 0)::int4)::int4 AS failing,
      sum((NOT free)::int4)::int4 AS running
    FROM (SELECT *, now() - last_synced_at AS age, last_sync_start IS NULL AS free FROM flex.accounting_point_sync WHERE relevant) points`
)
/** A sum of nothing is null. */
const zero = (n: number | null) => integer(n ?? 0)
const percent = ({ fresh, relevant }: PointCounts) =>
  `${fresh === relevant ? "100" : (Math.floor((1000 * fresh) / relevant) / 10).toFixed(1)} %`

interface TaskCounts {
  readonly tasks: number
  readonly due: number
  readonly failing: number
  readonly in_flight: number
}
const taskCounts = one<TaskCounts>(
  (sql) => sql`
    SELECT count(*)::int4 AS tasks, count(*) FILTER (WHERE set_aside_at IS NULL AND next_fetch_at <= now()
        AND id NOT IN (SELECT task_id FROM hilltop_fetch_leases))::int4 AS due,
      count(*) FILTER (WHERE set_aside_at IS NULL AND attempts > 0 AND unavailable_since IS NULL)::int4 AS failing,
      (SELECT count(*)::int4 FROM hilltop_fetch_leases) AS in_flight
    FROM hilltop_fetch_tasks`
)
const behind = (topics: ReadonlyArray<string>) =>
  asked<{ topic: string; partitions: number; behind: number }>(
    (sql) => sql`
      SELECT p.topic, count(*)::int4 AS partitions, sum(p.next_offset - coalesce(g.next_offset, 0))::int4 AS behind
      FROM topic_partitions p LEFT JOIN topic_groups g USING (topic, partition) WHERE p.topic = ANY(${topics}) GROUP BY p.topic ORDER BY p.topic`
  )
const topics = ["hilltop_raw", "observations"]

export const glanceAgrees = Effect.fnUntraced(function* (page: Page) {
  yield* agree(
    "the figures of accounting points",
    () => figuresOf(page, at("[data-flow=accounting_points]")),
    Effect.map(pointCounts, (points) => ({
      "accounting points": zero(points.relevant),
      "synced within 24 h": percent(points),
      "later than that": zero(points.late),
      "never synced": zero(points.never)
    }))
  )
  yield* agree(
    "the figures of Hilltop",
    () => figuresOf(page, at("[data-flow=hilltop]")),
    Effect.gen(function* () {
      const { due, failing, in_flight } = yield* taskCounts
      const { servers } = yield* one<{ servers: number }>(
        (sql) => sql`SELECT count(DISTINCT origin)::int4 AS servers FROM hilltop_fetch_tasks`
      )
      return {
        servers: integer(servers),
        "due now": integer(due),
        "in flight": integer(in_flight),
        failing: integer(failing)
      }
    })
  )
  yield* agree(
    "the figures of streams",
    () => figuresOf(page, at("[data-flow=streams]")),
    Effect.gen(function* () {
      const { letters, series, sites } = yield* one<{ letters: number; sites: number; series: number }>(
        (sql) => sql`
          SELECT (SELECT count(*)::int4 FROM topic_records WHERE topic LIKE '%dead_letters') AS letters,
            (SELECT count(*)::int4 FROM observation_sites) AS sites, (SELECT count(*)::int4 FROM observation_sites_measurements) AS series`
      )
      const all = yield* behind(topics)
      return {
        "records behind": integer(all.reduce((sum, row) => sum + row.behind, 0)),
        "dead letters": integer(letters),
        sites: integer(sites),
        series: integer(series)
      }
    })
  )
  const roles = yield* one<{ roles: ReadonlyArray<string> }>((sql) => sql`SELECT roles FROM penstock_instances`)
  assert.include(yield* Effect.promise(() => textWithin(page, at("main"))), `1 instance of version`)
  assert.include(yield* Effect.promise(() => textWithin(page, at("main"))), roles.roles.join(", "))
})

export const pointsAgree = Effect.fnUntraced(function* (page: Page) {
  yield* agree(
    "the figures",
    () => figuresOf(page, at("section[aria-label='In figures']")),
    Effect.map(pointCounts, (points) => ({
      "accounting points": zero(points.relevant),
      "synced within 24 h": `${percent(points)} ${zero(points.fresh)}`,
      "later than that": zero(points.late),
      "never synced": zero(points.never)
    }))
  )
  yield* agree(
    "the bars of their ages",
    () => barsOf(page, card("Time since the last sync")),
    Effect.map(
      asked<{ hour: number; points: number }>(
        (sql) => sql`
          SELECT hour, count(accounting_point_id)::int4 AS points FROM generate_series(0, 24) AS hour LEFT JOIN flex.accounting_point_sync
            ON relevant AND hour = least(24, extract(epoch FROM now() - last_synced_at)::int8 / 3600) GROUP BY hour ORDER BY hour`
      ),
      (rows) =>
        Object.fromEntries(
          rows.map(({ hour, points }) => [
            hour === 24 ? "over 24 h" : `up to ${durationText((hour + 1) * 3_600)}`,
            integer(points)
          ])
        )
    )
  )
  yield* agree(
    "the lanes",
    async () => (await rowsOf(page, "Lanes of the background sync")).map((row) => row["rows"]),
    Effect.map(pointCounts, ({ failing, never, pending, running, waiting }) =>
      [pending, never, waiting, failing, running].map(zero)
    )
  )
  yield* agree(
    "the failures by kind, with a few of each",
    () => rowsOf(page, "Failing accounting points by kind"),
    Effect.map(
      asked<{ gsrn: string; failures: number; at: Date }>(
        (sql) => sql`
          SELECT business_id AS gsrn, failures, next_attempt_at AS at FROM flex.accounting_point_sync
          WHERE relevant AND failures > 0 AND last_error = 'unavailable' ORDER BY next_attempt_at`
      ),
      (rows) => [
        {
          kind: "adapter not available",
          "how many": integer(rows.length),
          "some of them": rows
            .map(({ at, failures, gsrn }) => `${gsrn} ${integer(failures)} failures, again ${at.toISOString()}`)
            .join(" ")
        }
      ]
    )
  )
  yield* agree(
    "how the adapter does",
    () => figuresOf(page, card("Adapter")),
    Effect.map(
      one<{ calls: number; failed: number; seconds: number; total: number; slowest: number }>(
        (sql) => sql`
          SELECT (adapter ->> 'calls')::float8 AS calls, (adapter ->> 'failed')::float8 AS failed, (adapter ->> 'seconds')::float8 AS seconds,
            (adapter ->> 'total_millis')::float8 AS total, (adapter ->> 'slowest_millis')::float8 AS slowest FROM penstock_instances`
      ),
      ({ calls, failed, seconds, slowest, total }) => ({
        "calls a second, no limit": decimal(calls / seconds),
        "answered a second": decimal((calls - failed) / seconds),
        "failed a second": decimal(failed / seconds),
        "takes on average": calls === 0 ? "–" : millis(total / calls),
        slowest: calls === 0 ? "–" : millis(slowest)
      })
    )
  )
})

interface ServerRow {
  readonly origin: string
  readonly rate: number | null
  readonly pace: number
  readonly concurrent: number | null
  readonly recent: number
  readonly usual: number
}

export const hilltopAgrees = Effect.fnUntraced(function* (page: Page) {
  yield* agree(
    "the servers",
    () => rowsOf(page, "Servers"),
    Effect.gen(function* () {
      const { due, failing, in_flight, tasks } = yield* taskCounts
      const { concurrent, origin, pace, rate, recent, usual } = yield* one<ServerRow>(
        (sql) => sql`
          SELECT origin, requests_per_second AS rate, pace, max_concurrent AS concurrent, recent_millis AS recent, usual_millis AS usual FROM hilltop_servers`
      )
      assert.strictEqual(pace, 1)
      return [
        {
          server: origin,
          state: "●well",
          "requests a second": decimal(rate),
          "in flight": `${integer(in_flight)} of ${integer(concurrent ?? 0)}`,
          "takes (usually)": `${millis(recent)} (${millis(usual)})`,
          due: integer(due),
          "oldest due": "–",
          failing: integer(failing),
          tasks: integer(tasks)
        }
      ]
    })
  )
  yield* agree(
    "the sources",
    async () => (await rowsOf(page, "Sources")).map(({ action: _action, ...row }) => row),
    Effect.map(
      asked<{ id: number; council: number; address: string; names: ReadonlyArray<string> }>(
        (sql) => sql`
          SELECT id, council_id AS council, split_part(hts_url, '?', 1) AS address, configuration -> 'measurementNames' AS names
          FROM hilltop_sources ORDER BY id`
      ),
      (rows) =>
        rows.map(({ address, council, id, names }) => ({
          id: String(id),
          council: String(council),
          address,
          measurements: names.join(", "),
          state: "●asked"
        }))
    )
  )
  yield* agree(
    "what is set aside",
    async () => (await rowsOf(page, "Tasks that are set aside, by reason")).map((row) => row["tasks"]),
    Effect.map(
      asked<{ tasks: number }>(
        (sql) =>
          sql`SELECT count(*)::int4 AS tasks FROM hilltop_fetch_tasks WHERE set_aside_at IS NOT NULL GROUP BY set_aside_reason`
      ),
      (rows) => rows.map(({ tasks }) => integer(tasks))
    )
  )
  yield* agree(
    "the number of tasks",
    async () => /[\d,]+(?= in all)/.exec(await textWithin(page, card("Tasks")))?.[0],
    Effect.map(taskCounts, ({ tasks }) => integer(tasks))
  )
  yield* agree(
    "the first tasks",
    async () =>
      (await rowsOf(page, "Tasks")).map(({ next, source, task }) => [
        task?.split(/ (?=list of|data of|latest)/)[0],
        source,
        next
      ]),
    Effect.map(
      asked<{ name: string; source: number; rests: boolean; at: Date }>(
        (sql) => sql`
          SELECT coalesce(nullif(concat_ws(', ', details ->> 'siteName', details ->> 'measurementName'), ''), 'task ' || id) AS name,
            source_id AS source, set_aside_at IS NOT NULL AS rests, next_fetch_at AS at FROM hilltop_fetch_tasks t ORDER BY t.id LIMIT 50`
      ),
      (rows) => rows.map(({ at, name, rests, source }) => [name, String(source), rests ? "–" : at.toISOString()])
    )
  )
})

export const streamsAgree = Effect.fnUntraced(function* (page: Page) {
  yield* agree(
    "the readers",
    async () =>
      (await rowsOf(page, "Readers of the topics"))
        .map((row) => [row["topic"], row["records behind"], row["oldest unread"], row["partitions"]])
        .sort(),
    Effect.map(behind(topics), (rows) =>
      rows.map(({ behind: records, partitions, topic }) => [
        topic,
        integer(records),
        "–",
        `all ${integer(partitions)} read to their ends`
      ])
    )
  )
  yield* agree(
    "the dead letters",
    () => rowsOf(page, "Dead letters of hilltop_raw"),
    Effect.map(
      asked<{ offset: number; at: Date; reason: string; key: string; size: number }>(
        (sql) => sql`
          SELECT "offset"::int4 AS offset, created_at AS at, headers ->> 'reason' AS reason, key, octet_length(value) AS size
          FROM topic_records WHERE topic = 'hilltop_raw_dead_letters' ORDER BY "offset" DESC`
      ),
      (rows) =>
        rows.map(({ at, key, offset, reason, size }) => ({
          offset: String(offset),
          "set aside": at.toISOString(),
          reason,
          key,
          size: bytes(size),
          "re-driven": "not yet"
        }))
    )
  )
})

export const sitesAgree = (page: Page) =>
  agree(
    "the sites",
    () =>
      page.evaluate<ReadonlyArray<string>>(
        `[...document.querySelectorAll("ul[aria-label=Sites] li")].map((one) => (${textOf})(one))`
      ),
    Effect.map(
      asked<{ name: string; council: number; series: number; last: Date | null }>(
        (sql) => sql`
          SELECT name, council_id AS council, (SELECT count(*)::int4 FROM observation_sites_measurements WHERE site_id = s.id) AS series,
            (SELECT max(observed_at) FROM observations o JOIN observation_sites_measurements m ON m.id = o.series_id
              WHERE m.site_id = s.id AND superseded_at IS NULL AND observed_at <= now() + interval '1 day') AS last
          FROM observation_sites s ORDER BY s.id`
      ),
      (rows) =>
        rows.map(
          ({ council, last, name, series }) =>
            `${name} council ${council}, ${integer(series)} series ${last?.toISOString() ?? "no values"}`
        )
    )
  )

export const seriesAgree = (page: Page, site: number, name: string) =>
  agree(
    "the series of a site",
    async () => (await rowsOf(page, `Series of ${name}`)).map((row) => Object.values(row)).sort(),
    Effect.map(
      asked<{ name: string; units: string | null; count: number; first: Date | null; last: Date | null }>(
        (sql) => sql`
          SELECT measurement_name || CASE WHEN measurement IN ('', measurement_name) THEN '' ELSE ': ' || measurement END AS name, units,
            observation_count::int4 AS count, first_observed_at AS first, last_observed_at AS last
          FROM observation_sites_measurements WHERE site_id = ${site}`
      ),
      (rows) =>
        rows
          .map(({ count, first, last, name: series, units }) => [
            series,
            units ?? "–",
            integer(count),
            first?.toISOString() ?? "–",
            last?.toISOString() ?? "–"
          ])
          .sort()
    )
  )
