/**
 * Flow 2, the topics and the purge beside an open transaction of somebody else: what concerns a held row waits alone, and loses
 * nothing; everything else goes on.
 */
import { assert, it } from "@effect/vitest"
import { ConfigProvider, Duration, Effect, Fiber, Layer, Ref, Schedule } from "effect"
import { SqlClient } from "effect/sql"
import { PgAdapterBudget } from "../../../layers/sync/PgAdapterBudget.ts"
import { PgHilltopQueue } from "../../../layers/crawl/PgHilltopQueue.ts"
import { PgHilltopSources } from "../../../layers/crawl/PgHilltopSources.ts"
import { PgObservationStore } from "../../../layers/observations/PgObservationStore.ts"
import { PgRetention } from "../../../layers/sync/PgRetention.ts"
import { PgServerBudget } from "../../../layers/crawl/PgServerBudget.ts"
import { PgTopics } from "../../../layers/topics/PgTopics.ts"
import { HilltopQueue } from "../../../src/crawl/HilltopQueue.ts"
import { checkSources } from "../../../src/crawl/SourceWatch.ts"
import type { ClaimedTask } from "../../../src/domain/FetchTask.ts"
import type { Settlement } from "../../../src/crawl/Settlement.ts"
import { Loops } from "../../../src/running/Loop.ts"
import { KafkaSink } from "../../../src/stream/KafkaSink.ts"
import { ObservationStore } from "../../../src/stream/ObservationStore.ts"
import { TopicReader } from "../../../src/stream/TopicReader.ts"
import { AdapterBudget } from "../../../src/sync/AdapterBudget.ts"
import { Retention } from "../../../src/sync/Retention.ts"
import { gsrnOf } from "../../support/gsrns.ts"
import { lockModes, ServicePool, whileHeld } from "../../support/stranger.ts"

const layer = Layer.mergeAll(
  PgHilltopQueue,
  PgHilltopSources,
  PgServerBudget,
  PgObservationStore,
  PgRetention,
  PgAdapterBudget.pipe(Layer.provide(ConfigProvider.layer(ConfigProvider.fromEnvRecord({ ADAPTER_RATE: "1000" })))),
  PgTopics({ topics: { raw: 4, out: 4 } }),
  Loops.layer
).pipe(Layer.provideMerge(ServicePool))

/** Seconds that what concerns nobody may take: 2, and as much again for a machine that has other work. */
const prompt = 4
const inTime = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.map(Effect.timed(effect), ([took, value]) => {
    assert.isBelow(Duration.toSeconds(took), prompt)
    return value
  })

const settlementOf = (task: ClaimedTask): Settlement => ({
  task,
  run: { at: "2026-01-01T00:00:00.000Z", result: "SUCCESS", hash: "abc" },
  delay: Duration.hours(1),
  hash: "abc",
  attempts: 0,
  answer: { kind: "answered", millis: 5 }
})

const servers = 20
/** A source with a task on each of so many servers, all claimed. */
const claimed = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const queue = yield* HilltopQueue
  yield* sql`TRUNCATE hilltop_sources, hilltop_servers, hilltop_lanes, hilltop_fetch_leases CASCADE`
  yield* sql`INSERT INTO hilltop_sources (council_id, hts_url, configuration)
    SELECT n, 'http://server' || n || '.test/', '{"measurementNames": ["Flow"]}' FROM generate_series(1, ${servers}::int4) n`
  yield* sql`INSERT INTO hilltop_fetch_tasks (source_id, request_type, fetch_url)
    SELECT id, 'MEASUREMENT_DATA', hts_url || '?n=1' FROM hilltop_sources`
  const tasks = yield* Effect.repeat(queue.claim(100), {
    until: (found) => found.length > 0,
    schedule: Schedule.spaced("10 millis")
  })
  assert.strictEqual(tasks.length, servers)
  return { queue, sql, tasks, first: tasks[0]! }
})

const heldRows = (task: ClaimedTask): ReadonlyArray<readonly [string, string]> => [
  ["task", `SELECT FROM hilltop_fetch_tasks WHERE id = ${task.id}`],
  ["lease", `SELECT FROM hilltop_fetch_leases WHERE task_id = ${task.id}`],
  ["server", `SELECT FROM hilltop_servers WHERE origin = '${task.server.origin}'`]
]
const modes = lockModes.flatMap((mode) => ["task", "lease", "server"].map((row) => [mode, row] as const))

