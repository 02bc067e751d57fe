/**
 * `penstock doctor` beside dependencies with one fault each: a real PostgreSQL, the simulated adapter, a collector that answers
 * otherwise, a clock that is wrong. Each is named, with what to do.
 */
import { NodeServices } from "@effect/platform-node"
import { assert, layer } from "@effect/vitest"
import { Effect, FileSystem, Layer, Redacted, References } from "effect"
import { SqlClient } from "effect/sql"
import { randomUUID } from "node:crypto"
import { createServer } from "node:net"
import { AdapterSimulator } from "../../scripts/simulators/AdapterSimulator.ts"
import { rewritingProxy } from "../support/rewritingProxy.ts"
import { type Environment, runCommand } from "../support/runCommand.ts"
import { standIn } from "../support/standIn.ts"
import { TestDatabase } from "../support/TestDatabase.ts"

const atOnce = { concurrency: 3 } as const
/** For up to ten processes, on a machine that has more to do. */
const patience = 180_000

interface Finding {
  readonly state: string
  readonly found: string
  readonly remedy?: string
}

/** What it finds, by what it looked at; `code` is how it ended. */
const doctor = Effect.fnUntraced(function* (env: Environment, ...args: ReadonlyArray<string>) {
  const { code, err, out } = yield* runCommand(env, "doctor", "--json", ...args)
  const findings: ReadonlyArray<Finding & { readonly check: string }> = out
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line))
  return { code, err, out, of: new Map(findings.map((finding) => [finding.check, finding])) }
})

type Examined = Effect.Success<ReturnType<typeof doctor>>

/** It failed because of this check, says so like this, and what to do. */
const assertFault = ({ code, err, of, out }: Examined, check: string, found: RegExp, remedy: RegExp) => {
  const finding = of.get(check)
  assert.strictEqual(finding?.state, "failed", out)
  assert.match(finding?.found ?? "", found)
  assert.match(finding?.remedy ?? "", remedy)
  assert.strictEqual(code, 1)
  assert.match(err, /must be mended before the service can work\.$/m)
}

const services = Layer.mergeAll(
  TestDatabase.layer,
  AdapterSimulator.layer({ points: 20, seed: 5 }),
  NodeServices.layer,
  Layer.succeed(References.MinimumLogLevel, "Error")
)

