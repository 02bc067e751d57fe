/**
 * Searching tasks over HTTP, and what an operator does to them, with a real PostgreSQL behind.
 */
import { assert, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import * as fc from "fast-check"
import { SqlClient } from "effect/sql"
import { FoundTask, WholeTask } from "../../src/api/TaskSearch.ts"
import { PageOf } from "../../src/api/paging.ts"
import { ApiUnderTest, type Asked, bodyAs, keyOf, layer, problemIn } from "./ApiUnderTest.ts"

const ask = (path: string, asked: Asked = {}) =>
  Effect.flatMap(ApiUnderTest, (api) => api.ask(path, { key: keyOf("read"), ...asked }))
const pageIn = bodyAs(PageOf(FoundTask))

/** All pages of a list, and how many there were. */
const all = Effect.fnUntraced(function* (query: string) {
  const items: Array<typeof FoundTask.Type> = []
  let cursor = ""
  for (let pages = 1; ; pages++) {
    const answered = yield* ask(`/hilltop/task?${query}${cursor}`)
    assert.strictEqual(answered.status, 200, `${query}${cursor} ${answered.text}`)
    const page = pageIn(answered)
    items.push(...page.items)
    if (page.next_cursor === null) return { items, pages }
    cursor = `&cursor=${encodeURIComponent(page.next_cursor)}`
  }
})
const idsOf = (query: string) => Effect.map(all(query), ({ items }) => items.map(({ id }) => id))

/** Two councils with a source each; ten sites a source, two measurements, three months. */
const seeded = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  yield* sql`TRUNCATE hilltop_sources, hilltop_fetch_tasks, hilltop_fetch_leases, hilltop_servers, hilltop_lanes CASCADE`
  const sources = yield* sql<{ id: number }>`
    INSERT INTO hilltop_sources (council_id, hts_url, configuration)
    SELECT n, 'https://server' || n || '.example.nz/data.hts?key=verysecretkey', '{"measurementNames": ["Rainfall"]}'
    FROM generate_series(1, 2) AS n RETURNING id`
  yield* sql`
    INSERT INTO hilltop_fetch_tasks (source_id, request_type, fetch_url, details, next_fetch_at)
    SELECT s.id, 'MEASUREMENT_DATA', s.hts_url || '&site=' || site || m || month,
      jsonb_build_object('siteName', 'Tūī Stream ' || site, 'measurementName', m), now() + interval '1 day'
    FROM hilltop_sources s, generate_series(1, 10) AS site, unnest(ARRAY['Rainfall', '100% Wet_ness']) AS m, generate_series(1, 3) AS month`
  yield* sql`
    INSERT INTO hilltop_fetch_tasks (source_id, request_type, fetch_url, next_fetch_at)
    SELECT id, 'SITES_LIST', hts_url, now() + interval '1 hour' FROM hilltop_sources`
  return { sql, first: sources[0]!.id, second: sources[1]!.id }
})

