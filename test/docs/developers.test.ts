/**
 * `docs/developers.md`, followed as it is printed: in a copy of the repository its files are written where it says, and its commands
 * are run. Its package is tried in test/exports/package.test.ts, so that one is built for both.
 *
 * The copy has our PostgreSQL for its tests. What installs everything anew, checks everything or measures for minutes is held to what
 * `.ci/run` does and what the scripts say of themselves.
 */
import { NodeServices } from "@effect/platform-node"
import { assert, layer } from "@effect/vitest"
import { Context, Effect, FileSystem, Layer, Path, Redacted, Schedule } from "effect"
import { ChildProcess } from "effect/process"
import { SqlClient } from "effect/sql"
import { existsSync, readFileSync } from "node:fs"
import { stripVTControlCharacters } from "node:util"
import { inject } from "vitest"
import manifest from "../../package.json" with { type: "json" }
import { documentPage } from "../support/documentBlocks.ts"
import { place, run } from "../support/packedPenstock.ts"
import { TestDatabase } from "../support/TestDatabase.ts"

const page = documentPage("docs/developers.md")
const linesOf = (block: string) => block.trim().split("\n")

/** The parts of a repository that are needed to compile and test. */
const parts = ["exports", "src", "layers", "migrations", "scripts", "test", "web"]
const files = ["package.json", "tsconfig.json", "vitest.config.ts"]

class Copy extends Context.Service<
  Copy,
  {
    readonly write: (file: string, text: string) => Effect.Effect<void>
    readonly change: (file: string, to: (text: string) => string) => Effect.Effect<void>
    /** Runs a block's lines in a shell, one after the other. */
    readonly shell: (block: string, env?: Readonly<Record<string, string>>) => ReturnType<typeof run>
    readonly directory: string
  }
>()("penstock/test/docs/Copy") {
  static readonly layer = Layer.effect(
    Copy,
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const paths = yield* Path.Path
      const directory = yield* fs.makeTempDirectoryScoped({ prefix: "penstock-developers-" })
      const to = (name: string) => paths.join(directory, name)
      for (const name of [...parts, ...files]) yield* fs.copy(place(name), to(name))
      yield* fs.symlink(place("node_modules"), to("node_modules"))
      const write = Effect.fnUntraced(function* (file: string, text: string) {
        yield* fs.makeDirectory(paths.dirname(to(file)), { recursive: true })
        yield* fs.writeFileString(to(file), text)
      }, Effect.orDie)
      return Copy.of({
        directory,
        write,
        change: (file, change) =>
          Effect.orDie(Effect.flatMap(fs.readFileString(to(file)), (text) => write(file, change(text)))),
        shell: (block, env = {}) =>
          run({ cwd: directory, env: { TEST_DATABASE_URL: inject("postgresUrl"), ...env } }, "sh", "-euc", block)
      })
    })
  )
}

const services = Layer.merge(Layer.provideMerge(Copy.layer, NodeServices.layer), TestDatabase.layer)

const succeeds = Effect.fnUntraced(function* (ended: ReturnType<typeof run>) {
  const { code, err, out } = yield* ended
  assert.strictEqual(code, 0, `${out}\n${err}`)
  return stripVTControlCharacters(out)
})

const gaugeFiles = [
  "src/gauges/GaugeClient.ts",
  "src/gauges/GaugeQueue.ts",
  "src/gauges/runGauge.ts",
  "src/gauges/GaugeCrawl.ts",
  "layers/gauges/PgGaugeQueue.ts",
  "layers/gauges/FetchGaugeClient.ts",
  "test/gauges/gaugeFlow.test.ts",
  "scripts/gauges.ts"
]

