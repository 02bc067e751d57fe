/**
 * Rows that somebody wrote by hand and that say what no program can: each harms itself and no other, and none is hidden.
 */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import { LockStore } from "../../src/sync/LockStore.ts"
import { syncOrRecord } from "../../src/sync/runClaims.ts"
import { gsrnOf } from "../support/gsrns.ts"
import { adapterKnows, answerFor, ApiUnderTest, keyOf, layerOnPool } from "./ApiUnderTest.ts"

const organisation = "912345678"
const here = [1, 2, 3, 4].map(gsrnOf)
const strange = here[1]!
const claimAll = LockStore.use((locks) => locks.claim({ limit: 100, lanes: "all", failing: 100, deadAfter: 600 }))

/** Four accounting points with a living unit each, due to be synced. */
const arrange = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const { ask } = yield* ApiUnderTest
  yield* sql`TRUNCATE flex.accounting_point, flex.end_user CASCADE`
  for (const gsrn of here) {
    yield* adapterKnows(answerFor(gsrn, organisation))
    const answered = yield* ask(`/controllable_unit/a0000000-0000-4000-8000-${gsrn.slice(6)}`, {
      method: "PUT",
      key: keyOf("admin"),
      body: { accounting_point: gsrn, name: "Unit", start_date: "2026-01-01" }
    })
    assert.strictEqual(answered.status, 201)
  }
  yield* sql`UPDATE flex.accounting_point_sync SET last_synced_at = now() - interval '1 hour'`
})

const unit = `flex.controllable_unit u SET start_date = %s FROM flex.accounting_point a
  WHERE a.id = u.accounting_point_id AND a.business_id = '${strange}'`
const sync = `flex.accounting_point_sync SET %s WHERE business_id = '${strange}'`
const point = `flex.accounting_point SET %s WHERE business_id = '${strange}'`
const period = `flex.accounting_point_end_user t SET valid_time_range = %s FROM flex.accounting_point a
  WHERE a.id = t.accounting_point_id AND a.business_id = '${strange}'`
const set = (table: string, what: string) => `UPDATE ${table.replace("%s", what)}`

/** What is written, and whether the row can be read all the same. */
const cases: ReadonlyArray<readonly [string, string, "read" | "failing"]> = [
  ["a unit that never starts", set(unit, "'infinity'"), "read"],
  ["a unit that started before all time", set(unit, "'-infinity'"), "read"],
  ["a unit that started before Christ", set(unit, "'0044-03-15 BC'"), "read"],
  ["a unit that starts in the year 10000", set(unit, "'10000-01-01'"), "read"],
  ["a version beyond all numbers", set(sync, "version = 9007199254740993"), "failing"],
  ["the greatest version", set(sync, "version = 9223372036854775807"), "failing"],
  [
    "the greatest number of failures",
    set(sync, "failures = 2147483647, next_attempt_at = now(), version = 9007199254740993"),
    "failing"
  ],
  ["a sync before all time", set(sync, "last_synced_at = '-infinity'"), "read"],
  ["a sync at the end of all time", set(sync, "last_synced_at = 'infinity'"), "read"],
  ["an event at the end of all time", set(sync, "last_event_at = 'infinity'"), "read"],
  ["an event in the year 9999", set(sync, "last_event_at = '9999-12-31 23:59:59.123457+00'"), "read"],
  [
    "an event before Christ",
    set(sync, "last_event_at = '0044-03-15 BC', synced_event_at = '-infinity', event_seen_at = now()"),
    "read"
  ],
  ["an event that came before all time", set(sync, "last_event_at = now(), event_seen_at = '-infinity'"), "read"],
  ["a latitude that is no number", set(point, "latitude = 'NaN', longitude = 10"), "read"],
  ["a longitude without end", set(point, "latitude = 60, longitude = 'Infinity'"), "read"],
  ["a period that began before all time", set(period, "tstzrange('-infinity', NULL)"), "read"],
  ["a period that ends in infinity", set(period, "tstzrange('2020-01-01', 'infinity')"), "read"],
  ["a period before Christ and after 9999", set(period, "tstzrange('0044-03-15 BC', '20000-01-01')"), "read"]
]

