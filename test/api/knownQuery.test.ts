/**
 * Query parameters that an operation does not have, over HTTP.
 */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { ApiUnderTest, keyOf, layer, problemIn } from "./ApiUnderTest.ts"

it.layer(layer, { excludeTestServices: true })("a query parameter that an operation does not have", (it) => {
  it.effect("is 400, told with those that there are, and not repeated", () =>
    Effect.gen(function* () {
      const api = yield* ApiUnderTest
      const cases = [
        ["/hilltop/task?statsu=due&01010112345=x", "admin", /no other parameters than .*status.*type/],
        ["/hilltop/source?limit=1&all", "admin", /no other parameters than cursor, limit/],
        ["/observation/site?page=2", "read", /cursor.*limit/],
        ["/observation/series/1?form=2026-01-01T00:00:00Z", "read", /as_of.*from.*to/],
        ["/accounting_point/707057500000000008?x=1", "read", /must be none/],
        ["/health/live?x=1", undefined, /must be none/]
      ] as const
      for (const [path, scope, rule] of cases) {
        const refused = yield* api.ask(path, { key: scope === undefined ? undefined : keyOf(scope) })
        assert.strictEqual(refused.status, 400, path)
        assert.match(problemIn(refused).detail, rule)
        assert.notInclude(refused.text, "01010112345")
      }
    })
  )

  it.effect("is told only to who has a key", () =>
    Effect.gen(function* () {
      const api = yield* ApiUnderTest
      assert.strictEqual((yield* api.ask("/hilltop/task?statsu=due")).status, 401)
      assert.strictEqual((yield* api.ask("/hilltop/task?statsu=due", { key: keyOf("lookup") })).status, 403)
    })
  )

  it.effect("matters not where there is none: every operation answers as it did", () =>
    Effect.gen(function* () {
      const api = yield* ApiUnderTest
      assert.strictEqual((yield* api.ask("/hilltop/task?status=due&limit=1", { key: keyOf("admin") })).status, 200)
      assert.strictEqual((yield* api.ask("/health/live")).status, 200)
    })
  )
})