it.layer(layer, { excludeTestServices: true })("beside a stranger's open transaction", (it) => {
  it.effect.each(modes)("a settlement waits alone, with FOR %s of a %s", ([mode, row]) =>
    Effect.gen(function* () {
      const { first, queue, sql, tasks } = yield* claimed
      const select = new Map(heldRows(first)).get(row)!
      const again = yield* whileHeld(
        [`${select} FOR ${mode}`],
        Effect.gen(function* () {
          const beat = yield* inTime(queue.heartbeat(tasks))
          assert.deepStrictEqual(beat.lost, [])
          assert.isAtMost(beat.held.length, 1)
          yield* inTime(queue.takeOver)
          return yield* inTime(queue.settle(tasks.map(settlementOf)))
        })
      )
      assert.isAtMost(again.length, 1)
      const left = again.map((one) => one.again!)
      assert.deepStrictEqual(yield* queue.settle(left), [])
      const [counted] = yield* sql<{ runs: number; flight: number; leases: number; answers: number }>`
        SELECT (SELECT sum(jsonb_array_length(previous_history)) FROM hilltop_fetch_tasks)::int4 AS runs,
          sum(in_flight)::int4 AS flight, sum(answers)::int4 AS answers,
          (SELECT count(*) FROM hilltop_fetch_leases)::int4 AS leases FROM hilltop_servers`
      assert.deepStrictEqual(counted, { runs: servers, flight: 0, leases: 0, answers: servers })
    })
  )

  it.effect("tasks are given back but for the one that is held, whose lease runs out", () =>
    Effect.gen(function* () {
      const { first, queue, sql, tasks } = yield* claimed
      yield* whileHeld([`${heldRows(first)[1]![1]} FOR UPDATE`], inTime(queue.release(tasks)))
      const left = yield* sql<{ id: number }>`SELECT task_id::float8 AS id FROM hilltop_fetch_leases`
      assert.deepStrictEqual(
        left.map(({ id }) => id),
        [first.id]
      )
    })
  )

  it.effect("sources but the one that is held are checked, and that one fails the check", () =>
    Effect.gen(function* () {
      const { sql } = yield* claimed
      const queued = sql<{ n: number }>`
        SELECT count(*)::int4 AS n FROM hilltop_fetch_tasks WHERE request_type = 'SITES_LIST'`
      yield* whileHeld(
        [
          `SELECT FROM hilltop_sources WHERE council_id = 1 FOR UPDATE`,
          `INSERT INTO hilltop_servers (origin) VALUES ('http://new.test')`
        ],
        Effect.gen(function* () {
          yield* sql`INSERT INTO hilltop_sources (council_id, hts_url, configuration)
            VALUES (99, 'http://new.test/', '{"measurementNames": ["Flow"]}')`
          const [took, failure] = yield* Effect.timed(Effect.flip(checkSources))
          assert.strictEqual(failure._tag, "StoreUnavailable")
          assert.isBelow(Duration.toSeconds(took), 3 * prompt)
          assert.strictEqual((yield* queued)[0]!.n, servers - 1)
        })
      )
      assert.strictEqual(yield* checkSources, servers + 1)
      assert.strictEqual((yield* queued)[0]!.n, servers + 1)
    })
  )

  it.effect.each([
    ["the group's row", `SELECT FROM topic_groups WHERE topic = 'raw' AND partition = 0 FOR UPDATE`],
    ["a row that it is to publish to", `SELECT FROM topic_partitions WHERE topic = 'out' AND partition = 0 FOR UPDATE`]
  ] as const)("a partition rests while %s is held, and the others get on", ([, statement]) =>
    Effect.gen(function* () {
      const sink = yield* KafkaSink
      const reader = yield* TopicReader
      const sql = yield* SqlClient.SqlClient
      yield* sql`DELETE FROM topic_records`
      yield* sql`UPDATE topic_partitions SET next_offset = 0`
      yield* sql`DELETE FROM topic_groups`
      const to = (topic: string, partition: number, value: string) => ({ topic, partition, key: "k", value })
      const consuming = reader.consume({ topic: "raw", group: "g", maxRecords: 1 }, ({ partition, records }) =>
        Effect.succeed(records.map(({ value }) => to("out", partition, value)))
      )
      const publishedTo = (partitions: ReadonlyArray<number>) =>
        sql<{ n: number }>`
          SELECT count(*)::int4 AS n FROM topic_records WHERE topic = 'out' AND partition = ANY (${partitions}::int4[])`.pipe(
          Effect.map(([row]) => row!.n)
        )
      const until = (partitions: ReadonlyArray<number>, count: number) =>
        Effect.repeat(publishedTo(partitions), { until: (n) => n === count, schedule: Schedule.spaced("20 millis") })
      const first = yield* Effect.forkChild(consuming)
      yield* Effect.sleep("100 millis")
      yield* whileHeld(
        [statement],
        Effect.gen(function* () {
          yield* sink.send([0, 1, 2, 3].flatMap((partition) => [to("raw", partition, "a"), to("raw", partition, "b")]))
          yield* inTime(until([1, 2, 3], 6))
          assert.strictEqual(yield* publishedTo([0]), 0)
        })
      )
      yield* until([0], 2)
      assert.isUndefined(first.pollUnsafe())
      yield* Fiber.interrupt(first)
    })
  )

  it.effect("what is sent to one partition waits alone, however much of it there is", () =>
    Effect.gen(function* () {
      const sink = yield* KafkaSink
      const send = (partition: number) => sink.send([{ topic: "raw", partition, key: "k", value: "v" }])
      yield* whileHeld(
        [`SELECT FROM topic_partitions WHERE topic = 'raw' AND partition = 0 FOR UPDATE`],
        Effect.gen(function* () {
          const waiting = yield* Effect.forkChild(
            Effect.forEach(Array.from({ length: 20 }), () => Effect.flip(send(0)), { concurrency: "unbounded" })
          )
          yield* inTime(send(1))
          for (const { _tag } of yield* Fiber.join(waiting)) assert.strictEqual(_tag, "SinkUnavailable")
        })
      )
      yield* send(0)
    })
  )

  it.effect("a batch of observations fails soon, and is stored when its series is free again", () =>
    Effect.gen(function* () {
      const { store } = yield* ObservationStore
      const batch = (partition: number, siteName: string, offset: number) => ({
        topic: "observations",
        partition,
        messages: [
          {
            offset,
            seenAt: Date.UTC(2026, 7, 6) + offset,
            message: {
              type: "OBSERVATION_DATA" as const,
              councilId: 1,
              siteName,
              measurementName: "Flow",
              observations: [{ observedAt: `2026-08-05T00:0${offset}:00+12:00`, value: "1.5" }]
            },
            covers: undefined,
            source: undefined
          }
        ]
      })
      yield* store(batch(0, "Held", 0) as never)
      yield* store(batch(1, "Free", 0) as never)
      yield* whileHeld(
        [
          `SELECT FROM observation_sites_measurements m JOIN observation_sites s ON s.id = m.site_id
          WHERE s.name = 'Held' FOR UPDATE OF m`
        ],
        Effect.gen(function* () {
          const failing = yield* Effect.forkChild(Effect.flip(inTime(store(batch(0, "Held", 1) as never))))
          assert.strictEqual((yield* inTime(store(batch(1, "Free", 1) as never))).added, 1)
          assert.strictEqual((yield* Fiber.join(failing))._tag, "StoreUnavailable")
        })
      )
      assert.strictEqual((yield* store(batch(0, "Held", 1) as never)).added, 1)
    })
  )

  it.effect("a purge passes over what is held, wherever it is held", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const retention = yield* Retention
      const gsrns = [1, 2, 3, 4].map(gsrnOf)
      yield* sql`INSERT INTO flex.accounting_point (business_id, created_at)
        SELECT gsrn, now() - interval '1 year' FROM unnest(${gsrns}::text[]) AS given (gsrn)`
      yield* sql`INSERT INTO flex.lookup_audit (caller, accounting_point_id, outcome)
        SELECT 'caller', id, 'match' FROM flex.accounting_point`
      const rule = { notRelevantFor: 86_400, deadAfter: 600 }
      yield* whileHeld(
        [
          `SELECT FROM flex.lookup_audit l JOIN flex.accounting_point a ON a.id = l.accounting_point_id
            WHERE a.business_id = '${gsrns[0]}' FOR UPDATE OF l`,
          `SELECT FROM flex.accounting_point_sync WHERE business_id = '${gsrns[1]}' FOR KEY SHARE`
        ],
        Effect.gen(function* () {
          assert.strictEqual((yield* inTime(retention.deletePoints(rule, 10))).accountingPoints, 2)
          assert.strictEqual((yield* inTime(retention.deletePoints(rule, 10))).accountingPoints, 0)
        })
      )
      assert.strictEqual((yield* retention.deletePoints(rule, 10)).accountingPoints, 2)
    })
  )

  it.effect("the adapter's budget is given up on within a second, by one connection", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const budget = yield* AdapterBudget
      yield* whileHeld(
        [`SELECT FROM adapter_budget FOR UPDATE`],
        Effect.gen(function* () {
          const failed = yield* Ref.make(0)
          const reserving = yield* Effect.forkChild(
            Effect.forEach(
              Array.from({ length: 30 }),
              () =>
                Effect.andThen(
                  Effect.flip(budget.reserve(1_000)),
                  Ref.update(failed, (n) => n + 1)
                ),
              { concurrency: "unbounded" }
            )
          )
          yield* inTime(sql`SELECT 1`)
          yield* inTime(Fiber.join(reserving))
          assert.strictEqual(yield* Ref.get(failed), 30)
        })
      )
      assert.isDefined(yield* budget.reserve(1_000))
    })
  )
})
