/**
 * How the command line behaves whichever command it is: what was typed wrong, a database that is not there, another version's, a
 * port that is taken, a directory that cannot be written.
 */
import { NodeHttpClient, NodeServices } from "@effect/platform-node"
import { assert, layer } from "@effect/vitest"
import { Effect, FileSystem, Layer, Redacted, References, Schedule, Stream } from "effect"
import { HttpClient } from "effect/http"
import { SqlClient } from "effect/sql"
import { createServer } from "node:http"
import { freePort } from "../../layers/embedded/freePort.ts"
import { latestStep } from "../../layers/postgres/Migrations.ts"
import { jsonLines, runCommand, startCommand } from "../support/runCommand.ts"
import { TestDatabase } from "../support/TestDatabase.ts"

const words = (line: string) =>
  line
    .split(" ")
    .filter((word) => word !== "")
    .map((word) => word.replace("90days", "90 days"))
const atOnce = { concurrency: 3 } as const
/** For ten processes, one after the other, on a machine that has more to do. */
const patience = 180_000

/** Every command that only reads, or changes what is there: none has any business with a database that is not. */
const commands = [
  "source list",
  "source pause 1",
  "source resume 1",
  "task list",
  "task run 1",
  "sync status",
  "sync run",
  "topic tail observations --from earliest --limit 1",
  "topic replay",
  "purge --not-relevant-for 90days --dry-run"
]

/** Has the address of each module that is loaded told on standard error. */
const tellLoaded = `data:text/javascript,${encodeURIComponent(`
  import { registerHooks } from "node:module"
  registerHooks({
    load: (url, context, next) => {
      process.stderr.write(url + "\\n")
      return next(url, context)
    }
  })`)}`

const services = Layer.mergeAll(
  TestDatabase.layer,
  NodeServices.layer,
  NodeHttpClient.layerUndici,
  Layer.succeed(References.MinimumLogLevel, "Error")
)