layer(services, { excludeTestServices: true })("penstock doctor", (it) => {
  /** The address of this file's database, changed. */
  const urlWith = (change: (url: URL) => void) =>
    Effect.map(TestDatabase, ({ url }) => {
      const changed = new URL(Redacted.value(url))
      change(changed)
      return changed.href
    })

  /** A role of its own with a password, dropped with the scope; its name and the address for it. */
  const role = Effect.fnUntraced(function* (options: string) {
    const sql = yield* SqlClient.SqlClient
    const name = `doctor_${randomUUID().replaceAll("-", "")}`
    yield* Effect.acquireRelease(sql.unsafe(`CREATE ROLE ${name} PASSWORD 'secret-of-the-role' ${options}`), () =>
      Effect.orDie(Effect.andThen(sql.unsafe(`DROP OWNED BY ${name}`), sql.unsafe(`DROP ROLE ${name}`)))
    )
    const url = yield* urlWith((address) => {
      address.username = name
      address.password = "secret-of-the-role"
    })
    return { name, url }
  })

  it.effect("finds nothing wrong where nothing is", () =>
    Effect.gen(function* () {
      const { url } = yield* TestDatabase
      const adapter = yield* AdapterSimulator
      const keys = "caller:a-key-that-is-long-enough"
      const { code, err, of, out } = yield* doctor({
        DATABASE_URL: url,
        ADAPTER_URL: adapter.url,
        ADAPTER_API_KEY: adapter.apiKey,
        LOOKUP_API_KEYS: keys,
        EVENT_API_KEYS: keys,
        READ_API_KEYS: keys,
        ADMIN_API_KEYS: keys
      })
      assert.deepStrictEqual([code, err], [0, ""], out)
      for (const { state } of of.values()) assert.strictEqual(state, "ok", out)
      assert.match(
        of.get("database")!.found,
        /^PostgreSQL 1\d\.\d+( \(Debian .+?\))? \(PostgreSQL at 127\.0\.0\.1:\d+, database test_/
      )
      assert.strictEqual(of.get("adapter")!.found, "answers and takes ADAPTER_API_KEY")
      assert.notInclude(out, new URL(Redacted.value(url)).password)
      assert.notInclude(out, adapter.apiKey)
    })
  )

  it.effect(
    "tells a wrong host from a wrong port, another protocol and a server that says nothing",
    () =>
      Effect.gen(function* () {
        const http = yield* standIn((_, response) => response.end())
        const silent = yield* Effect.acquireRelease(
          Effect.callback<{ readonly port: number; readonly close: Effect.Effect<void> }>((resume) => {
            const server = createServer(() => {})
            server.listen(0, "127.0.0.1", () => {
              const address = server.address()
              const port = typeof address === "object" && address !== null ? address.port : 0
              resume(Effect.succeed({ port, close: Effect.sync(() => server.close()) }))
            })
          }),
          ({ close }) => close
        )
        const at = (place: string) => doctor({ DATABASE_URL: `postgres://p:secret@${place}/penstock` })
        const [host, port, protocol, nothing] = yield* Effect.all(
          [at("nobody.invalid"), at("127.0.0.1:1"), at(new URL(http.url).host), at(`127.0.0.1:${silent.port}`)],
          atOnce
        )
        assertFault(host, "database", /^no host nobody\.invalid is known$/, /host in DATABASE_URL/)
        assertFault(port, "database", /^nobody listens at 127\.0\.0\.1:1$/, /port in DATABASE_URL/)
        assertFault(protocol, "database", /does not speak PostgreSQL's protocol/, /port in DATABASE_URL/)
        assertFault(nothing, "database", /takes the connection and does not answer/, /host and port in DATABASE_URL/)
        for (const { out } of [host, port, protocol, nothing]) assert.notInclude(out, "secret")
      }).pipe(Effect.scoped),
    patience
  )

  it.effect(
    "tells a wrong password from a missing database and from a role that may not log in",
    () =>
      Effect.gen(function* () {
        const { name, url } = yield* role("NOLOGIN")
        const [password, database, login] = yield* Effect.all(
          [
            Effect.flatMap(
              urlWith((address) => void (address.password = "wrong")),
              (DATABASE_URL) => doctor({ DATABASE_URL })
            ),
            Effect.flatMap(
              urlWith((address) => void (address.pathname = "/nowhere")),
              (DATABASE_URL) => doctor({ DATABASE_URL })
            ),
            doctor({ DATABASE_URL: url })
          ],
          atOnce
        )
        assertFault(password, "database", /refuses the password of user penstock/, /user and password in DATABASE_URL/)
        assertFault(database, "database", /has no database nowhere$/, /CREATE DATABASE "nowhere" OWNER "penstock"/)
        assertFault(login, "database", new RegExp(`does not let user ${name} in`), /pg_hba\.conf/)
      }).pipe(Effect.scoped),
    patience
  )

  it.effect(
    "names the rights that are missing, and how to grant them",
    () =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const { name: database } = yield* TestDatabase
        const { name, url } = yield* role("LOGIN")
        const tables = yield* doctor({ DATABASE_URL: url })
        assertFault(
          tables,
          "database rights",
          /may not read and write \d+ tables of Penstock, such as flex\.accounting_point$/,
          /own the tables/
        )
        yield* sql`REVOKE CONNECT ON DATABASE ${sql(database)} FROM PUBLIC`
        const connect = yield* doctor({ DATABASE_URL: url })
        yield* sql`GRANT CONNECT ON DATABASE ${sql(database)} TO PUBLIC`
        assertFault(connect, "database", new RegExp(`user ${name} lacks a right`), /grant CONNECT/)
      }).pipe(Effect.scoped),
    patience
  )

  it.effect(
    "says that a database only reads",
    () =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const { name, url } = yield* role("LOGIN")
        yield* sql.unsafe(`ALTER ROLE ${name} SET default_transaction_read_only = on`)
        assertFault(yield* doctor({ DATABASE_URL: url }), "database", /only reads/, /primary/)
      }).pipe(Effect.scoped),
    patience
  )

  it.effect(
    "says that a server is too old",
    () =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const { url } = yield* TestDatabase
        const { hostname, port } = new URL(Redacted.value(url))
        const [row] = yield* sql<{ number: string; version: string }>`
        SELECT current_setting('server_version_num') AS number, current_setting('server_version') AS version`
        const older = (text: string) => `13${text.slice(2)}`
        const old = yield* rewritingProxy(
          { host: hostname, port: Number(port) },
          { [row!.number]: older(row!.number), [row!.version]: older(row!.version) }
        )
        const DATABASE_URL = yield* urlWith((address) => void (address.port = String(old)))
        assertFault(
          yield* doctor({ DATABASE_URL }),
          "database",
          /^PostgreSQL 13\.\d+( \(Debian .+?\))?, and Penstock needs 15/,
          /upgrade/
        )
      }).pipe(Effect.scoped),
    patience
  )

  it.effect(
    "says that there are too few connections",
    () =>
      Effect.gen(function* () {
        const few = yield* role("LOGIN CONNECTION LIMIT 5 IN ROLE penstock")
        const none = yield* role("LOGIN CONNECTION LIMIT 0")
        const [small, smaller, two, full] = yield* Effect.all(
          [
            doctor({ DATABASE_URL: few.url }),
            doctor({ DATABASE_URL: few.url, DATABASE_POOL: "4", PENSTOCK_PROCESSES: "1" }),
            doctor({ DATABASE_URL: few.url, DATABASE_POOL: "4", PENSTOCK_PROCESSES: "2" }),
            doctor({ DATABASE_URL: none.url })
          ],
          atOnce
        )
        const what = /^room for 5 connections of Penstock, and an instance takes 10 \(DATABASE_POOL\)$/
        assertFault(small, "database connections", what, /max_connections.*DATABASE_POOL/)
        assert.strictEqual(smaller.of.get("database connections")?.found, "room for 5: 1 instance with DATABASE_POOL=4")
        const ofTwo =
          /^room for 5 connections of Penstock, and an instance takes 8 \(DATABASE_POOL times 2 processes\)$/
        assertFault(two, "database connections", ofTwo, /PENSTOCK_PROCESSES/)
        assertFault(full, "database", /has no connection left$/, /DATABASE_POOL/)
      }).pipe(Effect.scoped),
    patience
  )

  it.effect("says by how much the clocks differ", () =>
    Effect.gen(function* () {
      const { url } = yield* TestDatabase
      const later = "const now = Date.now; Date.now = () => now() + 60_000"
      const examined = yield* doctor({
        DATABASE_URL: url,
        NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(later)}`
      })
      assertFault(examined, "database clock", /^the clock of the database is 60 s behind that of this machine$/, /NTP/)
    })
  )

  it.effect(
    "tells a key that the adapter refuses from one without the right, a wrong path and a failing adapter",
    () =>
      Effect.gen(function* () {
        const { apiKey, faults, url } = yield* AdapterSimulator
        const database = yield* TestDatabase
        const ask = (settings: Environment) =>
          doctor({ DATABASE_URL: database.url, ADAPTER_URL: url, ADAPTER_API_KEY: apiKey, ...settings })
        const [wrong, none, path, host, port] = yield* Effect.all(
          [
            ask({ ADAPTER_API_KEY: "wrong-key-of-the-adapter" }),
            ask({ ADAPTER_API_KEY: undefined }),
            ask({ ADAPTER_URL: `${url}/nowhere` }),
            ask({ ADAPTER_URL: "http://nobody.invalid" }),
            ask({ ADAPTER_URL: "http://127.0.0.1:1" })
          ],
          atOnce
        )
        assertFault(wrong, "adapter", /^refuses ADAPTER_API_KEY \(401\)$/, /key that the adapter knows/)
        assertFault(none, "adapter", /^asks for a key \(401\), and ADAPTER_API_KEY is not set$/, /set ADAPTER_API_KEY/)
        assert.deepInclude(path.of.get("adapter"), { state: "warning" })
        assert.match(path.of.get("adapter")?.found ?? "", /^answers 404 with the key and without: its path is wrong/)
        assertFault(host, "adapter", /^the host of nobody\.invalid is not known$/, /ADAPTER_URL/)
        assertFault(port, "adapter", /^nobody listens at 127\.0\.0\.1:1$/, /ADAPTER_URL/)
        yield* faults.set({ chances: { forbidden: 1 } })
        assertFault(yield* ask({}), "adapter", /does not allow it this \(403\)$/, /the right to read/)
        yield* faults.set({ chances: { error: 1 } })
        assertFault(yield* ask({}), "adapter", /^fails \(500\)$/, /adapter's log/)
        yield* faults.set({ outage: "hang" })
        assertFault(yield* ask({ ADAPTER_TIMEOUT: "1 second" }), "adapter", /did not answer within 1s$/, /ADAPTER_URL/)
        yield* faults.set({})
      }),
    patience
  )

  it.effect(
    "tries the collector of telemetry",
    () =>
      Effect.gen(function* () {
        const { url: DATABASE_URL } = yield* TestDatabase
        const paths: Array<string> = []
        const statuses: Readonly<Record<string, number>> = { "/none": 404, "/closed": 401, "/good": 200 }
        const collector = yield* standIn((request, response) => {
          paths.push(`${request.method} ${request.url}`)
          const base = (request.url ?? "").replace("/v1/traces", "")
          response.writeHead(statuses[base] ?? 500, { "content-type": "application/json" }).end("{}")
        })
        const at = (OTEL_EXPORTER_OTLP_ENDPOINT: string) => doctor({ DATABASE_URL, OTEL_EXPORTER_OTLP_ENDPOINT })
        const [good, none, closed, away] = yield* Effect.all(
          [
            at(`${collector.url}/good`),
            at(`${collector.url}/none`),
            at(`${collector.url}/closed`),
            at("http://127.0.0.1:1")
          ],
          atOnce
        )
        assert.deepInclude(good.of.get("telemetry"), { state: "ok", found: "the collector takes it" })
        assertFault(none, "telemetry", /no collector of OTLP over HTTP \(404\)$/, /4318/)
        assertFault(closed, "telemetry", /refuses us \(401\)$/, /OTEL_EXPORTER_OTLP_HEADERS/)
        assertFault(away, "telemetry", /^nobody listens at 127\.0\.0\.1:1$/, /OTEL_EXPORTER_OTLP_ENDPOINT/)
        assert.include(paths, "POST /good/v1/traces")
      }).pipe(Effect.scoped),
    patience
  )

  it.effect("looks at the disk of an embedded database that is not there yet, and makes none", () =>
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const home = `${yield* fs.makeTempDirectoryScoped({ prefix: "penstock-test-" })}/nothing`
      const [enough, little] = yield* Effect.all(
        [doctor({ PENSTOCK_DATA: home }, "--room", "0.000001"), doctor({ PENSTOCK_DATA: home }, "--room", "10000000")],
        atOnce
      )
      assert.strictEqual(enough.code, 0, enough.out)
      assert.include(enough.of.get("database")?.found, `none yet; \`penstock start\` makes one in ${home}/postgres`)
      assertFault(little, "disk", /free at .*\/nothing\/postgres, and 10000 TB are wanted$/, /PENSTOCK_DATA/)
      assert.isFalse(yield* fs.exists(home))
    })
  )

  it.effect("names every setting that cannot be used, LOG_LEVEL as well, and missing and short keys", () =>
    Effect.gen(function* () {
      const { url } = yield* TestDatabase
      const [faulty, keys] = yield* Effect.all(
        [
          runCommand({ LOG_LEVEL: "loud", HTTP_PORT: "0" }, "doctor"),
          doctor({ DATABASE_URL: url, READ_API_KEYS: "reader:short" })
        ],
        atOnce
      )
      assert.include(faulty.out, "FAIL  settings: HTTP_PORT must be a port")
      assert.include(faulty.out, "FAIL  settings: LOG_LEVEL must be one of")
      assert.deepInclude(faulty, { code: 1, err: "2 things must be mended before the service can work.\n" })
      assert.strictEqual(keys.code, 0)
      assert.include(keys.out, "shorter than 16 characters: reader of READ_API_KEYS")
      assert.include(keys.out, "none in LOOKUP_API_KEYS, EVENT_API_KEYS, ADMIN_API_KEYS: nobody gets in there")
      assert.notInclude(keys.out, ":short")
    })
  )
})

