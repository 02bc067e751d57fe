/**
 * The running service behind a proxy to its database that drops, refuses and restores connections: how long anybody waits, what
 * is answered meanwhile, and how soon all is well again.
 */
import { NodeHttpClient } from "@effect/platform-node"
import { assert, it } from "@effect/vitest"
import { Duration, Effect, Layer, Redacted, Schedule } from "effect"
import { HttpClient, HttpClientRequest } from "effect/http"
import { SqlClient } from "effect/sql"
import { AdapterSimulator } from "../../scripts/simulators/AdapterSimulator.ts"
import { tcpProxy } from "../../scripts/simulators/TcpProxy.ts"
import { runPenstock } from "../support/runPenstock.ts"
import { TestDatabase } from "../support/TestDatabase.ts"

const layer = Layer.mergeAll(
  TestDatabase.layer,
  AdapterSimulator.layer({ points: 10, seed: 3 }),
  NodeHttpClient.layerUndici
)

const start = Effect.fnUntraced(function* (settings: Readonly<Record<string, string>> = {}) {
  const address = new URL(Redacted.value((yield* TestDatabase).url))
  const proxy = yield* tcpProxy({ host: address.hostname, port: Number(address.port) })
  address.port = String(proxy.port)
  const adapter = yield* AdapterSimulator
  const service = yield* runPenstock({
    DATABASE_URL: address.href,
    ADAPTER_URL: adapter.url,
    ADAPTER_API_KEY: adapter.apiKey,
    LOOKUP_API_KEYS: "test:lookup-key",
    ...settings
  })
  const { gsrn, lookupEndUser = "010180" } = yield* adapter.point(1)
  const ask = Effect.fnUntraced(function* (request: HttpClientRequest.HttpClientRequest) {
    const [took, response] = yield* Effect.timed(HttpClient.execute(request))
    const text = yield* response.text
    return { status: response.status, took: Duration.toMillis(took), text, retryAfter: response.headers["retry-after"] }
  }, Effect.scoped)
  const get = (path: string) => ask(HttpClientRequest.get(`${service.url}${path}`))
  const lookUp = ask(
    HttpClientRequest.post(`${service.url}/controllable_unit/lookup`).pipe(
      HttpClientRequest.bearerToken("lookup-key"),
      HttpClientRequest.bodyJsonUnsafe({ end_user: lookupEndUser, accounting_point: gsrn })
    )
  )
  /** Twenty a second, whatever becomes of those before them. */
  const lookUpFor = (seconds: number) =>
    Effect.forEach(
      Array.from({ length: seconds * 20 }, (_, n) => n),
      (n) => Effect.delay(lookUp, n * 50),
      { concurrency: "unbounded" }
    )
  const until = (path: string, status: number, within: Duration.Input, saying = "") =>
    get(path).pipe(
      Effect.filterOrFail((answer) => answer.status === status && answer.text.includes(saying)),
      Effect.retry(Schedule.upTo(Schedule.spaced("50 millis"), { duration: within }))
    )
  assert.strictEqual((yield* lookUp).status, 200)
  return { proxy, service, get, lookUp, lookUpFor, until, lines: () => service.output().split("\n") }
})

type Answer = Effect.Success<Effect.Success<ReturnType<typeof start>>["lookUp"]>

/** All are answered, with what was asked for or with 503 and when to ask again; nobody waits for 10 s. */
const checkAnswers = (answers: ReadonlyArray<Answer>) => {
  for (const { retryAfter, status, took, text } of answers) {
    assert.include([200, 503], status, text)
    if (status === 503) assert.isDefined(retryAfter)
    assert.isBelow(took, 10_000)
  }
}