it.layer(layer, { excludeTestServices: true })("tasks", (it) => {
  it.effect(
    "are found by parts of the names of sites and measurements, whatever the case, and signs stand for themselves",
    () =>
      Effect.gen(function* () {
        const { first } = yield* seeded
        assert.lengthOf(yield* idsOf("name=TUI"), 0)
        assert.lengthOf(yield* idsOf(`name=${encodeURIComponent("tūī stream")}`), 120)
        assert.lengthOf(yield* idsOf("name=rainf"), 60)
        assert.lengthOf(yield* idsOf(`name=${encodeURIComponent("0% wet_")}`), 60)
        assert.lengthOf(yield* idsOf(`name=${encodeURIComponent("%")}&source=${first}`), 30)
        assert.lengthOf(yield* idsOf("name=stream%2010&council=2"), 6)
        assert.lengthOf(yield* idsOf(`name=${encodeURIComponent("\\")}`), 0)
      })
  )

  it.effect("come in pages that hold each once, whatever leads to them", () =>
    Effect.gen(function* () {
      const { first, sql } = yield* seeded
      yield* sql`UPDATE hilltop_fetch_tasks SET next_fetch_at = now() - make_interval(secs => id % 7) WHERE id % 2 = 0`
      yield* sql`UPDATE hilltop_fetch_tasks SET attempts = 2 WHERE id % 5 = 0`
      yield* sql`UPDATE hilltop_fetch_tasks SET set_aside_at = now(), set_aside_reason = 'lost' WHERE id % 3 = 0`
      yield* sql`INSERT INTO hilltop_fetch_leases (task_id, origin, due_at, lease_until)
        SELECT id, origin, next_fetch_at, now() + interval '1 minute' FROM hilltop_fetch_tasks WHERE id % 11 = 0`
      const [{ ids = {} } = {}] = yield* sql<{ ids: Record<string, Array<number>> }>`
        SELECT jsonb_object_agg(status, ids) AS ids FROM (SELECT status, jsonb_agg(id) AS ids FROM (
          SELECT id, CASE WHEN id % 11 = 0 THEN 'claimed' WHEN id % 3 = 0 THEN 'set_aside' WHEN id % 5 = 0 THEN 'failing'
            WHEN id % 2 = 0 THEN 'due' ELSE 'scheduled' END AS status FROM hilltop_fetch_tasks) each GROUP BY status) each`
      const everything = Object.values(ids).flat()
      const filters = ["", `&source=${first}`, "&council=2", "&type=MEASUREMENT_DATA", "&name=rain", "&type=SITES_LIST"]
      for (const status of ["", "due", "scheduled", "claimed", "failing", "set_aside"]) {
        for (const filter of filters) {
          const query = `${status === "" ? "" : `status=${status}&`}limit=1000${filter}`
          const whole = (yield* all(query)).items
          const paged = (yield* all(query.replace("limit=1000", "limit=7"))).items
          assert.deepStrictEqual(
            paged.map(({ id }) => id),
            whole.map(({ id }) => id),
            query
          )
          const wanted = status === "" ? everything : ids[status]!
          const expected = yield* sql<{
            id: number
          }>`SELECT t.id::int4 AS id FROM hilltop_fetch_tasks t JOIN hilltop_sources s ON s.id = source_id
            WHERE t.id = ANY(${wanted}::int8[]) AND CASE ${filter} WHEN '' THEN true WHEN '&council=2' THEN council_id = 2
              WHEN '&type=MEASUREMENT_DATA' THEN request_type = 'MEASUREMENT_DATA' WHEN '&type=SITES_LIST' THEN request_type = 'SITES_LIST'
              WHEN '&name=rain' THEN details ->> 'measurementName' = 'Rainfall' ELSE source_id = ${first} END`
          assert.sameMembers(
            whole.map(({ id }) => id),
            expected.map(({ id }) => id),
            query
          )
          if (status !== "")
            assert.isTrue(
              whole.every((task) => task.status === status),
              query
            )
        }
      }
      const due = (yield* all("status=due&limit=5")).items.map(({ next_fetch_at }) => next_fetch_at)
      assert.deepStrictEqual(
        due,
        [...due].sort((a, b) => a - b),
        "the longest due first"
      )
    })
  )

  it.effect("refuse a cursor of other filters, and names of no length or of too much", () =>
    Effect.gen(function* () {
      yield* seeded
      const { next_cursor } = pageIn(yield* ask("/hilltop/task?name=rain&limit=1"))
      for (const query of [
        `cursor=${next_cursor}`,
        "cursor=nonsense",
        "name=",
        `name=${"x".repeat(101)}`,
        "name=%00",
        "history=51",
        "council=x"
      ]) {
        assert.strictEqual((yield* ask(`/hilltop/task?${query}`)).status, 400, query)
      }
    })
  )

  it.effect("take a cursor that was made by hand, or refuse it, whatever is in it", () =>
    Effect.gen(function* () {
      yield* seeded
      const number = fc.oneof(
        fc.integer({ min: -1, max: 100 }),
        fc.constantFrom<unknown>(
          2 ** 31,
          -(2 ** 31) - 1,
          2 ** 53 - 1,
          2 ** 53,
          1e20,
          -1e300,
          1e308,
          0.5,
          null,
          "1",
          "infinity"
        )
      )
      const text = fc.oneof(
        fc.constantFrom<unknown>("", "Tūī Stream 1", "Rainfall", "\0", "a\0b", "\ud800", "x".repeat(2_000), 1, null),
        fc.string({ unit: "binary", maxLength: 20 })
      )
      const place = fc.oneof(
        fc.record({ id: number }),
        fc.record({ source: number, id: number }),
        fc.record({ due: number, id: number }),
        fc.record({ source: number, site: text, measurement: text, id: number }),
        fc.jsonValue({ maxDepth: 2 })
      )
      const cursor = fc.oneof(
        { weight: 9, arbitrary: place.map((json) => Buffer.from(JSON.stringify(json)).toString("base64url")) },
        fc.string({ maxLength: 50 })
      )
      const filters = fc.constantFrom(
        "",
        "name=rain&",
        "status=due&",
        "status=failing&",
        "status=claimed&",
        "type=SITES_LIST&",
        "name=rain&status=due&"
      )
      const seen = new Set<number>()
      for (const [filter, given] of fc.sample(fc.tuple(filters, cursor), { numRuns: 600, seed: 1 })) {
        const { status, text } = yield* ask(
          `/hilltop/task?${filter}limit=3&cursor=${encodeURIComponent(given.toWellFormed())}`
        )
        assert.include([200, 400], status, `${filter} ${Buffer.from(given, "base64url").toString()} ${text}`)
        seen.add(status)
      }
      assert.sameMembers([...seen], [200, 400])
    })
  )

  it.effect("are read whole, with their last runs, their source without its secrets, and their server", () =>
    Effect.gen(function* () {
      const { first, sql } = yield* seeded
      const [task] = yield* sql<{ id: number }>`
        UPDATE hilltop_fetch_tasks SET previous_history = (SELECT jsonb_agg(jsonb_build_object('at', n, 'result', 'SUCCESS')) FROM generate_series(1, 60) AS n)
        WHERE id = (SELECT min(id) FROM hilltop_fetch_tasks WHERE source_id = ${first}) RETURNING id::int4 AS id`
      const answered = yield* ask(`/hilltop/task/${task!.id}`)
      const read = bodyAs(WholeTask)(answered)
      assert.lengthOf(read.history, 50)
      assert.deepInclude(read.history.at(-1), { at: 60 })
      assert.strictEqual(read.source.address, "https://server1.example.nz/data.hts")
      assert.deepInclude(read.server, {
        origin: "https://server1.example.nz",
        state: "well",
        reason: null,
        asked_again_at: null
      })
      assert.strictEqual(read.site_name, "Tūī Stream 1")
      assert.approximately(read.due_in_seconds, 86_400, 60)
      const listed = pageIn(yield* ask(`/hilltop/task?source=${first}&limit=1000&history=2`)).items.find(
        ({ id }) => id === task!.id
      )
      assert.lengthOf(listed!.history, 2)
      assert.strictEqual((yield* ask("/hilltop/task/999999")).status, 404)
      assert.strictEqual((yield* ask(`/hilltop/task/${task!.id}`, { key: keyOf("admin") })).status, 200)
      assert.strictEqual((yield* ask(`/hilltop/task/${task!.id}`, { key: keyOf("lookup") })).status, 403)
    })
  )

  it.effect(
    "run again when they were set aside, one by one or all that were lost, told in the log with the caller's name",
    () =>
      Effect.gen(function* () {
        const { first, sql } = yield* seeded
        const admin = { key: keyOf("admin"), method: "POST" }
        const [one, two] = yield* sql<{ id: number }>`
        UPDATE hilltop_fetch_tasks SET set_aside_at = now(), set_aside_reason = CASE WHEN source_id = ${first} THEN 'lost' ELSE 'excluded' END,
          takeovers = 5, attempts = 3 WHERE request_type = 'SITES_LIST' RETURNING id::int4 AS id, source_id`
        assert.strictEqual((yield* ask(`/hilltop/task/${two!.id}/redrive`, { method: "POST" })).status, 403)
        assert.strictEqual((yield* ask(`/hilltop/task/${two!.id}/redrive`, admin)).status, 200)
        const again = yield* ask(`/hilltop/task/${two!.id}/redrive`, admin)
        assert.strictEqual(again.status, 409)
        assert.strictEqual(problemIn(again).type, "urn:penstock:problem:task-not-set-aside")
        const lost = yield* ask("/hilltop/task/redrive", { ...admin, body: { reason: "lost" } })
        assert.deepStrictEqual(lost.json, { redriven: 1, more: false })
        assert.deepStrictEqual((yield* ask("/hilltop/task/redrive", { ...admin, body: { reason: "lost" } })).json, {
          redriven: 0,
          more: false
        })
        assert.strictEqual(
          (yield* ask("/hilltop/task/redrive", { ...admin, body: { reason: "excluded" } })).status,
          400
        )
        const rows =
          yield* sql`SELECT attempts, takeovers, set_aside_at, next_fetch_at <= now() AS due FROM hilltop_fetch_tasks
        WHERE id = ANY(${[one!.id, two!.id]}::int8[])`
        assert.deepStrictEqual(rows, [
          { attempts: 0, takeovers: 0, set_aside_at: null, due: true },
          { attempts: 0, takeovers: 0, set_aside_at: null, due: true }
        ])
        const { logged } = yield* ApiUnderTest
        const lines = logged.filter((line) => line.includes("redriven")).map((line) => JSON.parse(line).annotations)
        assert.isAtLeast(lines.length, 2)
        assert.isTrue(lines.every(({ caller }) => caller === "admin-caller"))
      })
  )

  it.effect("keep their names beside them, also those that were queued or renamed by hand", () =>
    Effect.gen(function* () {
      const { first, sql } = yield* seeded
      yield* sql`INSERT INTO hilltop_fetch_tasks (source_id, request_type, fetch_url, details) VALUES
        (${first}, 'MEASUREMENT_DATA', 'https://server1.example.nz/odd', '[]'), (${first}, 'MEASUREMENT_DATA', 'https://server1.example.nz/long', ${JSON.stringify({ siteName: "Long ".repeat(1_000) })}::jsonb)`
      assert.lengthOf(yield* idsOf("name=long%20long"), 1)
      yield* sql`UPDATE hilltop_fetch_tasks SET details = '{"siteName": "Weir", "measurementName": "Stage"}' WHERE fetch_url LIKE '%odd'`
      assert.lengthOf(yield* idsOf("name=weir"), 1)
      assert.lengthOf(yield* idsOf(`source=${first}&name=stage`), 1)
    })
  )
})

it.layer(layer, { excludeTestServices: true })("a source", (it) => {
  it.effect("is paused and resumed directly, and stays as it is", () =>
    Effect.gen(function* () {
      const { first } = yield* seeded
      const admin = { key: keyOf("admin"), method: "POST" }
      const paused = Schema.Struct({ id: Schema.Int, paused: Schema.Boolean })
      const read = (answered: { readonly json: unknown }) => Schema.decodeUnknownSync(paused)(answered.json)
      assert.deepStrictEqual(read(yield* ask(`/hilltop/source/${first}/pause`, admin)), { id: first, paused: true })
      assert.deepStrictEqual(read(yield* ask(`/hilltop/source/${first}/resume`, admin)), { id: first, paused: false })
      assert.strictEqual((yield* ask("/hilltop/source/999999/pause", admin)).status, 404)
      assert.strictEqual((yield* ask(`/hilltop/source/${first}/resume`, { method: "POST" })).status, 403)
      assert.deepStrictEqual((yield* ask(`/hilltop/source/${first}/resume`)).headers.get("allow"), "POST")
    })
  )
})