layer(services, { excludeTestServices: true })("the command line", (it) => {
  it.effect("answers what makes no sense in a line or two on standard error, and ends with 2", () =>
    Effect.gen(function* () {
      const run = (line: string) => runCommand({}, ...words(line))
      const [unknown, missing, flag, value, required, bare] = yield* Effect.all(
        [
          run("lost"),
          run("source"),
          run("task list --statu due"),
          run("task list --limit many"),
          run("purge"),
          run("")
        ],
        atOnce
      )
      const said = (err: string) => ({ out: "", err, code: 2, database: undefined })
      assert.deepStrictEqual(unknown, said('Unknown subcommand "lost" for "penstock".\n`penstock --help` says more.\n'))
      const one = "penstock source needs one of: add, list, pause, resume.\n`penstock source --help` says more.\n"
      assert.deepStrictEqual(missing, said(one))
      const like =
        "Unrecognized flag: --statu in command penstock task list. Did you mean --status?\n`penstock task list --help` says more.\n"
      assert.deepStrictEqual(flag, said(like))
      assert.deepInclude(value, { out: "", code: 2 })
      assert.match(value.err, /^Invalid value for flag --limit: "many"\./)
      assert.deepStrictEqual(
        required,
        said("Missing required flag: --not-relevant-for.\n`penstock purge --help` says more.\n")
      )
      assert.deepInclude(bare, { err: "", code: 0 }, "alone it shows its help")
      assert.include(bare.out, "SUBCOMMANDS")
    })
  )

  it.effect("keeps its help within the width of most terminals, but for long descriptions", () =>
    Effect.gen(function* () {
      const { out } = yield* runCommand({}, "--help")
      const global = out.slice(out.indexOf("GLOBAL FLAGS"), out.indexOf("SUBCOMMANDS"))
      for (const line of global.split("\n")) assert.isAtMost(line.length, 100, line)
      assert.match(global, /--json .*one JSON object a line/)
    })
  )

  it.effect("loads neither the service nor the clients of Kafka and of HTTP for what needs none of them", () =>
    Effect.gen(function* () {
      const { err, out } = yield* runCommand({ NODE_OPTIONS: `--import=${tellLoaded}` }, "--help")
      assert.include(out, "SUBCOMMANDS")
      assert.include(err, "/scripts/penstock.ts")
      for (const part of ["/layers/Main.ts", "/node_modules/kafkajs/", "/node_modules/undici/"]) {
        assert.notInclude(err, part)
      }
    })
  )

  it.effect(
    "makes no database where there is none, nor a directory, and says where it looked",
    () =>
      Effect.gen(function* () {
        const fs = yield* FileSystem.FileSystem
        const home = `${yield* fs.makeTempDirectoryScoped({ prefix: "penstock-test-" })}/nothing`
        const ran = yield* Effect.forEach(
          commands,
          (line) => runCommand({ PENSTOCK_DATA: home, ADAPTER_URL: "http://127.0.0.1:1" }, ...words(line)),
          atOnce
        )
        for (const [index, { code, err, out }] of ran.entries()) {
          assert.deepStrictEqual([code, out], [1, ""], commands[index])
          assert.match(err, new RegExp(`^There is no database in ${home}/postgres, and this command makes none\\.`))
          assert.include(err, "`penstock migrate`")
        }
        assert.isFalse(yield* fs.exists(home))
      }),
    patience
  )

  it.effect("says which database it uses, without who logs in", () =>
    Effect.gen(function* () {
      const { name, url } = yield* TestDatabase
      const { database, err } = yield* runCommand({ DATABASE_URL: url }, "source", "list")
      const { host, password } = new URL(Redacted.value(url))
      assert.deepStrictEqual([database, err], [`PostgreSQL at ${host}, database ${name}`, ""])
      assert.notInclude(database, password)
    })
  )

  it.effect("leaves the tables of another version alone, and says which step they are at", () =>
    Effect.gen(function* () {
      const { url } = yield* TestDatabase
      const sql = yield* SqlClient.SqlClient
      const told = (line: string) => runCommand({ DATABASE_URL: url }, ...words(line))
      yield* sql`UPDATE penstock_migrations SET migration_id = 1000 WHERE migration_id = ${latestStep}`
      const newer = yield* told("task list")
      yield* sql`UPDATE penstock_migrations SET migration_id = ${latestStep} WHERE migration_id = 1000`
      yield* sql`UPDATE penstock_migrations SET migration_id = 5 WHERE migration_id = ${latestStep}`
      yield* sql`CREATE TABLE kept AS SELECT * FROM penstock_migrations`
      yield* sql`DELETE FROM penstock_migrations WHERE migration_id > 5`
      const older = yield* told("sync status")
      yield* sql`DELETE FROM penstock_migrations`
      yield* sql`INSERT INTO penstock_migrations SELECT * FROM kept`
      yield* sql`UPDATE penstock_migrations SET migration_id = ${latestStep} WHERE migration_id = 5`
      yield* sql`DROP TABLE kept`
      assert.deepStrictEqual([newer.code, older.code], [1, 1])
      assert.include(newer.err, `: its tables are at step 1000, and this version knows ${latestStep}`)
      assert.include(older.err, `its tables are at step 5, and this version needs ${latestStep}; \`penstock migrate\``)
    })
  )

  it.effect(
    "prints JSON for programs, whichever command it is, and the flag may stand anywhere",
    () =>
      Effect.gen(function* () {
        const { url } = yield* TestDatabase
        const run = (line: string) => runCommand({ DATABASE_URL: url }, ...words(line))
        const added = yield* run("--json source add --council 7 --url https://h/j.hts --measurement Flow --paused")
        const [source] = jsonLines(added.out)
        const id = Number(source?.["id"])
        assert.isAbove(id, 0)
        const sql = yield* SqlClient.SqlClient
        yield* sql`
        INSERT INTO hilltop_fetch_tasks (source_id, request_type, fetch_url, next_fetch_at)
        VALUES (${id}, 'SITES_LIST', 'https://h/j.hts?1', now())`
        const outs = yield* Effect.forEach(
          [
            `source list --json`,
            `source --json resume ${id}`,
            `source pause ${id} --json`,
            "task list --json",
            "task run 1 --json",
            "sync status --json",
            "purge --not-relevant-for 90days --json",
            "migrate --json",
            "topic replay --json",
            "doctor --json"
          ],
          (line) => Effect.map(run(line), ({ code, out }) => ({ line, code, objects: jsonLines(out) })),
          atOnce
        )
        for (const { code, line, objects } of outs) {
          assert.strictEqual(code, 0, line)
          assert.isNotEmpty(objects, line)
        }
        const byLine = new Map(outs.map(({ line, objects }) => [line, objects]))
        assert.deepStrictEqual(byLine.get(`source --json resume ${id}`), [{ id, paused: false, problem: null }])
        assert.deepInclude(byLine.get("purge --not-relevant-for 90days --json")?.[0], { dryRun: false, endUsers: 0 })
        assert.deepInclude(byLine.get("migrate --json")?.[0], { step: latestStep, applied: [] })
        assert.deepStrictEqual(byLine.get("topic replay --json"), [{ documents: 0 }])
      }),
    patience
  )

  it.effect(
    "logs as much as --log-level says, the service as well",
    () =>
      Effect.gen(function* () {
        const { url } = yield* TestDatabase
        const [quiet, loud] = yield* Effect.all(
          [
            runCommand({ DATABASE_URL: url }, "migrate"),
            runCommand({ DATABASE_URL: url, LOG_FORMAT: "json" }, "migrate", "--log-level", "debug")
          ],
          atOnce
        )
        assert.strictEqual(quiet.err, "")
        assert.include(loud.err, "Migrations complete")
        const levels = Effect.fnUntraced(function* (level: string) {
          const port = yield* freePort
          const settings = { DATABASE_URL: url, HTTP_HOST: "127.0.0.1", HTTP_PORT: String(port), PENSTOCK_ROLES: "api" }
          const service = yield* startCommand(settings, "start", "--json", "--log-level", level)
          yield* HttpClient.get(`http://127.0.0.1:${port}/health/ready`).pipe(
            Effect.scoped,
            Effect.retry(Schedule.upTo(Schedule.spaced("100 millis"), { duration: "50 seconds" }))
          )
          yield* service.kill({ killSignal: "SIGTERM" })
          const out = yield* Stream.mkString(Stream.decodeText(service.stdout))
          return new Set(jsonLines(out).map((line) => String(line["level"]).toLowerCase()))
        }, Effect.scoped)
        assert.isTrue((yield* levels("debug")).has("debug"))
        assert.isFalse((yield* levels("error")).has("info"))
      }),
    patience
  )
})