it.layer(layerOnPool, { excludeTestServices: true })("a row that was written by hand", (it) => {
  it.effect.each(cases)("with %s harms no other", ([, statement, becomes]) =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const { ask } = yield* ApiUnderTest
      yield* arrange
      yield* sql.unsafe(statement).unprepared

      assert.strictEqual((yield* ask("/health/progress")).status, 200)
      const copy = yield* ask(`/accounting_point/${strange}`, { key: keyOf("read") })
      assert.strictEqual(copy.status, 200)
      const body = { end_user: organisation, accounting_point: strange }
      const lookups = yield* Effect.forEach(
        here,
        (gsrn) => ask("/controllable_unit/lookup", { key: keyOf("lookup"), body: { ...body, accounting_point: gsrn } }),
        { concurrency: "unbounded" }
      )
      lookups.forEach(({ status }, i) => {
        if (here[i] !== strange || becomes === "read") assert.strictEqual(status, 200)
        else assert.include([200, 503], status)
      })

      const claims = yield* claimAll
      const healthy = here.filter((gsrn) => gsrn !== strange || becomes === "read")
      const row = Effect.map(
        sql<{ failures: number; last_error: string | null; rests: boolean; claimed: boolean }>`
          SELECT failures, last_error, next_attempt_at > now() AS rests, last_sync_start IS NOT NULL AS claimed
          FROM flex.accounting_point_sync WHERE business_id = ${strange}`,
        ([found]) => found!
      )
      const claimed = claims.map(({ gsrn }) => gsrn as string)
      for (const gsrn of healthy) assert.include(claimed, gsrn)
      for (const claim of claims) assert.notInclude(["failed", "released"], yield* syncOrRecord(claim))
      if (becomes === "failing") {
        const { failures, ...rest } = yield* row
        assert.deepStrictEqual(rest, { last_error: "unreadable", rests: true, claimed: false })
        assert.isAtLeast(failures, 1)
      }
      // Nothing of it is claimed again at once, so that nobody is asked in a circle.
      yield* sql`UPDATE flex.accounting_point_sync SET relevant = false WHERE business_id <> ${strange}`
      assert.deepStrictEqual(
        (yield* LockStore.use((locks) => locks.claim({ limit: 9, lanes: "events", failing: 9, deadAfter: 600 })))
          .length,
        0
      )
      assert.strictEqual((yield* ask("/health/progress")).status, 200)
      assert.strictEqual((yield* ask("/health/ready")).status, 200)
    })
  )

  it.effect("with a number of no accounting point harms no claim", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      yield* arrange
      yield* sql`INSERT INTO flex.accounting_point (business_id) VALUES ('707057500000000019')`
      yield* sql`UPDATE flex.accounting_point_sync SET relevant = true`
      const claims = yield* claimAll
      assert.deepStrictEqual(claims.map(({ gsrn }) => gsrn).sort(), [...here].sort())
      assert.strictEqual(
        (yield* sql<{ why: string }>`SELECT last_error AS why FROM flex.accounting_point_sync
          WHERE business_id = '707057500000000019'`)[0]!.why,
        "unreadable"
      )
    })
  )
})

