/** The queue over kinds of tasks that are not Hilltop's, and the worker that runs them. */
import { assert, layer } from "@effect/vitest"
import { Duration, Effect, Exit, Layer, Schedule, Schema, Scope } from "effect"
import { SqlClient } from "effect/sql"
import { PgHilltopQueue, pgTaskQueue } from "../../../layers/crawl/PgHilltopQueue.ts"
import { PgServerBudget } from "../../../layers/crawl/PgServerBudget.ts"
import { HilltopQueue } from "../../../src/crawl/HilltopQueue.ts"
import { ServerBudget } from "../../../src/crawl/ServerBudget.ts"
import { taskWorker } from "../../../src/crawl/TaskWorker.ts"
import { Loops } from "../../../src/running/Loop.ts"
import { settlementOf } from "../../crawl/settlementOf.ts"
import { TestDatabase } from "../../support/TestDatabase.ts"

const Details = Schema.Struct({ depth: Schema.Int, name: Schema.optional(Schema.String) })
const ownQueue = pgTaskQueue({ kinds: ["feed.page", "feed.list"], details: Details })

const services = Layer.mergeAll(PgHilltopQueue, PgServerBudget, Loops.layer).pipe(
  Layer.provideMerge(TestDatabase.layer)
)

layer(services, { excludeTestServices: true })("tasks of other kinds", (it) => {
  let servers = 0
  const arranged = Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const budget = yield* ServerBudget
    const queue = yield* ownQueue
    // What other tests have left here rests.
    yield* sql`UPDATE hilltop_sources SET paused = true`
    const url = `http://feeds-${++servers}.example`
    yield* budget.limit(url, { requestsPerSecond: 1_000, maxConcurrent: 100 })
    const [source] = yield* sql<{ id: number }>`
      INSERT INTO hilltop_sources (council_id, hts_url, configuration) VALUES (1, ${url}, '{}') RETURNING id`
    const page = (n: number) => ({
      sourceId: source!.id,
      requestType: "feed.page" as const,
      fetchUrl: `${url}/${n}`,
      details: { depth: n }
    })
    const insert = (requestType: string, details: object) => sql`
      INSERT INTO hilltop_fetch_tasks (source_id, request_type, fetch_url, details)
      VALUES (${source!.id}, ${requestType}, ${`${url}/by-hand`}, ${JSON.stringify(details)}::jsonb)`
    const lastRuns = sql<{ result: string; detail: string; attempts: number }>`
      SELECT previous_history -> -1 ->> 'result' AS result, previous_history -> -1 ->> 'detail' AS detail, attempts
      FROM hilltop_fetch_tasks WHERE source_id = ${source!.id} ORDER BY id`
    return { insert, lastRuns, page, queue, sourceId: source!.id, sql }
  })

  it.effect("are queued once, and claimed with details of their own", () =>
    Effect.gen(function* () {
      const { page, queue } = yield* arranged
      assert.strictEqual(yield* queue.enqueue([page(1), page(1)]), 1)
      const [task, ...others] = yield* queue.claim(10)
      assert.deepStrictEqual(others, [])
      assert.deepInclude(task, { requestType: "feed.page", details: { depth: 1 } })
      assert.deepStrictEqual(yield* queue.settle([settlementOf(task!)]), [])
      assert.deepStrictEqual(yield* queue.claim(10), [])
    })
  )

  it.effect("have names with a dot: what is misspelt of Hilltop's is refused as ever", () =>
    Effect.gen(function* () {
      const { insert } = yield* arranged
      for (const wrong of ["SITE_LIST", "sites_list", "page", "feed.", ".page", "Feed.Page", "feed.page "]) {
        const failure = yield* Effect.flip(insert(wrong, {}))
        assert.strictEqual(failure.reason._tag, "ConstraintError", wrong)
      }
      yield* insert("feed.page.v2", {})
    })
  )

  it.effect("fail by themselves where nobody runs them, or their details are none", () =>
    Effect.gen(function* () {
      const { insert, lastRuns, page, queue } = yield* arranged
      yield* insert("other.kind", {})
      yield* insert("feed.list", { depth: "deep" })
      yield* queue.enqueue([page(1)])
      const claimed = yield* queue.claim(10)
      assert.deepStrictEqual(
        claimed.map(({ requestType }) => requestType),
        ["feed.page"]
      )
      const [other, list] = yield* lastRuns
      assert.deepInclude(other, {
        result: "UNKNOWN_ERROR",
        detail: "its request_type is of a kind that is not run here"
      })
      assert.match(list!.detail, /^its details cannot be understood: .*depth/s)
      assert.deepStrictEqual([other!.attempts, list!.attempts], [1, 1])
    })
  )

  it.effect("are no tasks of the crawl's", () =>
    Effect.gen(function* () {
      const { lastRuns, page, queue } = yield* arranged
      yield* queue.enqueue([page(1)])
      const hilltop = yield* HilltopQueue
      assert.deepStrictEqual(yield* hilltop.claim(10), [])
      assert.strictEqual((yield* lastRuns)[0]?.result, "UNKNOWN_ERROR")
    })
  )

  it.effect("are run each by itself: one that takes for ever holds up no other, and is given back at the end", () =>
    Effect.gen(function* () {
      const { lastRuns, page, queue, sourceId, sql } = yield* arranged
      yield* queue.enqueue([page(0), page(1), page(2), page(3)])
      const scope = yield* Scope.make()
      const worker = taskWorker({
        name: "feeds",
        queue,
        concurrency: 2,
        run: (task) => (task.details.depth === 0 ? Effect.never : Effect.succeed(settlementOf(task)))
      })
      yield* Scope.provide(worker, scope)
      const done = Effect.map(lastRuns, (runs) => runs.map(({ result }) => result))
      const results = yield* done.pipe(
        Effect.repeat({
          until: (all) => all.filter((result) => result === "SUCCESS").length === 3,
          schedule: Schedule.spaced("20 millis")
        }),
        Effect.timeout("20 seconds")
      )
      assert.deepStrictEqual(results, [null, "SUCCESS", "SUCCESS", "SUCCESS"])
      yield* Scope.close(scope, Exit.void)
      const [left] = yield* sql<{ leases: number; due: boolean; attempts: number }>`
        SELECT (SELECT count(*) FROM hilltop_fetch_leases l WHERE l.task_id = t.id)::int4 AS leases, next_fetch_at <= now() AS due, attempts
        FROM hilltop_fetch_tasks t WHERE source_id = ${sourceId} ORDER BY id`
      assert.deepStrictEqual(left, { leases: 0, due: true, attempts: 0 })
    })
  )

  it.effect("are given back when a run fails, and no attempt is counted", () =>
    Effect.gen(function* () {
      const { page, queue, sourceId, sql } = yield* arranged
      yield* queue.enqueue([page(1)])
      const scope = yield* Scope.make()
      let runs = 0
      const worker = taskWorker({
        name: "feeds",
        queue,
        concurrency: 2,
        run: (task) =>
          ++runs === 1
            ? Effect.fail("the topic is away")
            : Effect.succeed(settlementOf(task, { delay: Duration.days(1) }))
      })
      yield* Scope.provide(worker, scope)
      const state = sql<{ attempts: number; runs: number }>`
        SELECT attempts, jsonb_array_length(previous_history) AS runs FROM hilltop_fetch_tasks WHERE source_id = ${sourceId}`
      const [row] = yield* state.pipe(
        Effect.repeat({ until: ([each]) => each?.runs === 1, schedule: Schedule.spaced("50 millis") }),
        Effect.timeout("20 seconds")
      )
      yield* Scope.close(scope, Exit.void)
      assert.deepStrictEqual({ row, runs }, { row: { attempts: 0, runs: 1 }, runs: 2 })
    })
  )
})
