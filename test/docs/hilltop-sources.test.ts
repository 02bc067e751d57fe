/**
 * The page of Hilltop sources, its blocks run as printed beside a service: simulated councils stand in for the one that the page
 * names, so that none is asked.
 */
import { NodeHttpClient, NodeServices } from "@effect/platform-node"
import { assert, layer } from "@effect/vitest"
import { Context, Effect, Layer, Redacted, Schedule } from "effect"
import { HttpClient, HttpClientRequest } from "effect/http"
import { SqlClient } from "effect/sql"
import { freePort } from "../../layers/embedded/freePort.ts"
import { HilltopSimulator } from "../../scripts/simulators/HilltopSimulator.ts"
import { documentPage } from "../support/documentBlocks.ts"
import { ownCheckout } from "../support/ownCheckout.ts"
import { runBlock, startBlock } from "../support/runBlock.ts"
import { blockKeys, serviceBlock } from "../support/serviceBlock.ts"
import { TestDatabase } from "../support/TestDatabase.ts"

const page = documentPage("docs/hilltop-sources.md")

/** Addresses that the page prints, in the order of the simulated councils. */
const printed = ["WaterUse.hts", "merged.hts", "Telemetry.hts"].map((file) => `https://hilltop.gw.govt.nz/${file}`)

class Running extends Context.Service<Running, Effect.Success<ReturnType<typeof serviceBlock>>>()(
  "penstock/test/docs/Running"
) {
  static readonly layer = Layer.effect(
    Running,
    Effect.gen(function* () {
      const { url } = yield* TestDatabase
      return yield* serviceBlock(yield* ownCheckout, "npx penstock start", {
        DATABASE_URL: Redacted.value(url),
        PENSTOCK_ROLES: "api,crawl,stream",
        CRAWL_ALLOW_PRIVATE: "true"
      })
    }).pipe(Effect.orDie)
  )
}

const services = Running.layer.pipe(
  Layer.provideMerge(
    Layer.mergeAll(
      TestDatabase.layer,
      HilltopSimulator.layer({ sites: 8, councils: 3, historyDays: 2 }),
      NodeHttpClient.layerUndici
    )
  ),
  Layer.provideMerge(NodeServices.layer)
)

/** Runs a block against the simulated councils. */
const run = (name: string) =>
  Effect.gen(function* () {
    const { sources } = yield* HilltopSimulator
    const { run } = yield* Running
    const here = Object.fromEntries(printed.map((address, n) => [address, sources[n]?.htsUrl ?? ""]))
    return (yield* run(page.take(name), here)).out
  })

const until = <A, E, R>(look: Effect.Effect<A, E, R>, isIt: (value: A) => boolean) =>
  look.pipe(
    Effect.repeat({ until: isIt, schedule: Schedule.upTo(Schedule.spaced("50 millis"), { duration: "40 seconds" }) }),
    Effect.tap((value) => Effect.sync(() => assert.isTrue(isIt(value), JSON.stringify(value))))
  )

/** Each command of a block is a process that starts; on a machine with other work that takes a while. */
const patient = 180_000

layer(services, { excludeTestServices: true, timeout: "2 minutes" })("docs/hilltop-sources.md", (it) => {
  it.effect(
    "tries a source, and adds sources in three ways, which are crawled at once",
    () =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const tried = JSON.parse(yield* run("try a source"))
        assert.deepInclude(tried, { answers: true })
        assert.strictEqual(yield* run("add on the command line"), "1\n")
        assert.deepInclude(JSON.parse(yield* run("add over HTTP")), { id: 2, council_id: 9 })
        const { sources } = yield* HilltopSimulator
        yield* sql.unsafe(page.take("add with SQL").replaceAll(printed[2] ?? "", sources[2]?.htsUrl ?? ""))
        yield* until(
          sql<{ source: number }>`SELECT DISTINCT source_id AS source FROM hilltop_fetch_tasks
          WHERE request_type <> 'SITES_LIST' ORDER BY 1`,
          (rows) => rows.length === 3
        )
        const looked = yield* run("look")
        for (const { htsUrl } of sources) assert.include(looked, htsUrl)
        assert.include(looked, "SITES_LIST")
      }),
    patient
  )

  it.effect(
    "pauses and resumes a source",
    () =>
      Effect.gen(function* () {
        const out = yield* run("pause")
        assert.include(out, "Source 1 is paused")
        assert.include(out.split("\n")[1] ?? "", "Source 1")
      }),
    patient
  )

  it.effect(
    "shows what fails and rests, runs a task, and tells all of one",
    () =>
      Effect.gen(function* () {
        const lines = (yield* run("what fails")).trim().split("\n")
        assert.include(lines.join("\n"), "Task 1 is")
        assert.deepStrictEqual(JSON.parse(lines.at(-1) ?? ""), { redriven: 0, more: false })
        assert.deepInclude(JSON.parse(yield* run("one task")), { id: 1 })
      }),
    patient
  )

  it.effect(
    "shows what came of it",
    () =>
      Effect.gen(function* () {
        const { url } = yield* Running
        const statusOfSeries = HttpClientRequest.get(`${url}/observation/series/1`).pipe(
          HttpClientRequest.bearerToken(blockKeys.READ_KEY),
          HttpClient.execute,
          Effect.map(({ status }) => status),
          Effect.scoped
        )
        yield* until(statusOfSeries, (status) => status === 200)
        const out = yield* run("observations")
        const [sites = "", rest = ""] = out.split(/(?<=\})(?=\{"id")/)
        assert.isNotEmpty(JSON.parse(sites).items)
        assert.include(rest, '"series":[')
        assert.match(out, /observed_at,value,/)
      }),
    patient
  )

  it.effect(
    "simulates servers, and prints rows that are taken as they are",
    () =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const port = yield* freePort
        const cwd = yield* ownCheckout
        const block = page.take("simulated servers").replace("--port 9100", `--port ${port} --one-server`)
        const started = yield* startBlock({ cwd, env: {} }, block)
        const rows = yield* until(
          Effect.sync(() => /INSERT INTO[^;]*;/.exec(started.output())?.[0]),
          (found) => found !== undefined
        )
        yield* sql.withTransaction(
          Effect.andThen(sql.unsafe(rows ?? ""), sql`DELETE FROM hilltop_sources WHERE id > 3`)
        )
        const added = yield* runBlock(
          { cwd, env: { DATABASE_URL: Redacted.value((yield* TestDatabase).url) } },
          page.take("add a simulated source").replace("9100", String(port))
        )
        assert.match(added.out, /^\d+\n$/)
      }).pipe(Effect.scoped),
    patient
  )

  it.effect("has no other blocks", () => Effect.sync(() => assert.deepStrictEqual(page.untaken(), [])))
})