const lists: ReadonlyArray<readonly [string, string, string, string]> = [
  [
    "a source made at the end of all time",
    "hilltop_sources",
    "created_at = 'infinity', updated_at = '-infinity'",
    "/hilltop/source"
  ],
  ["a source with a list for a configuration", "hilltop_sources", "configuration = '[1]'", "/hilltop/source"],
  [
    "a source with a number beyond all numbers",
    "hilltop_sources",
    `configuration = '{"requestsPerSecond": 1e999}'`,
    "/hilltop/source"
  ],
  ["a task that is due before all time", "hilltop_fetch_tasks", "next_fetch_at = '-infinity'", "/hilltop/task"],
  ["a task that is due in the year 10000", "hilltop_fetch_tasks", "next_fetch_at = '10000-01-01'", "/hilltop/task"],
  ["a history that is none", "hilltop_fetch_tasks", `previous_history = '{"a": 1e999}'`, "/hilltop/task"],
  ["a history of anything", "hilltop_fetch_tasks", `previous_history = '[1e999, null, "a"]'`, "/hilltop/task"],
  [
    "a site that is nowhere",
    "observation_sites",
    "easting = 'NaN', northing = 'Infinity', latitude = 'NaN'",
    "/observation/site"
  ]
]

it.layer(layerOnPool, { excludeTestServices: true })("a list", (it) => {
  it.effect("of tasks passes over those of other kinds, and goes on behind them", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const { ask } = yield* ApiUnderTest
      yield* sql`TRUNCATE hilltop_sources CASCADE`
      yield* sql`INSERT INTO hilltop_sources (council_id, hts_url, configuration) VALUES (1, 'http://kinds.test/a.hts', '{}')`
      yield* sql`INSERT INTO hilltop_fetch_tasks (source_id, request_type, fetch_url)
        SELECT id, kind, 'http://kinds.test/' || n FROM hilltop_sources,
          unnest('{SITES_LIST,feed.page,feed.page,SITES_LIST,feed.page,SITES_LIST}'::text[]) WITH ORDINALITY AS task (kind, n)`
      const [source] = yield* sql<{ id: number }>`SELECT id FROM hilltop_sources`
      for (const filter of ["", "&status=due", `&source=${source!.id}`, "&type=SITES_LIST"]) {
        let pages = 0
        const found: Array<string> = []
        for (let cursor: string | null = ""; cursor !== null; pages++) {
          const path: string = `/hilltop/task?limit=1${filter}${cursor === "" ? "" : `&cursor=${cursor}`}`
          const answered = yield* ask(path, { key: keyOf("admin") })
          const page = answered.json as { items: ReadonlyArray<{ fetch_url: string }>; next_cursor: string | null }
          found.push(...page.items.map(({ fetch_url }) => fetch_url.slice(-1)))
          cursor = pages < 20 ? page.next_cursor : null
        }
        assert.deepStrictEqual(found, ["1", "4", "6"], filter)
      }
    })
  )

  it.effect.each(lists)("shows %s beside the others", ([, table, change, path]) =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const { ask } = yield* ApiUnderTest
      yield* sql`TRUNCATE hilltop_sources, observation_sites CASCADE`
      yield* sql`INSERT INTO hilltop_sources (council_id, hts_url, configuration)
        SELECT n, 'http://example.test/' || n, '{"measurementNames": []}' FROM generate_series(1, 3) n`
      yield* sql`INSERT INTO hilltop_fetch_tasks (source_id, request_type, fetch_url)
        SELECT id, 'SITES_LIST', hts_url FROM hilltop_sources`
      yield* sql`INSERT INTO observation_sites (council_id, name) SELECT n, 'Site' FROM generate_series(1, 3) n`
      yield* sql.unsafe(`UPDATE ${table} SET ${change} WHERE id = (SELECT min(id) + 1 FROM ${table})`).unprepared
      const key = keyOf(path.startsWith("/hilltop") ? "admin" : "read")
      const answered = yield* ask(`${path}?limit=2`, { key })
      assert.strictEqual(answered.status, 200)
      const { items, next_cursor } = answered.json as {
        items: ReadonlyArray<{ id: number }>
        next_cursor: string | null
      }
      assert.strictEqual(items.length, 2)
      assert.isNotNull(next_cursor)
      assert.strictEqual((yield* ask("/health/progress")).status, 200)
    })
  )
})
