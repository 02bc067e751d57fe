/**
 * What is known of series and servers in their rows: what it costs, what an upgrade makes of the rows before it, and what becomes of
 * rows that somebody wrote by hand.
 */
import { assert, describe, layer } from "@effect/vitest"
import { ConfigProvider, Duration, Effect, Layer } from "effect"
import { SqlClient, Statement } from "effect/sql"
import { PgHilltopQueue } from "../../../layers/crawl/PgHilltopQueue.ts"
import { PgServerBudget } from "../../../layers/crawl/PgServerBudget.ts"
import { runMigrations } from "../../../layers/postgres/Migrations.ts"
import { migrations } from "../../../migrations/allMigrations.ts"
import { HilltopQueue } from "../../../src/crawl/HilltopQueue.ts"
import { decide, estimateOf, fromHistory, parseServer } from "../../../src/crawl/RefreshPolicy.ts"
import { ServerBudget } from "../../../src/crawl/ServerBudget.ts"
import type { Settlement } from "../../../src/crawl/Settlement.ts"
import type { NewTask, TaskRun } from "../../../src/domain/FetchTask.ts"
import { formatHilltopTime } from "../../../src/hilltop/Nzst.ts"
import { settlementOf } from "../../crawl/settlementOf.ts"
import { TestDatabase } from "../../support/TestDatabase.ts"

const url = "http://hilltop.example.nz/data.hts"
const latest = (n: number): NewTask => ({
  sourceId: 1,
  requestType: "MEASUREMENT_DATA_LATEST",
  fetchUrl: `${url}?n=${n}`,
  details: {}
})
const addSource = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  yield* sql`INSERT INTO hilltop_sources (council_id, hts_url, configuration) VALUES (1, ${url}, '{}')`
})
const generous = Layer.provide(
  ConfigProvider.layer(ConfigProvider.fromEnvRecord({ CRAWL_SERVER_RATE: "1000", CRAWL_SERVER_CONCURRENCY: "100" }))
)
const queues = Layer.mergeAll(PgHilltopQueue, PgServerBudget).pipe(generous)

/** How many statements it makes. */
const counted = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.suspend(() => {
    let statements = 0
    return Effect.map(
      Effect.provideService(effect, Statement.CurrentTransformer, (statement) =>
        Effect.sync(() => {
          statements++
          return statement
        })
      ),
      (result) => [result, statements] as const
    )
  })

const learning = (task: Parameters<typeof settlementOf>[0], change: Partial<Settlement> = {}) => {
  const look = { requestType: "MEASUREMENT_DATA_LATEST", at: Date.now(), added: 1, revised: false } as const
  const { kept, lesson, reason } = decide(undefined, look, parseServer(undefined), 1)
  return settlementOf(task, { answer: { kind: "answered", millis: 5 }, refresh: { kept, reason }, lesson, ...change })
}

