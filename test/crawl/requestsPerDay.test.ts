/** How many requests a day a server should get, as its sources' configurations say it. */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { MemoryCrawl } from "../../src/crawl/MemoryCrawl.ts"
import { MemoryHilltop } from "../../src/crawl/MemoryHilltop.ts"
import { allowedPerDay } from "../../src/crawl/ServerBudget.ts"
import { checkSources } from "../../src/crawl/SourceWatch.ts"

it.effect("the least that sources of one server say is set; a number that is none is told beside its source", () =>
  Effect.gen(function* () {
    const { servers, sources } = yield* MemoryHilltop
    const add = (id: number, htsUrl: string, requestsPerDay: unknown) =>
      sources.set(id, {
        id,
        councilId: id,
        htsUrl,
        configuration: { measurementNames: ["Rainfall"], ...(requestsPerDay === undefined ? {} : { requestsPerDay }) },
        problem: undefined,
        planned: undefined
      })
    add(1, "http://one.example.nz/a.hts", 5_000)
    add(2, "http://one.example.nz/b.hts", 2_000)
    add(3, "http://one.example.nz/c.hts", undefined)
    add(4, "http://two.example.nz/a.hts", undefined)
    for (const [n, wrong] of [0, -1, 1e12, "many", Number.NaN].entries())
      add(10 + n, `http://wrong-${n}.example.nz/a.hts`, wrong)
    yield* checkSources
    assert.strictEqual(servers.get("http://one.example.nz")?.limits.requestsPerDay, 2_000)
    assert.isUndefined(servers.get("http://two.example.nz")?.limits.requestsPerDay)
    for (let n = 0; n < 5; n++) assert.include(sources.get(10 + n)?.problem, "requestsPerDay")
    assert.isUndefined(sources.get(1)?.problem)
  }).pipe(Effect.provide(MemoryCrawl({ requestsPerSecond: 20, maxConcurrent: 4 })))
)

it("a wish holds as far as the rate allows, and a rate of less than one a second is short by itself", () => {
  assert.isUndefined(allowedPerDay(undefined, 20))
  assert.strictEqual(allowedPerDay(5_000, 20), 5_000)
  assert.isBelow(allowedPerDay(5_000, 0.01) ?? Infinity, 0.01 * 86_400)
  assert.isBelow(allowedPerDay(undefined, 0.01) ?? Infinity, 0.01 * 86_400)
})
