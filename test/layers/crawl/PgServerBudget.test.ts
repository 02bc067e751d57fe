/**
 * Budgets of Hilltop servers in PostgreSQL, with two pools in the places of two instances: exact while both claim at once,
 * mended when a row was changed by hand, and paced by the rule of `ServerPace`.
 */
import { PgClient } from "@effect/sql-pg"
import { assert, it } from "@effect/vitest"
import * as fc from "fast-check"
import { Clock, Context, Duration, Effect, Layer, Ref } from "effect"
import { SqlClient } from "effect/sql"
import type { ClaimedTask, ServerAnswer } from "../../../src/domain/FetchTask.ts"
import type { Settlement } from "../../../src/crawl/Settlement.ts"
import { PgHilltopQueue } from "../../../layers/crawl/PgHilltopQueue.ts"
import { PgServerBudget } from "../../../layers/crawl/PgServerBudget.ts"
import { HilltopQueue } from "../../../src/crawl/HilltopQueue.ts"
import { ServerBudget } from "../../../src/crawl/ServerBudget.ts"
import { afterSignal, newServer, type ServerHealth, signalOf } from "../../../src/crawl/ServerPace.ts"
import { settlementOf } from "../../crawl/settlementOf.ts"
import { TestDatabase } from "../../support/TestDatabase.ts"

const layer = Layer.mergeAll(PgHilltopQueue, PgServerBudget).pipe(Layer.provideMerge(TestDatabase.layer))