describe("what is known, in the rows of the queue", () => {
  layer(queues.pipe(Layer.provideMerge(TestDatabase.layer)), { excludeTestServices: true })((it) => {
    it.effect("costs a claim and a settlement no statement, and a wake one for all of them together", () =>
      Effect.gen(function* () {
        yield* addSource
        const queue = yield* HilltopQueue
        yield* queue.enqueue([1, 2, 3, 4].map(latest))
        const [claimed, forClaim] = yield* counted(queue.claim(10))
        assert.deepStrictEqual([claimed.length, forClaim], [4, 1])
        const [first, second, third, fourth] = claimed
        assert.strictEqual((yield* counted(queue.settle([settlementOf(first!)])))[1], 1, "nothing was heard or learnt")
        assert.strictEqual((yield* counted(queue.settle([learning(second!)])))[1], 2)
        const wakes = [
          { of: "followers", leader: 1, after: 1 },
          { of: "ids", ids: [1, 2], after: 1 },
          { of: "requests", requests: [latest(1)], after: 1 }
        ] as const
        const [, forWakes] = yield* counted(queue.settle([third!, fourth!].map((task) => learning(task, { wakes }))))
        assert.strictEqual(forWakes, 3)
      })
    )

    it.effect("is in no index but whom a task follows, so that writing it alone touches none", () =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const rows = yield* sql<{ column: string }>`
          SELECT DISTINCT a.attname AS column FROM pg_index i JOIN pg_depend d ON d.objid = i.indexrelid AND d.classid = 'pg_class'::regclass
            AND d.refobjid = i.indrelid JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = d.refobjsubid
          WHERE i.indrelid IN ('hilltop_fetch_tasks'::regclass, 'hilltop_servers'::regclass) AND a.attnum > 0
          ORDER BY 1`
        const indexed = rows.map(({ column }) => column)
        assert.includeMembers(indexed, ["follows", "next_fetch_at"])
        for (const column of ["refresh", "refresh_reason", "knowledge", "requests_per_day"]) {
          assert.notInclude(indexed, column)
        }
      })
    )

    it.effect("sets the requests a day that a server should get, as its sources say", () =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const budget = yield* ServerBudget
        const limits = { requestsPerSecond: undefined, maxConcurrent: undefined }
        const wished = Effect.map(
          sql<{
            n: number | null
          }>`SELECT requests_per_day AS n FROM hilltop_servers WHERE origin = 'http://wish.example.nz'`,
          ([row]) => row?.n
        )
        for (const requestsPerDay of [5_000, 1, undefined]) {
          yield* budget.limit("http://wish.example.nz/data.hts", { ...limits, requestsPerDay })
          assert.strictEqual(yield* wished, requestsPerDay ?? null)
        }
      })
    )

    it.effect("may be garbage that somebody wrote: it counts as nothing known, and disturbs nobody", () =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const queue = yield* HilltopQueue
        yield* queue.enqueue([11, 12, 13].map(latest))
        yield* sql`UPDATE hilltop_fetch_tasks SET next_fetch_at = now() + interval '1 day'`
        yield* sql`UPDATE hilltop_fetch_tasks SET next_fetch_at = now(), refresh = CASE n WHEN 0 THEN repeat('ü', 100) WHEN 1 THEN '' ELSE '{"v":' END,
            follows = CASE n WHEN 0 THEN id WHEN 1 THEN -9223372036854775808 ELSE 4 END, previous_history = '{"no": "list"}'
          FROM (SELECT id AS one, row_number() OVER (ORDER BY id) % 3 AS n FROM hilltop_fetch_tasks WHERE fetch_url ~ 'n=1[123]$') each WHERE id = one`
        yield* sql`UPDATE hilltop_servers SET knowledge = repeat('{', 2000)`
        const claimed = yield* queue.claim(10)
        assert.lengthOf(claimed, 3)
        for (const task of claimed) {
          const look = { requestType: task.requestType, at: Date.now(), added: 1, revised: false } as const
          const decision = decide(task.refresh, look, parseServer(task.server.knowledge), 1)
          assert.isAbove(decision.due, Date.now() - 1)
          assert.isUndefined(estimateOf(task.refresh ?? ""))
          const { kept, lesson, reason } = decision
          const wakes = [{ of: "followers", leader: task.id, after: 0 } as const]
          assert.deepStrictEqual(
            yield* queue.settle([learning(task, { refresh: { kept, reason }, lesson, wakes })]),
            []
          )
        }
        const [row] = yield* sql<{
          knowledge: string
        }>`SELECT knowledge FROM hilltop_servers WHERE origin = 'http://hilltop.example.nz'`
        assert.isFalse(row!.knowledge.startsWith("{{"))
      })
    )

    it.effect("is refused where it is too long for its row", () =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        assert.strictEqual(
          (yield* Effect.exit(sql`UPDATE hilltop_fetch_tasks SET refresh = repeat('x', 201)`))._tag,
          "Failure"
        )
        assert.strictEqual((yield* Effect.exit(sql`UPDATE hilltop_servers SET requests_per_day = 0`))._tag, "Failure")
      })
    )
  })

  // Four hours of a telemetry series, as the version before kept them.
  const runs = Array.from({ length: 50 }, (_, n): TaskRun => {
    const at = Date.UTC(2026, 1, 20) + n * 300_000
    const newest = Math.floor((at - 420_000) / 900_000) * 900_000
    const added = newest > Math.floor((at - 720_000) / 900_000) * 900_000 ? 1 : 0
    return {
      at: new Date(at).toISOString(),
      result: added > 0 ? "SUCCESS" : "UNCHANGED",
      added,
      revised: false,
      newest: formatHilltopTime(newest)
    }
  })

  layer(queues.pipe(Layer.provideMerge(TestDatabase.empty)), { excludeTestServices: true })((it) => {
    it.effect("begins, after an upgrade, with what the histories of runs tell", () =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const queue = yield* HilltopQueue
        yield* Effect.forEach(
          Object.entries(migrations).filter(([name]) => name < "0020"),
          ([, migration]) => migration,
          { discard: true }
        )
        yield* sql`CREATE TABLE penstock_migrations (
          migration_id integer PRIMARY KEY, created_at timestamptz NOT NULL DEFAULT now(), name text NOT NULL)`
        yield* sql`INSERT INTO penstock_migrations (migration_id, name) SELECT n, 'step' FROM generate_series(1, 19) AS n`
        yield* addSource
        const insert = (n: number, history: unknown) => sql`
          INSERT INTO hilltop_fetch_tasks (source_id, request_type, fetch_url, previous_history)
          VALUES (1, 'MEASUREMENT_DATA_LATEST', ${latest(n).fetchUrl}, ${JSON.stringify(history)}::jsonb)`
        yield* insert(1, runs)
        yield* insert(2, [{ at: "by hand" }, 7, null, ...runs.slice(0, 2)])
        yield* runMigrations
        // As operators insert them, before and after.
        yield* insert(3, [])
        const claimed = (yield* queue.claim(10)).toSorted((a, b) => a.fetchUrl.localeCompare(b.fetchUrl))
        assert.deepStrictEqual(
          claimed.map(({ follows, followers, refresh, runs: known }) => [refresh, known.length, follows, followers]),
          [
            [undefined, 50, false, 0],
            [undefined, 2, false, 0],
            [undefined, 0, false, 0]
          ]
        )
        assert.deepStrictEqual(claimed[0]!.runs, runs)
        const known = fromHistory(claimed[0]!.runs)
        assert.isDefined(known)
        const { periodSeconds } = estimateOf(known!) ?? {}
        assert.isAtLeast(periodSeconds ?? 0, 850)
        assert.isAtMost(periodSeconds ?? 0, 950)
        // Once: from the first run on it is kept.
        yield* queue.settle(claimed.map((task) => learning(task, { delay: Duration.zero })))
        const again = yield* queue.claim(10)
        assert.isTrue(again.every(({ refresh, runs: known }) => refresh !== undefined && known.length === 0))
      })
    )
  })
})
