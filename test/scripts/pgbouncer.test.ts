/**
 * The service with pgbouncer before its database: with the defaults of that it works, limits included; where transactions share
 * its connections, one line says what to set. Skipped where no pgbouncer is installed.
 */
import { NodeHttpClient, NodeServices } from "@effect/platform-node"
import { assert, it } from "@effect/vitest"
import { Effect, Layer, Queue, Redacted, Stream } from "effect"
import { HttpClient, HttpClientRequest } from "effect/http"
import { ChildProcess } from "effect/process"
import { Reactivity } from "effect/reactivity"
import { fileURLToPath } from "node:url"
import { makeConnections } from "../../layers/postgres/PgConnections.ts"
import { AdapterSimulator } from "../../scripts/simulators/AdapterSimulator.ts"
import { hasPgbouncer, pgbouncer } from "../support/pgbouncer.ts"
import { bareEnvironment } from "../support/runCommand.ts"
import { runPenstock } from "../support/runPenstock.ts"
import { TestDatabase } from "../support/TestDatabase.ts"

const layer = Layer.mergeAll(
  TestDatabase.layer,
  AdapterSimulator.layer({ points: 5, seed: 9 }),
  NodeHttpClient.layerUndici,
  NodeServices.layer,
  Reactivity.layer
)

const migrate = Effect.fnUntraced(function* (url: Redacted.Redacted) {
  const program = fileURLToPath(new URL("../../scripts/penstock.ts", import.meta.url))
  const child = yield* ChildProcess.make(process.execPath, [program, "migrate"], {
    env: { ...bareEnvironment, DATABASE_URL: url, LOG_LEVEL: "error" }
  })
  const text = (bytes: typeof child.stderr) => Stream.mkString(Stream.decodeText(bytes))
  const [err, code] = yield* Effect.all([text(child.stderr), child.exitCode], { concurrency: 2 })
  return { err, code: Number(code) }
}, Effect.scoped)

const suite = it.layer(layer, { excludeTestServices: true, timeout: "60 seconds" })
const title = `behind pgbouncer${hasPgbouncer ? "" : " (skipped: pgbouncer is not installed)"}`

suite(title, (it) => {
  const effect = hasPgbouncer ? it.effect : it.effect.skip

  effect("with its defaults, the service answers lookups and gets on with its work", () =>
    Effect.gen(function* () {
      const url = yield* pgbouncer((yield* TestDatabase).url)
      const adapter = yield* AdapterSimulator
      const service = yield* runPenstock({
        DATABASE_URL: Redacted.value(url),
        ADAPTER_URL: adapter.url,
        ADAPTER_API_KEY: adapter.apiKey,
        LOOKUP_API_KEYS: "test:lookup-key-of-the-tests"
      })
      const { gsrn, lookupEndUser = "010180" } = yield* adapter.point(1)
      const request = HttpClientRequest.post(`${service.url}/controllable_unit/lookup`).pipe(
        HttpClientRequest.bearerToken("lookup-key-of-the-tests"),
        HttpClientRequest.bodyJsonUnsafe({ end_user: lookupEndUser, accounting_point: gsrn })
      )
      for (let n = 0; n < 5; n++) assert.strictEqual((yield* HttpClient.execute(request)).status, 200)
      assert.strictEqual((yield* HttpClient.get(`${service.url}/health/progress`)).status, 200)
      assert.notInclude(service.output(), "WARN")
    })
  )

  effect("with its defaults, sessions have their limits and hear notifications", () =>
    Effect.gen(function* () {
      const url = yield* pgbouncer((yield* TestDatabase).url)
      const sql = yield* makeConnections({ url, applicationName: "penstock-pooled", maxConnections: 3 })
      const [row] =
        yield* sql`SELECT current_setting('statement_timeout') AS statement, current_setting('lock_timeout') AS lock,
        current_setting('idle_in_transaction_session_timeout') AS idle`
      assert.deepStrictEqual(row, { statement: "5s", lock: "1s", idle: "15s" })
      const heard = yield* sql.listen("pooled")
      yield* sql.notify("pooled", "hello")
      assert.strictEqual((yield* Queue.take(heard)).payload, "hello")
    })
  )

  effect("that shares connections between transactions, nothing starts, and one line says what to set", () =>
    Effect.gen(function* () {
      for (const mode of ["transaction", "statement"]) {
        const url = yield* pgbouncer((yield* TestDatabase).url, [`pool_mode = ${mode}`])
        assert.deepStrictEqual(yield* migrate(url), {
          err: "the pooler in front of PostgreSQL must have pool_mode = session: transactions share its connections now\n",
          code: 1
        })
      }
    })
  )
})
