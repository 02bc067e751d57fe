/**
 * Good answers, doubtful ones, good answers: the real crawler against a simulated server that shows each kind of doubt, and the
 * tables of PostgreSQL before and after. Its time stands still, so that a good answer always says the same.
 */
import { assert, it } from "@effect/vitest"
import { Effect, Layer, Ref } from "effect"
import { SqlClient } from "effect/sql"
import { PgObservationStore } from "../../../layers/observations/PgObservationStore.ts"
import { HilltopSimulator } from "../../../scripts/simulators/HilltopSimulator.ts"
import type { FaultSetting } from "../../../scripts/simulators/hilltop/HilltopFaults.ts"
import { MemoryTopics } from "../../../src/stream/MemoryTopics.ts"
import { mapRecord } from "../../../src/stream/ObservationMapper.ts"
import { fromObservationRecord } from "../../../src/stream/observationRecord.ts"
import { ObservationStore } from "../../../src/stream/ObservationStore.ts"
import { crawl, crawlWith, rawTopic } from "../../crawl/crawlRun.ts"
import { rowsOf } from "../../stream/streamRun.ts"

const layer = PgObservationStore.pipe(
  Layer.provideMerge(crawlWith({ simulator: { sites: 3, historyDays: 40, speed: 0 } }))
)

/** Each with the least share of requests that it makes doubtful: not every fault is about every request. */
const doubts: ReadonlyArray<FaultSetting> = [
  { fault: "no-data" },
  { fault: "no-data", form: "empty" },
  { fault: "no-sites" },
  { fault: "no-data-source" },
  { fault: "shortened-list" },
  { fault: "other-site" },
  { fault: "error", text: "Cannot open the archive" },
  { fault: "spoilt-text", kind: "error-within" },
  { fault: "exception-report" },
  { fault: "truncate" },
  { fault: "html" },
  { fault: "empty-body" }
]

it.layer(layer, { excludeTestServices: true, timeout: "120 seconds" })("doubtful answers of a server", (it) => {
  it.effect("publish nothing, change no row of the tables, and are asked for again soon, whatever their kind", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const topics = yield* MemoryTopics
      const world = yield* HilltopSimulator
      const store = yield* ObservationStore
      const source = world.sources[0]!
      yield* sql`
        INSERT INTO hilltop_sources (council_id, hts_url, configuration)
        VALUES (${source.councilId}, ${source.htsUrl}, ${JSON.stringify({ measurementNames: source.measurementNames })})`
      const read = yield* Ref.make(0)
      /** Maps and stores what was published since. */
      const keep = Effect.gen(function* () {
        const raw = topics.records(rawTopic)
        let offset = (yield* Ref.getAndSet(read, raw.length)) * 10_000
        for (const record of raw.slice(offset / 10_000)) {
          const { records } = yield* mapRecord(record, "observations")
          const messages = yield* Effect.forEach(records, ({ headers = {}, value }) =>
            fromObservationRecord({ offset: offset++, value, headers, at: 0 })
          )
          yield* store.store({ topic: "observations", partition: 0, messages })
        }
        return raw.length
      })
      const again = Effect.gen(function* () {
        yield* sql`UPDATE hilltop_servers SET failures = 0, pauses = 0, open_until = NULL, pace = 1`
        yield* sql`UPDATE hilltop_fetch_tasks SET next_fetch_at = now()`
        yield* crawl
        return yield* keep
      })
      const taskCount = Effect.map(
        sql<{ n: number }>`SELECT count(*)::int4 AS n FROM hilltop_fetch_tasks`,
        ([row]) => row!.n
      )

      yield* crawl
      const published = yield* keep
      const rows = yield* rowsOf(source.councilId)
      const tasks = yield* taskCount
      assert.isAbove(rows.length, 1_000)
      for (const fault of doubts) {
        const kind = JSON.stringify(fault)
        yield* world.faults.set([fault])
        assert.strictEqual(yield* again, published, kind)
        const failed = yield* sql<{ detail: string; soon: boolean }>`
          SELECT previous_history -> -1 ->> 'detail' AS detail, next_fetch_at < now() + interval '1 day' AS soon
          FROM hilltop_fetch_tasks WHERE attempts > 0`
        assert.isAtLeast(failed.length, 1, kind)
        assert.isTrue(
          failed.every(({ soon }) => soon),
          kind
        )
        yield* world.faults.set([])
        assert.strictEqual(yield* again, published, kind)
        const [left] = yield* sql<{ n: number; changed: number }>`
          SELECT count(*) FILTER (WHERE attempts > 0)::int4 AS n,
            count(*) FILTER (WHERE previous_history -> -1 ->> 'result' <> 'UNCHANGED')::int4 AS changed
          FROM hilltop_fetch_tasks WHERE set_aside_at IS NULL`
        assert.deepStrictEqual(left, { n: 0, changed: 0 }, kind)
      }
      assert.deepStrictEqual(yield* rowsOf(source.councilId), rows)
      assert.strictEqual(yield* taskCount, tasks)
    })
  )
})
