/**
 * The package as somebody else's project has it: what is in it, that it can be imported, is typed, and runs, also as docs/developers.md
 * shows it; and the examples.
 */
import { assert, layer } from "@effect/vitest"
import { Effect, FileSystem, Layer, Path, Redacted, Schedule } from "effect"
import { ChildProcess } from "effect/process"
import { SqlClient } from "effect/sql"
import manifest from "../../package.json" with { type: "json" }
import { AdapterSimulator } from "../../scripts/simulators/AdapterSimulator.ts"
import { libraryPage, PackedPenstock, place, run } from "../support/packedPenstock.ts"
import { standIn } from "../support/standIn.ts"
import { TestDatabase } from "../support/TestDatabase.ts"

const program = `
import { Effect, Layer } from "effect"
import { AdapterClient, LockStore, MemoryAccountingPoints } from "penstock/sync"
import { HilltopQueue } from "penstock/crawl"
import { leaseTime } from "penstock/crawl/HilltopQueue"
import { PgLockStore } from "penstock/layers/sync/PgLockStore"

export const program: Effect.Effect<string, never, AdapterClient | LockStore | HilltopQueue> = Effect.gen(function* () {
  yield* AdapterClient
  yield* LockStore
  yield* HilltopQueue
  return String(leaseTime)
})
export const isLayer: boolean = Layer.isLayer(PgLockStore)
console.log(isLayer, typeof MemoryAccountingPoints)
`

const tsconfig = {
  compilerOptions: {
    module: "NodeNext",
    target: "ES2024",
    strict: true,
    exactOptionalPropertyTypes: true,
    skipLibCheck: false,
    types: ["node"],
    outDir: "out"
  },
  include: ["program.ts"]
}

const services = Layer.merge(PackedPenstock.layer, TestDatabase.layer)