layer(NodeServices.layer, { excludeTestServices: true })("penstock start and demo", (it) => {
  const takenPort = Effect.acquireRelease(
    Effect.callback<{ readonly port: number; readonly close: Effect.Effect<void> }>((resume) => {
      const server = createServer()
      server.listen(0, "127.0.0.1", () => {
        const address = server.address()
        const port = typeof address === "object" && address !== null ? address.port : 0
        resume(Effect.succeed({ port, close: Effect.sync(() => server.close()) }))
      })
    }),
    ({ close }) => close
  )

  it.effect("say in a sentence that the port is taken, before anything is made", () =>
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const home = `${yield* fs.makeTempDirectoryScoped({ prefix: "penstock-test-" })}/new`
      const { port } = yield* takenPort
      const settings = { PENSTOCK_DATA: home, HTTP_HOST: "127.0.0.1", HTTP_PORT: String(port) }
      const [service, demo] = yield* Effect.all(
        [runCommand(settings, "start"), runCommand({}, "demo", "--port", String(port), "--data", home)],
        atOnce
      )
      const sentence = (by: string) => `Port ${port} is taken. Stop who listens there, or choose another one (${by}).\n`
      assert.deepInclude(service, { out: "", err: sentence("HTTP_PORT"), code: 1 })
      assert.deepInclude(demo, { out: "", err: sentence("--port"), code: 1 })
      assert.isFalse(yield* fs.exists(home))
    }).pipe(Effect.scoped)
  )

  it.effect("say in a sentence that the directory cannot be written", () =>
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const file = `${yield* fs.makeTempDirectoryScoped({ prefix: "penstock-test-" })}/file`
      yield* fs.writeFileString(file, "")
      const [service, demo, foreign] = yield* Effect.all(
        [
          runCommand({ PENSTOCK_DATA: `${file}/data`, HTTP_HOST: "127.0.0.1", HTTP_PORT: "18471" }, "start"),
          runCommand({}, "demo", "--port", "18472", "--data", `${file}/data`),
          runCommand({ HTTP_HOST: "192.0.2.1" }, "start")
        ],
        atOnce
      )
      const sentence = (by: string) =>
        `${file}/data cannot be written: ${file} is not a directory. Choose another directory (${by}).\n`
      assert.deepInclude(service, { out: "", err: sentence("PENSTOCK_DATA"), code: 1 })
      assert.deepInclude(demo, { out: "", err: sentence("--data"), code: 1 })
      assert.deepInclude(foreign, { out: "", err: "192.0.2.1 is no address of this machine (HTTP_HOST).\n", code: 1 })
    })
  )
})
