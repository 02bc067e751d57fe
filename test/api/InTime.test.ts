/** Nobody waits for an answer for longer than the adapter may take and three and a half seconds, whoever it is that does not answer. */
import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Context, Duration, Effect, Layer, Redacted } from "effect"
import { SqlClient } from "effect/sql"
import { Database } from "../../layers/postgres/Database.ts"
import { HilltopSimulator } from "../../scripts/simulators/HilltopSimulator.ts"
import { type TcpProxy, tcpProxy } from "../../scripts/simulators/TcpProxy.ts"
import { Api } from "../../src/api/Api.ts"
import { InTime, KeepsTime } from "../../src/api/InTime.ts"
import { AdapterClient } from "../../src/sync/AdapterClient.ts"
import { gsrnOf } from "../support/gsrns.ts"
import { TestDatabase } from "../support/TestDatabase.ts"
import { type Answered, ApiUnderTest, keyOf, layerOver, layerOverBoth, problemIn } from "./ApiUnderTest.ts"

/** In milliseconds, of an adapter that does not keep it. */
const deadline = 100
const promised = deadline + 3_500
/** For a machine that has other work. */
const besides = 2_000
const deaf = Layer.succeed(AdapterClient, AdapterClient.of({ configured: true, deadline, fetch: () => Effect.never }))

const isTooSlow = (answer: Answered, type = "too-slow") => {
  assert.strictEqual(answer.status, 503, answer.text)
  assert.isNotNull(answer.headers.get("retry-after"))
  assert.strictEqual(problemIn(answer).type, `urn:penstock:problem:${type}`)
}
const gsrn = gsrnOf(1)
const unitId = "a0000000-0000-4000-8000-000000000001"
const unit = `/controllable_unit/${unitId}`

describe("every endpoint", () => {
  const groups = Object.values(Api.groups).map(({ annotations, endpoints, identifier }) => ({
    identifier,
    endpoints: Object.values(endpoints),
    keepsTime: Context.getOrUndefined(annotations, KeepsTime) === true
  }))

  it("has a deadline, or is of a group that keeps one by itself", () => {
    const without = groups.flatMap(({ endpoints, identifier, keepsTime }) =>
      endpoints
        .filter(({ middlewares }) => middlewares.has(InTime) === keepsTime)
        .map(({ name }) => `${identifier}.${name}`)
    )
    assert.deepStrictEqual(without, [])
    assert.isAbove(groups.length, 10)
  })

  it("of a group that keeps it by itself is known to do so", () => {
    const own = groups.filter(({ keepsTime }) => keepsTime).map(({ identifier }) => identifier)
    // Lookups: below. Health: within two seconds, see health.test.ts and PgConnections.test.ts.
    assert.deepStrictEqual(own.sort(), ["health", "lookup"])
  })
})

it.layer(layerOver(deaf), { excludeTestServices: true })("a request that is not answered in time", (it) => {
  it.effect("is 503 and may be asked again, a lookup as well as any other", () =>
    Effect.gen(function* () {
      const { ask } = yield* ApiUnderTest
      const question = { end_user: "123456785", accounting_point: gsrn }
      const requests = [
        ask("/controllable_unit/lookup", { key: keyOf("lookup"), body: question }),
        ask(unit, { method: "PUT", key: keyOf("admin"), body: { accounting_point: gsrn, name: "Unit" } })
      ]
      const [took, answers] = yield* Effect.timed(Effect.all(requests, { concurrency: "unbounded" }))
      for (const answer of answers) {
        isTooSlow(answer)
        assert.strictEqual(answer.headers.get("retry-after"), "1")
      }
      assert.isAtLeast(Duration.toMillis(took), 3_500)
    })
  )
})