it.layer(layer, { excludeTestServices: true, timeout: "120 seconds" })("the service", (it) => {
  it.effect("goes on with lookups while one of its connections is half open", () =>
    Effect.gen(function* () {
      const { get, lines, lookUpFor, proxy } = yield* start()
      yield* lookUpFor(1)
      for (const connection of proxy.connections().slice(0, 1)) connection.drop()
      const answers = yield* lookUpFor(10)
      checkAnswers(answers)
      const late = answers.filter(({ status, took }) => status !== 200 || took > 2000)
      assert.isBelow(late.length, answers.length / 10)
      assert.strictEqual((yield* get("/health/ready")).status, 200)
      assert.isAtMost(lines().filter((line) => line.includes("a connection was given up")).length, 1)
    })
  )

  it.effect("answers lookups again within 10 s when all of its connections are half open", () =>
    Effect.gen(function* () {
      const { lookUpFor, proxy, until } = yield* start()
      yield* lookUpFor(1)
      for (const connection of proxy.connections()) connection.drop()
      const [answers] = yield* Effect.all([lookUpFor(12), until("/health/ready", 200, "10 seconds")], {
        concurrency: 2
      })
      checkAnswers(answers)
      assert.isTrue(answers.slice(-40).every(({ status, took }) => status === 200 && took < 2000))
    })
  )

  it.effect("says that it is not ready while its database cannot be reached, answers 503, and recovers by itself", () =>
    Effect.gen(function* () {
      const { get, lines, lookUp, lookUpFor, proxy, until } = yield* start()
      proxy.dropAll()
      const lost = lookUpFor(12)
      const watched = Effect.gen(function* () {
        yield* Effect.sleep("1 second")
        for (const path of ["/health/ready", "/health/progress"]) {
          const answer = yield* get(path)
          assert.strictEqual(answer.status, 503)
          assert.isBelow(answer.took, 3500)
        }
      })
      const [answers] = yield* Effect.all([lost, watched], { concurrency: 2 })
      checkAnswers(answers)
      proxy.restore()
      yield* until("/health/ready", 200, "10 seconds")
      yield* until("/health/progress", 200, "10 seconds")
      assert.strictEqual((yield* lookUp).status, 200)
      const told = lines().filter((line) => line.includes("PostgreSQL: "))
      assert.isAtMost(told.length, 4, told.join("\n"))
    })
  )

  it.effect("ends within 25 s of SIGTERM while its database cannot be reached", () =>
    Effect.gen(function* () {
      const { lookUpFor, proxy, service } = yield* start()
      yield* lookUpFor(1)
      proxy.dropAll()
      yield* Effect.forkChild(Effect.ignore(lookUpFor(1)))
      yield* Effect.sleep("500 millis")
      const ended = Effect.callback<number | null>((resume) => {
        service.process.once("close", (code) => resume(Effect.succeed(code)))
        service.process.kill("SIGTERM")
      })
      const [took, code] = yield* Effect.timed(ended)
      assert.strictEqual(code, 0)
      assert.isBelow(Duration.toMillis(took), 25_000)
    })
  )

  it.effect("is not ready while its database only reads, and works again when that writes", () =>
    Effect.gen(function* () {
      const { get, lookUp, until } = yield* start()
      const sql = yield* SqlClient.SqlClient
      const { name } = yield* TestDatabase
      const whileItReads = Effect.gen(function* () {
        yield* sql`SELECT pg_terminate_backend(pid) FROM pg_stat_activity
          WHERE datname = ${name} AND application_name LIKE 'penstock %'`
        yield* until("/health/ready", 503, "5 seconds", "only reads")
        const refused = yield* lookUp
        assert.strictEqual(refused.status, 503)
        assert.isDefined(refused.retryAfter)
      })
      yield* Effect.acquireUseRelease(
        sql`ALTER DATABASE ${sql(name)} SET default_transaction_read_only = on`,
        () => whileItReads,
        () => Effect.orDie(sql`ALTER DATABASE ${sql(name)} RESET default_transaction_read_only`)
      )
      yield* until("/health/ready", 200, "5 seconds")
      assert.strictEqual((yield* lookUp).status, 200)
      assert.strictEqual((yield* get("/health/progress")).status, 200)
    })
  )

  it.effect("works in all its roles with the least number of connections, also where they are asked for at once", () =>
    Effect.gen(function* () {
      const { lines, lookUpFor, until } = yield* start({ DATABASE_POOL: "2" })
      const answers = yield* lookUpFor(5)
      assert.isTrue(answers.every(({ status, took }) => status === 200 && took < 3000))
      yield* until("/health/ready", 200, "5 seconds")
      yield* until("/health/progress", 200, "5 seconds")
      assert.notInclude(lines().join("\n"), "failed and is tried again")
    })
  )
})
