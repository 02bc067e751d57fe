/**
 * A source that is tried before it is saved, over HTTP, against simulated Hilltop servers and with a real PostgreSQL behind.
 */
import { assert, it } from "@effect/vitest"
import { Clock, ConfigProvider, Effect, Layer, Schedule } from "effect"
import { SqlClient } from "effect/sql"
import { HilltopSimulator } from "../../scripts/simulators/HilltopSimulator.ts"
import type { FaultSetting } from "../../scripts/simulators/hilltop/HilltopFaults.ts"
import { TrialView } from "../../src/api/SourceTrial.ts"
import { ApiUnderTest, bodyAs, keyOf, layer, problemIn } from "./ApiUnderTest.ts"

const worldWith = (settings: Record<string, string>) =>
  layer.pipe(
    Layer.provide(ConfigProvider.layer(ConfigProvider.fromEnvRecord({ CRAWL_TIMEOUT: "3 seconds", ...settings }))),
    Layer.provideMerge(HilltopSimulator.layer({ councils: 1, sites: 12, historyDays: 30, speed: 0 }))
  )

const post = (body: unknown, key = keyOf("admin")) =>
  Effect.flatMap(ApiUnderTest, ({ ask }) => ask("/hilltop/source/try", { key, body }))
const sourceAt = (hts_url: string, measurementNames: ReadonlyArray<string>) => ({
  hts_url,
  configuration: { measurementNames }
})
/** Once the pause after the last one is over. */
const tried = (hts_url: string, measurementNames: ReadonlyArray<string> = ["Stage"]) =>
  post(sourceAt(hts_url, measurementNames)).pipe(
    Effect.repeat({ until: ({ status }) => status !== 429, schedule: Schedule.spaced("100 millis") }),
    Effect.map((answered) => {
      assert.strictEqual(answered.status, 200, answered.text)
      return bodyAs(TrialView)(answered)
    })
  )
const withFaults = <A, E, R>(rules: ReadonlyArray<FaultSetting>, effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const { faults } = yield* HilltopSimulator
    yield* faults.set(rules)
    return yield* Effect.ensuring(effect, Effect.orDie(faults.set([])))
  })
/** What the servers were asked meanwhile. */
const counted = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const simulator = yield* HilltopSimulator
    const before = yield* Clock.currentTimeMillis
    const value = yield* effect
    const asked = yield* simulator.requestsBetween(before, (yield* Clock.currentTimeMillis) + 1)
    return { value, asked: asked.length }
  })