it.layer(layer, { excludeTestServices: true, timeout: "60 seconds" })("budgets in PostgreSQL", (it) => {
  const origin = (name: string) => `http://${name}.example.nz`
  const arranged = Effect.fnUntraced(function* (name: string, limits: { rate: number; concurrent: number }, n: number) {
    const sql = yield* SqlClient.SqlClient
    const queue = yield* HilltopQueue
    const url = `${origin(name)}/data.hts`
    yield* (yield* ServerBudget).limit(url, { requestsPerSecond: limits.rate, maxConcurrent: limits.concurrent })
    const [source] = yield* sql<{ id: number }>`
      INSERT INTO hilltop_sources (council_id, hts_url, configuration) VALUES (1, ${url}, '{}') RETURNING id`
    yield* queue.enqueue(
      Array.from({ length: n }, (_, i) => ({
        sourceId: source!.id,
        requestType: "MEASUREMENT_DATA" as const,
        fetchUrl: `${url}?n=${i}`,
        details: {}
      }))
    )
    return source!.id
  })
  /** The task is due again at once. */
  const settledAtOnce = (task: Settlement["task"], answer?: ServerAnswer) =>
    settlementOf(task, { delay: Duration.zero, answer })
  /** Another instance: the same database through a pool of its own. */
  const instance = Effect.gen(function* () {
    const { url } = yield* TestDatabase
    const context = yield* Layer.build(
      Layer.fresh(PgHilltopQueue).pipe(
        Layer.provide(Layer.fresh(PgClient.layer({ url, maxConnections: 6, applicationName: "penstock-test-2" })))
      )
    )
    return Context.get(context, HilltopQueue)
  })
  const serverOf = (name: string) =>
    SqlClient.SqlClient.use(
      (sql) => sql<{
        in_flight: number
        pace: number
        epoch: number
        failures: number
        pauses: number
        paced_at: number
        open: number | null
        cool: number | null
        answers: number
        recent_millis: number
        usual_millis: number
      }>`
        SELECT in_flight, pace, epoch::float8 AS epoch, failures, pauses, answers::float8 AS answers, recent_millis, usual_millis,
          1000 * extract(epoch FROM paced_at)::float8 AS paced_at, 1000 * extract(epoch FROM open_until)::float8 AS open,
          1000 * extract(epoch FROM cool_down_until)::float8 AS cool
        FROM hilltop_servers WHERE origin = ${origin(name)}`
    ).pipe(Effect.map(([row]) => row!))

  it.effect("tell a claim what it has left of them: when there is a token again, and how many places", () =>
    Effect.gen(function* () {
      yield* arranged("told", { rate: 2, concurrent: 5 }, 10)
      const queue = yield* HilltopQueue
      const one = (yield* queue.claim(1)).find(({ server }) => server.origin === origin("told"))
      assert.strictEqual(one?.server.left?.places, 4)
      // The bucket of two a second holds one and a half.
      assert.isAbove(one?.server.left?.tokenIn ?? 0, 0)
      assert.isAtMost(one?.server.left?.tokenIn ?? 500, 500)
      yield* arranged("plenty", { rate: 1_000, concurrent: 3 }, 10)
      const more = (yield* queue.claim(12)).filter(({ server }) => server.origin === origin("plenty"))
      assert.lengthOf(more, 3)
      for (const { server } of more) assert.deepStrictEqual(server.left, { tokenIn: 0, places: 0 })
      yield* queue.settle([...more, ...(one === undefined ? [] : [one])].map((task) => settledAtOnce(task)))
    })
  )

  it.effect("are never passed, however many claims and settlements of both instances come at once", () =>
    Effect.gen(function* () {
      const limits = { rate: 400, concurrent: 5 }
      yield* arranged("busy", limits, 2_000)
      const queues = [yield* HilltopQueue, yield* instance]
      const open = yield* Ref.make(0)
      const startedAt = yield* Clock.currentTimeMillis
      let [most, total, inHands, twice] = [0, 0, new Set<number>(), 0]
      // Two seconds, and longer on a machine that is so busy that too little would come at once in them.
      const begun = performance.now()
      const goesOn = () => performance.now() - begun < (total > 50 ? 2_000 : 40_000)
      // Claims bring tasks of the servers of other tests as well; those have budgets of their own.
      const ofServer = (tasks: ReadonlyArray<ClaimedTask>) =>
        tasks.filter(({ server }) => server.origin === origin("busy"))
      const taken = (claimed: ReadonlyArray<ClaimedTask>) => {
        const tasks = ofServer(claimed)
        return Ref.updateAndGet(open, (n) => n + tasks.length).pipe(
          Effect.map((n) => {
            most = Math.max(most, n)
            total += tasks.length
            for (const { id } of tasks) {
              if (inHands.has(id)) twice++
              inHands.add(id)
            }
          })
        )
      }
      // Counted as ended before it is told, as a request ends before its settlement.
      const ended = (claimed: ReadonlyArray<ClaimedTask>) => {
        const tasks = ofServer(claimed)
        for (const { id } of tasks) inHands.delete(id)
        return Ref.update(open, (n) => n - tasks.length)
      }
      const worker = (queue: HilltopQueue["Service"], i: number) =>
        Effect.gen(function* () {
          const tasks = yield* queue.claim(1 + (i % 4))
          yield* taken(tasks)
          yield* ended(tasks)
          yield* i % 5 === 0
            ? queue.release(tasks)
            : Effect.asVoid(queue.settle(tasks.map((task) => settledAtOnce(task))))
        })
      const workers = Array.from({ length: 10 }, (_, i) => Effect.repeat(worker(queues[i % 2]!, i), { while: goesOn }))
      const holders = Array.from({ length: 2 }, (_, i) =>
        Effect.gen(function* () {
          const tasks = yield* queues[i]!.claim(2)
          yield* taken(tasks)
          yield* Effect.sleep("15 millis")
          yield* ended(tasks)
          yield* queues[i]!.settle(tasks.map((task) => settledAtOnce(task)))
        }).pipe(Effect.repeat({ while: goesOn }))
      )
      yield* Effect.all([...workers, ...holders], { concurrency: "unbounded" })
      const seconds = ((yield* Clock.currentTimeMillis) - startedAt) / 1000
      assert.isAtMost(most, limits.concurrent)
      assert.strictEqual(twice, 0)
      assert.isAtMost(total, 1 + limits.rate / 4 + limits.rate * seconds)
      assert.isAbove(total, 50)
    }).pipe(Effect.scoped)
  )

  it.effect("give every task out once, to several instances that claim and settle at once", () =>
    Effect.gen(function* () {
      const queues = [yield* HilltopQueue, yield* instance]
      const sources: Array<number> = []
      for (const name of ["once-a", "once-b"]) {
        sources.push(yield* arranged(name, { rate: 10_000, concurrent: 1_000 }, 1_000))
      }
      const claims = new Map<number, number>()
      const loop = (queue: (typeof queues)[number]): Effect.Effect<void, unknown> =>
        Effect.gen(function* () {
          while (claims.size < 2_000) {
            const mine = (yield* queue.claim(40)).filter((task) => sources.includes(task.sourceId))
            for (const { id } of mine) claims.set(id, (claims.get(id) ?? 0) + 1)
            yield* queue.settle(mine.map((task) => settlementOf(task)))
          }
        })
      yield* Effect.all(
        [0, 1, 0, 1, 0, 1].map((n) => loop(queues[n]!)),
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(new Set(claims.values()), new Set([1]))
    }).pipe(Effect.scoped)
  )

  it.effect("let no task fail the others whose row an operator wrote wrongly", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const queue = yield* HilltopQueue
      const sourceId = yield* arranged("by-hand", { rate: 10_000, concurrent: 10 }, 5)
      const set = (n: number, column: string, value: string) => sql`
        UPDATE hilltop_fetch_tasks SET ${sql(column)} = ${sql.literal(value)} WHERE source_id = ${sourceId} AND fetch_url LIKE ${`%n=${n}`}`
      yield* set(0, "details", `'{"item": "the first"}'`)
      yield* set(1, "previous_history", "'{}'")
      yield* set(2, "previous_history", "'null'")
      yield* set(3, "next_fetch_at", "'-infinity'")
      const mine = (yield* queue.claim(100)).filter((task) => task.sourceId === sourceId)
      assert.strictEqual(mine.length, 4)
      assert.deepStrictEqual(yield* queue.settle(mine.map((task) => settledAtOnce(task))), [])
      const runs = yield* sql<{ result: string; attempts: number }>`
        SELECT previous_history -> 0 ->> 'result' AS result, attempts FROM hilltop_fetch_tasks
        WHERE source_id = ${sourceId} AND jsonb_array_length(previous_history) = 1 ORDER BY id`
      assert.deepStrictEqual(runs, [
        { result: "UNKNOWN_ERROR", attempts: 1 },
        ...Array.from({ length: 4 }, () => ({ result: "SUCCESS", attempts: 0 }))
      ])
      assert.strictEqual((yield* serverOf("by-hand")).in_flight, 0)
    })
  )

  it.effect("count a task at its own server, even if an operator inserts it or moves it to another", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const queue = yield* HilltopQueue
      const sourceId = yield* arranged("first", { rate: 10_000, concurrent: 10 }, 0)
      yield* sql`
        INSERT INTO hilltop_fetch_tasks (source_id, request_type, fetch_url)
        VALUES (${sourceId}, 'MEASUREMENT_DATA', 'HTTP://First.example.nz:80/data.hts?by-hand')`
      const mine = Effect.map(queue.claim(100), (tasks) => tasks.find((task) => task.sourceId === sourceId)!)
      const task = yield* mine
      assert.strictEqual(task.server.origin, origin("first"))
      yield* queue.release([task])
      yield* sql`
        UPDATE hilltop_fetch_tasks SET fetch_url = 'http://second.example.nz/data.hts', request_type = 'SITES_LIST'
        WHERE id = ${task.id}`
      assert.strictEqual((yield* mine).server.origin, origin("second"))
      assert.strictEqual((yield* serverOf("second")).in_flight, 1)
      assert.strictEqual((yield* serverOf("first")).in_flight, 0)
      const [row] = yield* sql<{ first: boolean }>`
        SELECT priority = 0 AS first FROM hilltop_fetch_tasks WHERE id = ${task.id}`
      assert.isTrue(row!.first)
    })
  )

  it.effect("count requests in flight again when a row was changed by hand", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const queue = yield* HilltopQueue
      const sourceId = yield* arranged("mended", { rate: 10_000, concurrent: 3 }, 9)
      const mine = Effect.map(queue.claim(100), (tasks) => tasks.filter((task) => task.sourceId === sourceId))
      const held = yield* mine
      assert.strictEqual(held.length, 3)
      yield* sql`DELETE FROM hilltop_fetch_tasks WHERE id = ${held[0]!.id}`
      yield* sql`UPDATE hilltop_fetch_leases SET lease_until = now() WHERE task_id = ${held[0]!.id}`
      yield* sql`DELETE FROM hilltop_fetch_leases WHERE task_id = ${held[1]!.id}`
      assert.deepStrictEqual(yield* mine, [])
      yield* queue.takeOver
      assert.strictEqual((yield* serverOf("mended")).in_flight, 1)
      assert.strictEqual((yield* mine).length, 2)
    })
  )

  it.effect("free the slots of a crashed instance when its leases have run out", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const queue = yield* HilltopQueue
      const sourceId = yield* arranged("crashed", { rate: 10_000, concurrent: 2 }, 9)
      const mine = Effect.map(queue.claim(100), (tasks) => tasks.filter((task) => task.sourceId === sourceId))
      const held = yield* mine
      yield* sql`UPDATE hilltop_fetch_leases SET lease_until = now() - interval '1 second' WHERE task_id = ${held[0]!.id}`
      assert.isAtLeast(yield* queue.takeOver, 1)
      assert.strictEqual((yield* serverOf("crashed")).in_flight, 1)
      // Late ends change nothing any more.
      yield* queue.release([held[0]!])
      assert.deepStrictEqual(yield* queue.settle([settledAtOnce(held[0]!)]), [{ id: held[0]!.id, again: undefined }])
      assert.strictEqual((yield* serverOf("crashed")).in_flight, 1)
    })
  )

  it.effect("follow the rule of the pace, whatever is heard", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const queue = yield* HilltopQueue
      yield* arranged("paced", { rate: 10, concurrent: 4 }, 0)
      const answers: fc.Arbitrary<ServerAnswer | undefined> = fc.oneof(
        { weight: 6, arbitrary: fc.record({ kind: fc.constant("answered" as const), millis: fc.nat(3000) }) },
        { weight: 1, arbitrary: fc.constant({ kind: "answered" as const }) },
        { weight: 2, arbitrary: fc.constant({ kind: "failed" as const }) },
        { weight: 1, arbitrary: fc.record({ kind: fc.constant("busy" as const), coolDown: fc.nat(40) }) },
        { weight: 1, arbitrary: fc.constant(undefined) }
      )
      const heard = fc.array(fc.record({ answer: answers, behind: fc.constantFrom(0, 0, 0, 1) }), { maxLength: 8 })
      const batches = fc.sample(heard, { numRuns: 150, seed: 11 })
      const first = yield* serverOf("paced")
      const earlier = (server: ServerHealth) => ({ ...server, pacedAt: server.pacedAt - 20_000 })
      let expected: ServerHealth = newServer(first.paced_at)
      for (const [n, batch] of batches.entries()) {
        if (n % 3 === 0) {
          yield* sql`UPDATE hilltop_servers SET paced_at = paced_at - interval '20 seconds' WHERE origin = ${origin("paced")}`
          expected = earlier(expected)
        }
        const settlements = batch.map(({ answer, behind }) =>
          settledAtOnce(
            { id: 0, fence: 0, server: { origin: origin("paced"), epoch: Math.max(0, expected.epoch - behind) } },
            answer
          )
        )
        yield* queue.settle(settlements)
        const row = yield* serverOf("paced")
        if (batch.some(({ answer }) => answer !== undefined)) {
          expected = afterSignal(expected, signalOf(settlements), row.paced_at)
        }
        const { answers, epoch, failures, pauses } = row
        assert.deepStrictEqual(
          { answers, epoch, failures, pauses },
          {
            answers: expected.answers,
            epoch: expected.epoch,
            failures: expected.failures,
            pauses: expected.pauses
          }
        )
        // The times are rounded on their way.
        assert.closeTo(row.pace, expected.pace, 1e-5)
        assert.closeTo(row.recent_millis, expected.recentMillis, 1e-6)
        assert.closeTo(row.usual_millis, expected.usualMillis, 1e-6)
        assert.strictEqual(row.open === null, expected.openUntil === undefined)
        assert.closeTo(row.open ?? 0, expected.openUntil ?? 0, 1)
        assert.closeTo(row.cool ?? 0, expected.coolDownUntil ?? 0, 1)
      }
    })
  )

  it.effect("hear every answer once, however many settle at once", () =>
    Effect.gen(function* () {
      const queues = [yield* HilltopQueue, yield* instance]
      const sourceId = yield* arranged("heard", { rate: 10_000, concurrent: 1_000 }, 200)
      const claimed = Effect.map(queues[0]!.claim(100), (tasks) => tasks.filter((task) => task.sourceId === sourceId))
      const mine: Array<ClaimedTask> = []
      while (mine.length < 200) mine.push(...(yield* claimed))
      const settleAll = (
        queue: HilltopQueue["Service"],
        settlements: ReadonlyArray<Settlement>
      ): Effect.Effect<void, unknown> =>
        Effect.flatMap(queue.settle(settlements), (unsettled) => {
          const again = unsettled.flatMap((one) => one.again ?? [])
          return again.length === 0 ? Effect.void : settleAll(queue, again)
        })
      const answer = { kind: "answered", millis: 100 } as const
      yield* Effect.forEach(
        mine,
        (task, n) => settleAll(queues[n % 2]!, [settlementOf(task, { delay: Duration.days(1), answer })]),
        { concurrency: 8, discard: true }
      )
      const { answers, in_flight } = yield* serverOf("heard")
      assert.deepStrictEqual({ answers, in_flight }, { answers: 200, in_flight: 0 })
    }).pipe(Effect.scoped)
  )

  it.effect("keep a run whose error text no PostgreSQL text can hold", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const queue = yield* HilltopQueue
      const sourceId = yield* arranged("odd", { rate: 10_000, concurrent: 3 }, 1)
      const task = (yield* queue.claim(100)).find((each) => each.sourceId === sourceId)
      const run = { at: "2026-01-01T00:00:00.000Z", result: "HILLTOP_ERROR", detail: "a\0b \ud800 \\u0000" } as const
      assert.deepStrictEqual(yield* queue.settle([{ ...settledAtOnce(task!), run }]), [])
      const [kept] = yield* sql<{ detail: string }>`
        SELECT previous_history -> -1 ->> 'detail' AS detail FROM hilltop_fetch_tasks WHERE id = ${task!.id}`
      assert.strictEqual(kept?.detail, "ab \ufffd \\u0000")
    })
  )
})
