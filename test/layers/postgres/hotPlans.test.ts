/**
 * The statements of hot paths have plans that stay as quick when the tables are large: every large table is entered by an index and a
 * condition on it, and nothing is sorted but what the statement was given.
 */
import { assert, it } from "@effect/vitest"
import { PgClient } from "@effect/sql-pg"
import { ConfigProvider, Effect, Layer } from "effect"
import { PgHilltopQueue } from "../../../layers/crawl/PgHilltopQueue.ts"
import { PgRedirectBudget } from "../../../layers/crawl/PgRedirectBudget.ts"
import { connectionsTo } from "../../../layers/postgres/PgConnections.ts"
import { PgAccountingPointStore } from "../../../layers/sync/PgAccountingPointStore.ts"
import { PgEventInbox } from "../../../layers/sync/PgEventInbox.ts"
import { PgLockStore } from "../../../layers/sync/PgLockStore.ts"
import { makeRecordNews } from "../../../layers/topics/recordNews.ts"
import { PgTopics } from "../../../layers/topics/PgTopics.ts"
import { HilltopQueue } from "../../../src/crawl/HilltopQueue.ts"
import type { AccountingPointAnswer } from "../../../src/domain/AccountingPoint.ts"
import { difference } from "../../../src/domain/AccountingPoint.ts"
import { RedirectBudget } from "../../../src/hilltop/RedirectBudget.ts"
import { KafkaSink } from "../../../src/stream/KafkaSink.ts"
import { AccountingPointStore } from "../../../src/sync/AccountingPointStore.ts"
import { EventInbox } from "../../../src/sync/EventInbox.ts"
import { type CopyUpdate, LockStore } from "../../../src/sync/LockStore.ts"
import { withConnection } from "../../support/adminConnection.ts"
import { genericPlans, type PlanNode } from "../../support/genericPlans.ts"
import { gsrnOf } from "../../support/gsrns.ts"
import { TestDatabase } from "../../support/TestDatabase.ts"

const oneSession = Layer.unwrap(
  Effect.map(TestDatabase, ({ url }) => connectionsTo({ url, applicationName: "penstock-test", maxConnections: 1 }))
).pipe(Layer.provideMerge(TestDatabase.layer))

const topic = "planned"
const layer = Layer.mergeAll(
  PgAccountingPointStore,
  PgEventInbox,
  PgLockStore,
  PgHilltopQueue,
  PgRedirectBudget,
  PgTopics({ topics: { [topic]: 2 } })
).pipe(
  Layer.provideMerge(oneSession),
  Layer.provide(ConfigProvider.layer(ConfigProvider.fromUnknown({ CRAWL_SERVER_RATE: "1000" })))
)

/** Those of which there are a few: a server each, a partition each. */
const small = new Set(["hilltop_servers", "hilltop_lanes", "hilltop_sources", "topic_partitions"])
/** More rows than a statement is ever given. */
const many = 1_000

const isIndexed = (node: PlanNode): boolean =>
  node["Node Type"] !== "Seq Scan" &&
  (!String(node["Node Type"]).startsWith("Index") || node["Index Cond"] !== undefined)

const faultsOf = (nodes: ReadonlyArray<PlanNode>): ReadonlyArray<string> =>
  nodes.flatMap((node) => {
    const [type, table] = [String(node["Node Type"]), node["Relation Name"]]
    const isLarge = typeof table === "string" && !small.has(table) && type !== "ModifyTable"
    return [
      ...(isLarge && !isIndexed(node) ? [`${type} of all of ${table}`] : []),
      ...(type.endsWith("Sort") && Number(node["Plan Rows"]) > many
        ? [`${type} of ${String(node["Plan Rows"])} rows`]
        : [])
    ]
  })