layer(services, { excludeTestServices: true, timeout: "3 minutes" })("the package", (it) => {
  it.effect("has what was built, with types and source maps, and the page, and neither other sources nor tests", () =>
    Effect.gen(function* () {
      const { files } = yield* PackedPenstock
      const strange = files.filter(
        (file) => !/^(dist\/|web\/|bin\/penstock\.js$|package\.json$|README\.md$|CHANGELOG\.md$|LICENSE$)/.test(file)
      )
      assert.deepStrictEqual(strange, [])
      const built = files.filter((file) => file.startsWith("dist/") && file.endsWith(".js"))
      const complete = new Set(files)
      const bare = built.filter((file) => !complete.has(file.replace(/\.js$/, ".d.ts")) || !complete.has(`${file}.map`))
      assert.isAbove(built.length, 200)
      assert.deepStrictEqual(bare, [])
      assert.deepStrictEqual(
        files.filter((file) => !file.startsWith("web/") && /\.test\.|(?<!\.d)\.ts$|^dist\/test\//.test(file)),
        []
      )
    })
  )

  it.effect("can be imported by every name that it exports", () =>
    Effect.gen(function* () {
      const { files, project } = yield* PackedPenstock
      const rooms = Object.keys(manifest.exports).filter((name) => !name.includes("*"))
      const layers = files
        .filter((file) => /^dist\/layers\/.*\.js$/.test(file))
        .map((file) => file.replace(/^dist\/(.*)\.js$/, "./$1"))
      const names = [...rooms.filter((name) => name !== "./package.json"), ...layers]
      const lines = names.map((name) => `await import(${JSON.stringify(name.replace(".", "penstock"))})`)
      const { code, err } = yield* run(
        { cwd: project },
        process.execPath,
        "--input-type=module",
        "--eval",
        lines.join("\n")
      )
      assert.strictEqual(err, "")
      assert.strictEqual(code, 0)
    })
  )

  it.effect("is typed, and runs in a project of its own", () =>
    Effect.gen(function* () {
      const { project } = yield* PackedPenstock
      const system = yield* FileSystem.FileSystem
      const paths = yield* Path.Path
      const write = (name: string, text: string) => system.writeFileString(paths.join(project, name), text)
      yield* write("program.ts", program)
      yield* write("tsconfig.json", JSON.stringify(tsconfig))
      const compiler = place("node_modules/typescript/bin/tsc")
      assert.deepInclude(yield* run({ cwd: project }, process.execPath, compiler, "-p", "."), { out: "", code: 0 })
      const { code, out } = yield* run({ cwd: project }, process.execPath, "out/program.js")
      assert.deepStrictEqual({ code, out }, { code: 0, out: "true function\n" })
    })
  )

  it.effect("runs as docs/developers.md shows it", () =>
    Effect.gen(function* () {
      const { project } = yield* PackedPenstock
      const system = yield* FileSystem.FileSystem
      const paths = yield* Path.Path
      yield* system.writeFileString(paths.join(project, "library.ts"), libraryPage.take("library"))
      const { url } = yield* TestDatabase
      const env = { DATABASE_URL: Redacted.value(url), LOG_LEVEL: "error" }
      const { code, err, out } = yield* run({ cwd: project, env }, process.execPath, "library.ts")
      assert.strictEqual(code, 0, err)
      assert.match(out, /^accounting point \d+ is at version 0\n$/)
    })
  )

  it.effect("has the command line", () =>
    Effect.gen(function* () {
      const { project } = yield* PackedPenstock
      const { code, out } = yield* run(
        { cwd: project },
        process.execPath,
        "node_modules/penstock/bin/penstock.js",
        "--version"
      )
      assert.deepStrictEqual({ code, out: out.trim() }, { code: 0, out: `penstock v${manifest.version}` })
    })
  )

  /** The example's files in the project, as its `package.json` would have them beside an installed package. */
  const put = Effect.fnUntraced(function* (example: string) {
    const { project } = yield* PackedPenstock
    const system = yield* FileSystem.FileSystem
    const paths = yield* Path.Path
    const directory = paths.join(project, example)
    yield* system.copy(place(`examples/${example}`), directory)
    return directory
  })

  it.effect("lets an example ask an adapter", () =>
    Effect.gen(function* () {
      const cwd = yield* put("adapter-client")
      const simulator = yield* AdapterSimulator
      const env = { ADAPTER_URL: simulator.url, ADAPTER_API_KEY: simulator.apiKey }
      const { gsrn } = yield* simulator.point(0)
      const known = yield* run({ cwd, env }, process.execPath, "ask.ts", gsrn)
      assert.deepInclude(known, { err: "", code: 0 })
      assert.match(known.out, /^\{"endUsers":\d+,"energySuppliers":\["\d{13}".*"meteringGridAreas":\["\d{2}Y/)
      const refused = yield* run({ cwd, env: { ...env, ADAPTER_API_KEY: "wrong" } }, process.execPath, "ask.ts", gsrn)
      assert.deepInclude(refused, { out: "refused: the adapter answered 401\n", code: 0 })
    }).pipe(Effect.provide(AdapterSimulator.layer({ points: 10 })))
  )

  it.effect(
    "lets an example work through a queue of its own, within budgets, whatever is killed",
    () =>
      Effect.gen(function* () {
        const cwd = yield* put("queue")
        const { url } = yield* TestDatabase
        const sql = yield* SqlClient.SqlClient
        const env = { DATABASE_URL: Redacted.value(url), LOG_LEVEL: "error" }
        let [isHeld, inFlight, most] = [true, 0, 0]
        const server = yield* standIn((request, response) => {
          most = Math.max(most, ++inFlight)
          response.once("close", () => inFlight--)
          if (request.url !== "/held" || !isHeld) response.end(`page ${request.url}`)
        })
        const pages = ["/held", "/1", "/2", "/3", "/4", "/5"].map((path) => `${server.url}${path}`)
        const start = ChildProcess.make(process.execPath, ["work.ts", ...pages], { cwd, env, extendEnv: true })
        const ran = (pagesRun: number) =>
          sql`SELECT FROM hilltop_fetch_tasks WHERE request_type = 'example.page' AND previous_history -> -1 ->> 'result' = 'SUCCESS'`.pipe(
            Effect.repeat({ until: ({ length }) => length === pagesRun, schedule: Schedule.spaced("50 millis") }),
            Effect.timeout("1 minute")
          )
        const first = yield* start
        yield* ran(5)
        yield* first.kill({ killSignal: "SIGKILL" })
        isHeld = false
        // Else it is taken over after 15 s.
        const lost = yield* sql`UPDATE hilltop_fetch_leases SET lease_until = now() RETURNING task_id`
        assert.strictEqual(lost.length, 1)
        const second = yield* start
        yield* ran(6)
        yield* second.kill()
        assert.isAtMost(most, 2)
      }).pipe(Effect.scoped),
    180_000
  )

  it.effect("lets an example answer as a module of an edge runtime", () =>
    Effect.gen(function* () {
      const cwd = yield* put("edge")
      const { url } = yield* TestDatabase
      const ask = `
        const { default: module } = await import("./main.ts")
        const ask = (path, key) => module.fetch(new Request("http://edge.test" + path, { headers: { authorization: "Bearer " + key } }))
        console.log((await ask("/health/ready", "")).status, (await ask("/observation/site", "wrong")).status)
        console.log(JSON.stringify(await (await ask("/observation/site", "0123456789abcdef")).json()))
        await module.close()`
      const env = {
        DATABASE_URL: Redacted.value(url),
        PENSTOCK_ROLES: "api",
        READ_API_KEYS: "edge:0123456789abcdef",
        LOG_LEVEL: "error"
      }
      const { code, err, out } = yield* run({ cwd, env }, process.execPath, "--input-type=module", "--eval", ask)
      assert.deepStrictEqual(
        { code, err, out },
        { code: 0, err: "", out: '200 401\n{"items":[],"next_cursor":null}\n' }
      )
    })
  )
})