/** Between the pool, set as the service's is, and its database. */
class Between extends Context.Service<Between, TcpProxy>()("penstock/test/api/Between") {
  static readonly layer = Layer.effect(
    Between,
    Effect.gen(function* () {
      const { hostname, port } = new URL(Redacted.value((yield* TestDatabase).url))
      return yield* tcpProxy({ host: hostname, port: Number(port) })
    })
  )
}
const proxied = Layer.unwrap(
  Effect.gen(function* () {
    const address = new URL(Redacted.value((yield* TestDatabase).url))
    address.port = String((yield* Between).port)
    return Database.pipe(
      Layer.provide(ConfigProvider.layer(ConfigProvider.fromEnvRecord({ DATABASE_URL: address.href })))
    )
  })
).pipe(Layer.provideMerge(Between.layer), Layer.provideMerge(TestDatabase.layer))

it.layer(layerOverBoth(deaf, proxied), { excludeTestServices: true, timeout: "60 seconds" })(
  "a request while the database does not answer",
  (it) => {
    it.effect("is 503 within the time that was promised, whatever it asks for", () =>
      Effect.gen(function* () {
        const { ask } = yield* ApiUnderTest
        const between = yield* Between
        const sql = yield* SqlClient.SqlClient
        // All connections are open, and none will answer.
        yield* Effect.replicateEffect(sql`SELECT pg_sleep(0.2)`, 10, { concurrency: "unbounded" })
        between.freezeAll()
        const lookup = { key: keyOf("lookup"), headers: { "cache-control": "no-cache" } }
        const requests: Readonly<Record<string, Effect.Effect<Answered>>> = {
          "a lookup": ask("/controllable_unit/lookup", {
            key: keyOf("lookup"),
            body: { end_user: "123456785", accounting_point: gsrn }
          }),
          "a lookup by unit": ask("/controllable_unit/lookup", {
            key: keyOf("lookup"),
            body: { end_user: "123456785", controllable_unit: unitId }
          }),
          "a forced one": ask("/controllable_unit/lookup", {
            ...lookup,
            body: { end_user: "123456785", accounting_point: gsrn }
          }),
          "a copy": ask(`/accounting_point/${gsrn}`, { key: keyOf("read") }),
          sources: ask("/hilltop/source", { key: keyOf("admin") }),
          "dead letters": ask("/topic/dead_letter/redrive", { key: keyOf("admin"), body: { topic: "hilltop_raw" } })
        }
        const answers = yield* Effect.forEach(
          Object.entries(requests),
          ([name, request]) => Effect.map(Effect.timed(request), ([took, answer]) => ({ name, took, answer })),
          { concurrency: "unbounded" }
        ).pipe(Effect.ensuring(Effect.sync(() => between.restore())))
        for (const { answer, name, took } of answers) {
          assert.strictEqual(answer.status, 503, name)
          assert.isNotNull(answer.headers.get("retry-after"), name)
          assert.isBelow(Duration.toMillis(took), promised + besides, name)
        }
      })
    )
  }
)

const trying = layerOver(deaf).pipe(
  Layer.provide(
    ConfigProvider.layer(
      ConfigProvider.fromEnvRecord({ CRAWL_ALLOW_PRIVATE: "true", CRAWL_TIMEOUT: `${promised + besides} millis` })
    )
  ),
  Layer.provideMerge(HilltopSimulator.layer({ councils: 1, sites: 2, historyDays: 1, speed: 0 }))
)
it.layer(trying, { excludeTestServices: true, timeout: "60 seconds" })("a source that is tried", (it) => {
  it.effect("has longer than others: as long as its server may take", () =>
    Effect.gen(function* () {
      const { ask } = yield* ApiUnderTest
      const world = yield* HilltopSimulator
      yield* world.faults.set([{ fault: "hang" }])
      const body = { hts_url: world.sources[0]!.htsUrl, configuration: { measurementNames: ["Stage"] } }
      const [took, answer] = yield* Effect.timed(ask("/hilltop/source/try", { key: keyOf("admin"), body }))
      yield* world.faults.set([])
      assert.strictEqual(answer.status, 200, answer.text)
      assert.match(String((answer.json as { problem: string }).problem), /^no complete answer within/)
      assert.isAtLeast(Duration.toMillis(took), promised + besides)
    })
  )
})