layer(services, { excludeTestServices: true, timeout: "3 minutes" })("for developers", (it) => {
  it.effect("begins with what continuous integration does as well", () =>
    Effect.sync(() => {
      const ci = linesOf(readFileSync(place(".ci/run"), "utf8")).map((line) => line.trim())
      assert.includeMembers(ci, linesOf(page.take("begin")))
      assert.includeMembers(ci, linesOf(page.take("deno")))
    })
  )

  it.effect("names rooms that there are", () =>
    Effect.sync(() => {
      const picture = page.take("rooms")
      for (const room of ["domain", "running", "sync", "lookup", "hilltop", "stream", "crawl", "api"]) {
        assert.include(picture, room)
        assert.isTrue(existsSync(place(`src/${room}`)), room)
      }
    })
  )

  it.effect(
    "has tests of one layer, and a source of another kind that keeps to the house and works",
    () =>
      Effect.gen(function* () {
        const copy = yield* Copy
        yield* copy.write("test/sync/oneLayer.test.ts", page.take("one layer over PostgreSQL"))
        yield* copy.write("test/sync/oneRule.test.ts", page.take("one layer over memory"))
        for (const file of gaugeFiles) yield* copy.write(file, page.take(file))
        const insert = (after: RegExp, lines: string) => (text: string) => {
          assert.match(text, after)
          return text.replace(after, (head) => `${head}\n${lines}`)
        }
        const architecture = "test/architecture.test.ts"
        yield* copy.change(architecture, insert(/const contracts: .*\{$/m, page.take("contracts")))
        yield* copy.change(architecture, insert(/const technology: .*\{$/m, page.take("technology")))
        // All in one, since each would start a PostgreSQL's worth of things again.
        const commands = ["one file", "run one layer", "run the gauges"].flatMap((name) => linesOf(page.take(name)))
        const tests = commands.filter((line) => line.startsWith("npx vitest run "))
        assert.deepStrictEqual(
          [tests.length, commands.filter((line) => !tests.includes(line))],
          [3, ["npx tsc --noEmit"]]
        )
        const paths = tests.map((line) => line.replace("npx vitest run ", "")).join(" ")
        const [tested] = yield* Effect.all(
          [succeeds(copy.shell(`npx vitest run ${paths}`)), succeeds(copy.shell("npx tsc --noEmit"))],
          { concurrency: 2 }
        )
        assert.match(tested, /Test Files +5 passed/)
      }),
    900_000
  )

  it.effect(
    "has a process of that source, which works until it is stopped",
    () =>
      Effect.gen(function* () {
        const copy = yield* Copy
        const { url } = yield* TestDatabase
        const sql = yield* SqlClient.SqlClient
        assert.strictEqual(page.take("start the gauges").trim(), "npx node scripts/gauges.ts")
        const worker = yield* ChildProcess.make(process.execPath, ["scripts/gauges.ts"], {
          cwd: copy.directory,
          env: { DATABASE_URL: Redacted.value(url), LOG_LEVEL: "error" },
          extendEnv: true
        })
        // It looks for what is due; and at the end gives its connections back, or the database would not let go of the test.
        yield* sql`SELECT FROM topic_partitions WHERE topic = 'observations'`.pipe(
          Effect.repeat({ until: (rows) => rows.length > 0, schedule: Schedule.spaced("100 millis") }),
          Effect.timeout("3 minutes")
        )
        yield* worker.kill()
      }).pipe(Effect.scoped),
    300_000
  )

  it.effect("has a package that another project can use, with the version of Effect that it is built with", () =>
    Effect.sync(() => {
      // Packed, installed and run in test/exports/package.test.ts.
      for (const name of ["pack", "library"]) page.take(name)
      assert.include(page.take("install"), `effect@${manifest.dependencies.effect}`)
    })
  )

  it.effect(
    "names benchmarks and flags that there are",
    () =>
      Effect.gen(function* () {
        const helpOf = (script: "bench" | "chaos") =>
          succeeds(
            run({ cwd: place(".") }, process.execPath, ...manifest.scripts[script].split(" ").slice(1), "--help")
          )
        const [bench, chaos] = yield* Effect.all([helpOf("bench"), helpOf("chaos")], { concurrency: 2 })
        for (const line of linesOf(page.take("bench"))) {
          const [, words = ""] = /^npm run bench -- (.*)$/.exec(line) ?? []
          assert.include(bench, words)
        }
        for (const line of linesOf(page.take("chaos"))) {
          const [, words = ""] = /^npm run chaos -- (.*)$/.exec(line) ?? []
          for (const flag of words.match(/--[a-z]+/g) ?? []) assert.include(chaos, flag)
        }
      }),
    180_000
  )

  it.effect("leaves no block untried", () => Effect.sync(() => assert.deepStrictEqual(page.untaken(), [])))
})