layer(Layer.merge(TestDatabase.empty, NodeServices.layer), { excludeTestServices: true })(
  "penstock doctor on an empty database",
  (it) => {
    it.effect("says what a role lacks to make the tables, and makes none itself", () =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const { url } = yield* TestDatabase
        const name = `doctor_${randomUUID().replaceAll("-", "")}`
        yield* Effect.acquireRelease(sql.unsafe(`CREATE ROLE ${name} LOGIN PASSWORD 'p'`), () =>
          Effect.orDie(sql.unsafe(`DROP ROLE ${name}`))
        )
        const address = new URL(Redacted.value(url))
        address.username = name
        address.password = "p"
        const [lacking, owner] = yield* Effect.all(
          [doctor({ DATABASE_URL: address.href }), doctor({ DATABASE_URL: url })],
          atOnce
        )
        assertFault(
          lacking,
          "database rights",
          /may not make schemas and tables$/,
          new RegExp(`GRANT CREATE ON DATABASE .*; GRANT CREATE ON SCHEMA "public" TO "${name}"`)
        )
        assert.strictEqual(owner.code, 0, owner.out)
        assert.match(owner.of.get("database tables")?.found ?? "", /^none yet; `penstock start`/)
        assert.deepStrictEqual(yield* sql`SELECT to_regclass('penstock_migrations') AS made`, [{ made: null }])
      }).pipe(Effect.scoped)
    )
  }
)
