/**
 * The administration of sources and tasks over HTTP, with a real PostgreSQL behind.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import { SourceView, TaskView } from "../../src/api/HilltopAdministration.ts"
import { FoundTask } from "../../src/api/TaskSearch.ts"
import { PageOf } from "../../src/api/paging.ts"
import { ApiUnderTest, type Asked, bodyAs, keyOf, layer, problemIn } from "./ApiUnderTest.ts"

const ask = (path: string, asked: Asked = {}) =>
  Effect.flatMap(ApiUnderTest, (api) => api.ask(path, { key: keyOf("admin"), ...asked }))

const sourceIn = bodyAs(SourceView)
const sourcesIn = bodyAs(PageOf(SourceView))
const tasksIn = bodyAs(PageOf(FoundTask))
const configuration = { measurementNames: ["Water Level"], excludedSitesNames: ["Old site"], requestsPerSecond: 2 }
const source = (councilId: number, name = "data") => ({
  council_id: councilId,
  hts_url: `https://${name}.example.nz/data.hts`,
  configuration
})

const list = (query: string) => Effect.map(ask(`/hilltop/task?${query}`), tasksIn)

it.layer(layer, { excludeTestServices: true })("a source", (it) => {
  it.effect("is added, read, replaced and paused, and its data stay", () =>
    Effect.gen(function* () {
      const posted = { ...source(1), configuration: { ...configuration, later: { a: 1 } } }
      const added = yield* ask("/hilltop/source", { body: posted })
      assert.strictEqual(added.status, 201)
      const shown = sourceIn(added)
      assert.strictEqual(added.headers.get("location"), `/hilltop/source/${shown.id}`)
      assert.deepInclude(shown, { ...posted, paused: false, problem: null })
      const path = `/hilltop/source/${shown.id}`
      assert.deepStrictEqual(sourceIn(yield* ask(path)), shown)

      const sql = yield* SqlClient.SqlClient
      yield* sql`UPDATE hilltop_sources SET problem = 'unusable' WHERE id = ${shown.id}`
      assert.strictEqual(sourceIn(yield* ask(path)).problem, "unusable")
      const replaced = yield* ask(path, { method: "PUT", body: { ...source(1, "new"), paused: true } })
      assert.strictEqual(replaced.status, 200)
      assert.deepInclude(sourceIn(replaced), { ...source(1, "new"), id: shown.id, paused: true, problem: null })
      assert.isAtLeast(sourceIn(replaced).updated_at, shown.updated_at)

      yield* ask(path, { method: "PUT", body: source(1) })
      assert.strictEqual((yield* ask(path, { method: "DELETE" })).status, 204)
      assert.isTrue(sourceIn(yield* ask(path)).paused)
    })
  )

  it.effect("is 409 when the council has that address already", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* ask("/hilltop/source", { body: source(2) })).status, 201)
      const again = yield* ask("/hilltop/source", { body: source(2) })
      assert.strictEqual(again.status, 409)
      assert.strictEqual(problemIn(again).type, "urn:penstock:problem:source-exists")
      const other = sourceIn(yield* ask("/hilltop/source", { body: source(2, "other") }))
      const moved = yield* ask(`/hilltop/source/${other.id}`, { method: "PUT", body: source(2) })
      assert.strictEqual(moved.status, 409)
    })
  )

  it.effect("is 404 when there is none", () =>
    Effect.gen(function* () {
      const path = "/hilltop/source/2147483647"
      assert.strictEqual((yield* ask(path)).status, 404)
      assert.strictEqual((yield* ask(path, { method: "PUT", body: source(3) })).status, 404)
      assert.strictEqual((yield* ask(path, { method: "DELETE" })).status, 404)
      for (const id of ["0", "-1", "1.5", "x", "2147483648"]) {
        assert.strictEqual((yield* ask(`/hilltop/source/${id}`)).status, 400, id)
      }
    })
  )

  it.effect("is 400 with a readable detail when it cannot be used", () =>
    Effect.gen(function* () {
      const good = source(4)
      const cases: ReadonlyArray<readonly [unknown, RegExp]> = [
        [{ ...good, configuration: {} }, /^configuration\.measurementNames: is missing$/],
        [
          { ...good, configuration: { measurementNames: [] } },
          /^configuration\.measurementNames: must name at least one/
        ],
        [
          { ...good, configuration: { measurementNames: "Flow" } },
          /^configuration\.measurementNames: must be an array$/
        ],
        [
          { ...good, configuration: { ...configuration, requestsPerSecond: 0, maxConcurrent: 0 } },
          /^configuration\.requestsPerSecond: must be from 0\.00001 to 10000; configuration\.maxConcurrent: must be from 1 to 10000$/
        ],
        [
          { ...good, configuration: { ...configuration, requestsPerSecond: 5e-324 } },
          /requestsPerSecond: must be from/
        ],
        [{ ...good, configuration: { ...configuration, note: "\u0000" } }, /must not contain NUL/],
        [{ ...good, hts_url: "ftp://x/y.hts" }, /^hts_url: .*must be an http:\/\/ or https:\/\/ address/],
        [{ ...good, hts_url: "https://somebody:secret@example.nz/y.hts" }, /must not contain a user name or password$/],
        [{ ...good, hts_url: `https://example.nz/${"x".repeat(2_000)}` }, /2000 characters$/],
        [{ ...good, council_id: "1" }, /^council_id: must be a number$/],
        [{ ...good, council_id: 2 ** 31 }, /^council_id: must be a value between/],
        [{ ...good, paused: "no" }, /^paused: must be a boolean/]
      ]
      for (const [body, detail] of cases) {
        const answered = yield* ask("/hilltop/source", { body })
        assert.strictEqual(answered.status, 400, String(detail))
        assert.match(problemIn(answered).detail, detail)
        assert.notInclude(answered.text, "secret")
      }
    })
  )

  it.effect("is listed page by page, also with a configuration that cannot be used", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      yield* sql`INSERT INTO hilltop_sources (council_id, hts_url, configuration) VALUES (5, 'nonsense', '[1]')`
      const all = sourcesIn(yield* ask("/hilltop/source"))
      assert.isNull(all.next_cursor)
      assert.isAtLeast(all.items.length, 3)
      assert.deepInclude(all.items.at(-1), { hts_url: "nonsense", configuration: [1] })
      const seen: Array<number> = []
      let cursor: string | null = ""
      while (cursor !== null) {
        const page: typeof all = sourcesIn(yield* ask(`/hilltop/source?limit=2${cursor && `&cursor=${cursor}`}`))
        assert.isAtMost(page.items.length, 2)
        seen.push(...page.items.map(({ id }) => id))
        cursor = page.next_cursor
      }
      assert.deepStrictEqual(
        seen,
        all.items.map(({ id }) => id)
      )
      for (const query of ["limit=0", "limit=1001", "limit=x", "limit=", "cursor=x", "cursor=-1"]) {
        assert.strictEqual((yield* ask(`/hilltop/source?${query}`)).status, 400, query)
      }
    })
  )
})

it.layer(layer, { excludeTestServices: true })("a task", (it) => {
  const arrange = Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const ids: Array<number> = []
    for (const council of [1, 2]) ids.push(sourceIn(yield* ask("/hilltop/source", { body: source(council) })).id)
    const [first, second] = ids
    yield* sql`
      INSERT INTO hilltop_fetch_tasks
        (source_id, request_type, fetch_url, next_fetch_at, attempts, set_aside_at, takeovers, previous_history)
      VALUES
        (${first}, 'SITES_LIST', 'http://x/1', '-infinity', 0, NULL, 0, '[{"at": "2026-01-01T00:00:00Z", "result": "SUCCESS"}]'),
        (${first}, 'MEASUREMENTS_LIST', 'http://x/2', now() + interval '1 day', 0, NULL, 0, '[]'),
        (${first}, 'MEASUREMENT_DATA', 'http://x/3', now() + interval '1 day', 3, NULL, 0, '[]'),
        (${first}, 'MEASUREMENT_DATA', 'http://x/4', now(), 3, NULL, 0, '[]'),
        (${second}, 'MEASUREMENT_DATA_LATEST', 'http://x/5', 'infinity', 9, now(), 5, '[]'),
        (${second}, 'MEASUREMENT_DATA', 'http://x/6', now(), 0, NULL, 1, '[]')`
    yield* sql`
      INSERT INTO hilltop_fetch_leases (task_id, origin, due_at, lease_until)
      SELECT id, origin, next_fetch_at, now() + CASE fetch_url WHEN 'http://x/4' THEN 1 ELSE -1 END * interval '1 minute'
      FROM hilltop_fetch_tasks WHERE source_id IN (${first}, ${second}) AND fetch_url IN ('http://x/4', 'http://x/6')`
    return { first, second }
  })

  describe("is listed", () => {
    it.effect("with its status and history, by any filter, page by page", () =>
      Effect.gen(function* () {
        const { first, second } = yield* arrange
        const all = yield* list("")
        assert.deepStrictEqual(
          all.items.map(({ status }) => status),
          ["due", "scheduled", "failing", "claimed", "set_aside", "due"]
        )
        assert.deepStrictEqual(all.items[0]?.history, [{ at: "2026-01-01T00:00:00Z", result: "SUCCESS" }])
        const addresses = (page: typeof all) => page.items.map(({ fetch_url }) => fetch_url.slice(-1)).join("")
        assert.strictEqual(addresses(yield* list(`source=${first}`)), "1234")
        assert.strictEqual(addresses(yield* list(`source=${second}&type=MEASUREMENT_DATA`)), "6")
        for (const [status, expected] of [
          ["due", "16"],
          ["scheduled", "2"],
          ["failing", "3"],
          ["claimed", "4"],
          ["set_aside", "5"]
        ] as const) {
          assert.strictEqual(addresses(yield* list(`status=${status}`)), expected)
        }
        const page = yield* list("limit=4")
        assert.strictEqual(addresses(page), "1234")
        const rest = yield* list(`limit=4&cursor=${page.next_cursor}`)
        assert.strictEqual(addresses(rest), "56")
        assert.isNull(rest.next_cursor)
        for (const query of ["status=late", "type=SITES", "source=x", "limit=5000"]) {
          const answered = yield* ask(`/hilltop/task?${query}`)
          assert.strictEqual(answered.status, 400, query)
        }
      })
    )
  })

  it.effect("is made due when somebody runs it, also one that was set aside", () =>
    Effect.gen(function* () {
      const { items } = tasksIn(yield* ask("/hilltop/task"))
      const run = (index: number) =>
        Effect.map(ask(`/hilltop/task/${items[index]?.id}/run`, { method: "POST" }), (answered) => {
          assert.strictEqual(answered.status, 200)
          return bodyAs(TaskView)(answered)
        })
      assert.strictEqual((yield* run(1)).status, "due")
      const redriven = yield* run(4)
      assert.strictEqual(redriven.status, "due")
      assert.strictEqual(redriven.attempts, 0)
      assert.isAtMost(redriven.next_fetch_at, Date.now() + 1_000)
      assert.strictEqual((yield* run(3)).status, "claimed")
      const sql = yield* SqlClient.SqlClient
      const [row] = yield* sql`SELECT set_aside_at, takeovers FROM hilltop_fetch_tasks WHERE id = ${items[4]?.id ?? 0}`
      assert.deepStrictEqual(row, { set_aside_at: null, takeovers: 0 })
      const unknown = yield* ask("/hilltop/task/9007199254740991/run", { method: "POST" })
      assert.strictEqual(unknown.status, 404)
      assert.strictEqual(problemIn(unknown).type, "urn:penstock:problem:task-unknown")
    })
  )
})