it.layer(layer, { excludeTestServices: true, timeout: "60 seconds" })("the statements of hot paths", (it) => {
  const points = 2_000
  /** On a connection of its own: nothing of it is a statement of a hot path. */
  const fill = Effect.gen(function* () {
    const { url } = yield* TestDatabase
    yield* withConnection(url, insertAll)
  })
  const insertAll = Effect.fnUntraced(function* (sql: PgClient.PgClient) {
    yield* sql`INSERT INTO flex.accounting_point (business_id)
      SELECT unnest(${Array.from({ length: points }, (_, n) => gsrnOf(n))}::text[])`
    yield* sql`INSERT INTO flex.end_user (business_id, type) SELECT (900000000 + n)::text, 'organisation' FROM generate_series(1, ${points}::int4) n`
    yield* sql`INSERT INTO flex.energy_supplier (business_id) SELECT (7080005000000 + n)::text FROM generate_series(1, 30) n`
    yield* sql`INSERT INTO flex.metering_grid_area (business_id) SELECT '50YPLAN' || n FROM generate_series(1, 30) n`
    yield* sql`INSERT INTO flex.accounting_point_end_user (accounting_point_id, end_user_id, valid_time_range)
      SELECT a.id, u.id, '[2024-01-01,)' FROM flex.accounting_point a JOIN flex.end_user u ON u.id = a.id`
    yield* sql`INSERT INTO flex.accounting_point_energy_supplier (accounting_point_id, energy_supplier_id, valid_time_range)
      SELECT id, 1 + id % 30, '[2024-01-01,)' FROM flex.accounting_point`
    yield* sql`INSERT INTO flex.accounting_point_metering_grid_area (accounting_point_id, metering_grid_area_id, valid_time_range)
      SELECT id, 1 + id % 30, '[2024-01-01,)' FROM flex.accounting_point`
    yield* sql`INSERT INTO flex.accounting_point_energy_direction (accounting_point_id, direction, valid_time_range)
      SELECT id, 'consumption', '[2024-01-01,)' FROM flex.accounting_point`
    yield* sql`INSERT INTO flex.awaited_accounting_point (business_id) SELECT (707057509000000000 + n)::text FROM generate_series(1, 5000) n`
    yield* sql`INSERT INTO hilltop_sources (council_id, hts_url, configuration)
      SELECT n, 'http://s' || n || '.example.nz/a.hts', '{}' FROM generate_series(1, 20) n`
    yield* sql`INSERT INTO hilltop_fetch_tasks (source_id, request_type, fetch_url)
      SELECT id, 'MEASUREMENT_DATA', hts_url || '?n=' || n FROM hilltop_sources, generate_series(1, 500) n`
    yield* sql`ANALYZE`
  })

  /** What a point is said to be, when its supplier has changed, or all that can change. */
  const changed = (answer: AccountingPointAnswer, isAll: boolean): AccountingPointAnswer => {
    const from = Date.UTC(2026, 0, 1)
    const open = (value: string) => [{ value, from, to: undefined }]
    const { timelines } = answer
    return {
      ...answer,
      timelines: {
        ...timelines,
        energy_supplier: [...timelines.energy_supplier.map((row) => ({ ...row, to: from })), ...open("7080005999999")],
        ...(isAll ? { end_user: open("910000001"), metering_grid_area: open("50YNEW"), energy_direction: [] } : {})
      },
      location: isAll ? { latitude: 60, longitude: 10 } : undefined
    }
  }

  const updatesOf = Effect.fnUntraced(function* (ids: ReadonlyArray<number>, how: "same" | "moved" | "all") {
    const store = yield* AccountingPointStore
    return [...(yield* store.readAll(ids))].map(([id, copy]): readonly [number, CopyUpdate] => {
      const gsrn = gsrnOf(id - 1)
      const answer: AccountingPointAnswer = { ...copy, gsrn, entityTypes: new Map(), location: undefined }
      const { version } = copy
      const ticket = {
        gsrn,
        accountingPointId: id,
        version,
        seenEventAt: undefined,
        startedAt: 1,
        earliestStartDate: undefined
      }
      const next = how === "same" ? answer : changed(answer, how === "all")
      return [id, { version, ticket, change: difference(copy, next, Date.UTC(2020, 0, 1)) }]
    })
  })

  it.effect("enter large tables by an index, and sort only what they were given", () =>
    Effect.gen(function* () {
      yield* fill
      const sql = yield* PgClient.PgClient
      const store = yield* AccountingPointStore
      const locks = yield* LockStore
      const queue = yield* HilltopQueue
      const redirects = yield* RedirectBudget
      const sink = yield* KafkaSink
      const news = yield* makeRecordNews(sql)

      yield* store.read(1)
      for (const [n, how] of (["same", "moved", "all"] as const).entries()) {
        const updates = yield* updatesOf([3 * n + 1, 3 * n + 2], how)
        assert.strictEqual((yield* locks.updateFree(updates)).size, 2)
        const [[id, update]] = (yield* updatesOf([3 * n + 3], how)) as [readonly [number, CopyUpdate]]
        assert.isTrue(yield* locks.update(id, update))
      }
      yield* locks.ticket(gsrnOf(1))
      assert.strictEqual((yield* (yield* EventInbox).record([{ gsrn: gsrnOf(1), occurredAt: 0 }])).recorded, 1)
      assert.strictEqual(yield* queue.untilDue, 0)
      assert.strictEqual(yield* redirects.reserve("http://s7.example.nz/a.hts", 1_000), 0)
      yield* sink.send([{ topic, partition: 0, key: "1", value: "{}" }])
      yield* sql`SELECT ${news.notify}::text FROM set_config('synchronous_commit', 'off', true)`

      const plans = yield* genericPlans
      const statementsWith = (word: string) => plans.filter(({ statement }) => statement.includes(word)).length
      // Of each of them what no other has, so that none is left out unnoticed.
      for (const word of [
        "AS periods",
        "lane.origin",
        "AS wait",
        "appended AS",
        "AS told",
        "notify_patiently",
        "AS seen_event_at",
        "moved AS"
      ]) {
        assert.isAtLeast(statementsWith(word), 1, word)
      }
      // Those of one and of several, that change nothing, a timeline, and all.
      assert.strictEqual(statementsWith("finalised AS"), 6)
      const token = plans.find(({ statement }) => statement.includes("AS wait"))!
      assert.isTrue(token.nodes.some((node) => node["Index Name"] === "hilltop_servers_pkey" && isIndexed(node)))
      const faults = plans.flatMap(({ nodes, statement }) =>
        faultsOf(nodes).map((fault) => `${fault}, by ${statement.trim().slice(0, 80)}`)
      )
      assert.deepStrictEqual(faults, [])
    }).pipe(Effect.scoped)
  )
})