it.layer(worldWith({ CRAWL_ALLOW_PRIVATE: "true" }), { excludeTestServices: true, timeout: 60_000 })(
  "a source that is tried",
  (it) => {
    it.effect(
      "is told with its sites and those that have what is wanted, within the server's budget, and nothing is kept",
      () =>
        Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          const [source] = (yield* HilltopSimulator).sources
          const { asked, value } = yield* counted(tried(source!.htsUrl, ["Stage", "No such thing"]))
          assert.deepInclude(value, { answers: true, problem: null, requests: 3, excluded_sites: 0 })
          assert.strictEqual(asked, 3)
          const having = value.measurements[0]!.sites!
          assert.isAtLeast(value.sites!, 8)
          assert.isAtMost(having, value.sites!)
          assert.isAbove(having, 0)
          assert.strictEqual(value.measurements[1]!.sites ?? 0, 0)
          assert.include(value.sentence, `answers, ${value.sites} sites, ${having} ha`)
          const servers = yield* sql`SELECT origin, in_flight, failures FROM hilltop_servers`
          assert.deepStrictEqual(servers, [{ origin: new URL(source!.htsUrl).origin, in_flight: 0, failures: 0 }])
          const [spent] =
            yield* sql`SELECT refilled_at > now() - interval '1 minute' AS taken, tokens FROM hilltop_servers`
          assert.deepInclude(spent, { taken: true })
          const kept = yield* sql`SELECT id FROM hilltop_sources UNION ALL SELECT id FROM hilltop_fetch_tasks`
          assert.lengthOf(kept, 0)
        })
    )

    it.effect("at a wrong address says so, in a sentence without secrets", () =>
      Effect.gen(function* () {
        const { origins } = yield* HilltopSimulator
        const { logged } = yield* ApiUnderTest
        const wrongPath = yield* withFaults(
          [{ fault: "status", status: 404, path: "nothing" }],
          tried(`${origins[0]}/nothing.hts?key=verysecretkey`)
        )
        assert.deepInclude(wrongPath, { answers: false, sites: null, requests: 1, measurements: [] })
        assert.match(wrongPath.sentence, /^cannot be used: the server answered 404$/)
        const nobody = yield* tried("http://127.0.0.1:1/data.hts?key=verysecretkey")
        assert.strictEqual(nobody.problem, "no connection, or it broke off (ECONNREFUSED)")
        const noName = yield* tried("http://nowhere.invalid/data.hts?key=verysecretkey")
        assert.match(noName.problem!, /^no connection, or it broke off \((ENOTFOUND|EAI_AGAIN)\)$|^no complete answer/)
        for (const address of ["ftp://a.example/data.hts", "data.hts", "", "http://"]) {
          assert.strictEqual(problemIn(yield* post(sourceAt(address, ["Stage"]))).status, 400, address)
        }
        assert.notInclude(logged.join("\n") + JSON.stringify([wrongPath, nobody, noName]), "verysecretkey")
      })
    )

    it.effect("at a server that hangs ends in time, and at one that asks us to wait asks it no more", () =>
      Effect.gen(function* () {
        const [source] = (yield* HilltopSimulator).sources
        const url = source!.htsUrl
        const hung = yield* withFaults([{ fault: "hang" }], tried(url))
        assert.strictEqual(hung.problem, "no complete answer within 3s")
        assert.isBelow(hung.millis, 15_000)
        const busy = yield* withFaults([{ fault: "status", status: 429, retry_after: "7" }], counted(tried(url)))
        assert.deepStrictEqual(
          [busy.asked, busy.value.problem],
          [1, "the server answered 429, and asks to wait for 7 s"]
        )
        const later = yield* withFaults(
          [{ fault: "status", status: 429, retry_after: "7", measurement: "Stage" }],
          counted(tried(url, ["Stage", "Flow"]))
        )
        assert.strictEqual(later.asked, 2)
        assert.deepStrictEqual(
          later.value.measurements.map(({ problem }) => problem),
          ["the server answered 429, and asks to wait for 7 s", "not tried: the server asked to wait"]
        )
      })
    )

    it.effect("is not asked while the crawl leaves the server alone", () =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const [source] = (yield* HilltopSimulator).sources
        yield* tried(source!.htsUrl)
        yield* sql`UPDATE hilltop_servers SET cool_down_until = '2999-01-01T00:00:00Z'`
        const { asked, value } = yield* counted(tried(source!.htsUrl))
        assert.deepStrictEqual([asked, value.problem], [0, "the server is left alone until 2999-01-01T00:00:00.000Z"])
        yield* sql`UPDATE hilltop_servers SET cool_down_until = NULL`
      })
    )

    it.effect("is one at a time, and for keys that administer", () =>
      Effect.gen(function* () {
        const [source] = (yield* HilltopSimulator).sources
        const body = sourceAt(source!.htsUrl, ["Stage"])
        assert.strictEqual((yield* post(body, keyOf("read"))).status, 403)
        yield* tried(source!.htsUrl)
        const refused = yield* post(body)
        assert.strictEqual(problemIn(refused).type, "urn:penstock:problem:too-many-tries")
        assert.strictEqual(refused.headers.get("retry-after"), "2")
      })
    )
  }
)

it.layer(worldWith({}), { excludeTestServices: true, timeout: 60_000 })("a source at a private address", (it) => {
  it.effect("is not asked without leave, by number or by name", () =>
    Effect.gen(function* () {
      const [source] = (yield* HilltopSimulator).sources
      const byName = source!.htsUrl.replace("127.0.0.1", "localhost")
      for (const url of [source!.htsUrl, byName]) {
        const { asked, value } = yield* counted(tried(url))
        assert.deepStrictEqual([asked, value.problem], [0, "the server's address is not a public one"], url)
      }
    })
  )
})
