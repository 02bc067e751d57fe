/**
 * The operators' page, its blocks run as printed: on the suite's PostgreSQL and beside the service that the page itself starts,
 * with a simulated adapter and simulated Hilltop servers.
 */
import { NodeHttpClient, NodeServices } from "@effect/platform-node"
import { PgClient } from "@effect/sql-pg"
import { assert, layer } from "@effect/vitest"
import { Context, Effect, FileSystem, Layer, Redacted } from "effect"
import { HttpClient, HttpClientRequest } from "effect/http"
import { SqlClient } from "effect/sql"
import { randomUUID } from "node:crypto"
import { inject } from "vitest"
import { parse } from "yaml"
import manifest from "../../package.json" with { type: "json" }
import { roles } from "../../layers/Settings.ts"
import { runMigrations } from "../../layers/postgres/Migrations.ts"
import { AdapterSimulator } from "../../scripts/simulators/AdapterSimulator.ts"
import { HilltopSimulator } from "../../scripts/simulators/HilltopSimulator.ts"
import { urlOfDatabase, withConnection } from "../support/adminConnection.ts"
import { documentPage } from "../support/documentBlocks.ts"
import { gsrnOf } from "../support/gsrns.ts"
import { copiedCheckout, ownCheckout } from "../support/ownCheckout.ts"
import { runBlock } from "../support/runBlock.ts"
import { runCommand } from "../support/runCommand.ts"
import { blockKeys, serviceBlock } from "../support/serviceBlock.ts"
import { TestDatabase } from "../support/TestDatabase.ts"

const path = "docs/operators.md"
const page = documentPage("docs/operators.md")

/** The accounting point of the page's examples. */
const printedGsrn = "707057500000000001"

/** Started by the first block of the page, but for `npm ci`: packages are those of the project. */
class Operated extends Context.Service<Operated, Effect.Success<ReturnType<typeof serviceBlock>>>()(
  "penstock/test/docs/Operated"
) {
  static readonly layer = Layer.effect(
    Operated,
    Effect.gen(function* () {
      const { url } = yield* TestDatabase
      const [adapter, hilltop] = [yield* AdapterSimulator, yield* HilltopSimulator]
      const [install, start = ""] = page.take("checkout").split("\n")
      assert.strictEqual(install, "npm ci")
      const service = yield* serviceBlock(yield* ownCheckout, start, {
        DATABASE_URL: Redacted.value(url),
        ADAPTER_URL: adapter.url,
        ADAPTER_API_KEY: adapter.apiKey,
        CRAWL_ALLOW_PRIVATE: "true"
      })
      const { gsrn } = yield* adapter.point(0)
      yield* HttpClientRequest.put(`${service.url}/controllable_unit/${randomUUID()}`).pipe(
        HttpClientRequest.bearerToken(blockKeys.ADMIN_KEY),
        HttpClientRequest.bodyJsonUnsafe({ accounting_point: gsrn, name: "Unit" }),
        HttpClient.execute,
        Effect.filterOrFail(({ status }) => status === 201),
        Effect.scoped
      )
      const sql = yield* SqlClient.SqlClient
      for (const { councilId, htsUrl, measurementNames } of hilltop.sources) {
        yield* sql`INSERT INTO hilltop_sources (council_id, hts_url, configuration)
          VALUES (${councilId}, ${htsUrl}, ${JSON.stringify({ measurementNames })}::jsonb)`
      }
      return service
    }).pipe(Effect.orDie)
  )
}

const services = Operated.layer.pipe(
  Layer.provideMerge(
    Layer.mergeAll(
      TestDatabase.layer,
      AdapterSimulator.layer({ points: 10, seed: 5 }),
      HilltopSimulator.layer({ sites: 8, councils: 1, historyDays: 2 }),
      NodeHttpClient.layerUndici
    )
  ),
  Layer.provideMerge(NodeServices.layer)
)

const readPage = FileSystem.FileSystem.use((files) =>
  files.readFileString(new URL(`../../${path}`, import.meta.url).pathname)
)

/** The first cells of the table whose head begins with `head`, without the head and the line under it. */
const firstCells = (text: string, head: string): ReadonlyArray<string> => {
  const lines = text.slice(text.indexOf(`| ${head}`)).split("\n")
  const end = lines.findIndex((line) => !line.startsWith("|"))
  return lines.slice(2, end).map((line) => line.split(" | ")[0]?.replace(/^\| /, "") ?? "")
}

const codeSpans = (text: string): ReadonlyArray<string> =>
  [...text.matchAll(/`([^`]+)`/g)].map((match) => match[1] ?? "")

const help = (...command: ReadonlyArray<string>) => Effect.map(runCommand({}, ...command, "--help"), ({ out }) => out)

/** The names under a heading of a help text. */
const namesUnder = (heading: string, text: string): ReadonlyArray<string> => {
  const section = text.slice(text.indexOf(`\n${heading}\n`) + heading.length + 2).split("\n\n")[0] ?? ""
  return [...section.matchAll(/^ {2}(\S+)/gm)].map((match) => (match[1] ?? "").replace(/,$/, ""))
}

/** One JSON document after another, as several lines of curl print them. */
const answers = (out: string): ReadonlyArray<Record<string, unknown>> =>
  out
    .replaceAll("}{", "}\n{")
    .split("\n")
    .map((line) => JSON.parse(line))

/** Each command of a block is a process that starts; on a machine with other work that takes a while. */
const patient = 180_000

layer(services, { excludeTestServices: true, timeout: "3 minutes" })("docs/operators.md", (it) => {
  it.effect(
    "lists every command, and none that does not exist",
    () =>
      Effect.gen(function* () {
        const root = namesUnder("SUBCOMMANDS", yield* help())
        const groups = yield* Effect.forEach(
          root,
          (name) => Effect.map(help(name), (text) => [name, text.includes("\nSUBCOMMANDS\n") ? text : ""] as const),
          { concurrency: 3 }
        )
        const existing = groups.flatMap(([name, text]) =>
          text === ""
            ? [name]
            : // One that has a command beneath it and does something itself.
              [...(name === "doctor" ? [name] : []), ...namesUnder("SUBCOMMANDS", text).map((sub) => `${name} ${sub}`)]
        )
        // In a row such as "`source add`, `list`" the later words are of the first one's group.
        const listed = firstCells(yield* readPage, "`npx penstock").flatMap((cell) => {
          let group = ""
          return codeSpans(cell).map((span) => {
            const [first = "", second] = span.split(" ")
            if (second === undefined || second.startsWith("-")) return `${group} ${first}`.trim()
            group = first
            return `${first} ${second}`
          })
        })
        assert.deepStrictEqual(listed.toSorted(), existing.toSorted())
      }),
    patient
  )

  it.effect(
    "lists the demo's flags",
    () =>
      Effect.gen(function* () {
        const listed = firstCells(yield* readPage, "`npm run demo").flatMap(codeSpans)
        const flags = namesUnder("FLAGS", yield* help("demo"))
        assert.deepStrictEqual(listed.map((flag) => flag.split(" ")[0]).sort(), [...flags].sort())
      }),
    patient
  )

  it.effect(
    "makes a database that its role can make all tables in",
    () =>
      Effect.gen(function* () {
        const server = Redacted.make(inject("postgresUrl"))
        const name = `penstock_${randomUUID().replaceAll("-", "")}`
        const statements = page.take("database").replaceAll("penstock", name).split("\n")
        const admin = (statement: string) => withConnection(server, (sql) => sql.unsafe(statement))
        yield* Effect.addFinalizer(() =>
          Effect.orDie(Effect.andThen(admin(`DROP DATABASE ${name} WITH (FORCE)`), admin(`DROP ROLE ${name}`)))
        )
        for (const statement of statements) yield* admin(statement)
        const own = new URL(Redacted.value(urlOfDatabase(server, name)))
        own.username = name
        own.password = encodeURIComponent("change this")
        const applied = yield* runMigrations.pipe(
          Effect.provide(PgClient.layer({ url: Redacted.make(own.href), maxConnections: 1 }), { local: true }),
          Effect.scoped
        )
        assert.isNotEmpty(applied)
      }).pipe(Effect.scoped),
    patient
  )

  it.effect(
    "calls the command as npx finds it in a checkout",
    () =>
      Effect.gen(function* () {
        const { out } = yield* runBlock(
          { cwd: yield* copiedCheckout, env: {}, isNpmsNpx: true },
          "npx penstock --version"
        )
        assert.strictEqual(out, `penstock v${manifest.version}\n`)
      }).pipe(Effect.scoped),
    patient
  )

  it.effect(
    "starts a service of which it can be asked how it does",
    () =>
      Effect.gen(function* () {
        const { run, url } = yield* Operated
        const [ready] = answers((yield* run(page.take("health"))).out)
        assert.deepInclude(ready, { status: "ready" })
        const [overview, topics] = answers((yield* run(page.take("overview"))).out)
        assert.isDefined(overview?.["accounting_points"])
        assert.isNotEmpty(topics?.["groups"])
        assert.include((yield* run(page.take("metrics"))).out, "penstock_build_info{")
        const doctor = yield* run(page.take("doctor"))
        assert.include(doctor.out, "ok    database")
        assert.notInclude(doctor.out, "FAIL")
        // Each request of the table but those that change something, as this key may.
        for (const cell of firstCells(yield* readPage, "request |")) {
          for (const [, path = ""] of cell.matchAll(/`(?:GET )?(\/(?!topic\/dead_letter\/)[^`]*)`/g)) {
            if (path.includes("{") || path.endsWith("/events") || path.endsWith("redrive")) continue
            const response = yield* HttpClient.execute(
              HttpClientRequest.bearerToken(HttpClientRequest.get(`${url}${path}`), blockKeys.READ_KEY)
            )
            assert.strictEqual(response.status, 200, path)
          }
        }
      }),
    patient
  )

  it.effect(
    "tries the adapter, and syncs from it",
    () =>
      Effect.gen(function* () {
        const adapter = yield* AdapterSimulator
        const { run } = yield* Operated
        const { gsrn } = yield* adapter.point(0)
        const doctor = yield* run(page.take("doctor adapter"), { [printedGsrn]: gsrn })
        assert.notInclude(doctor.out, "FAIL")
        const { out } = yield* run(page.take("sync"), { [printedGsrn]: gsrn })
        assert.match(out, /relevant +1/)
        assert.include(out, "claimed of 1 relevant")
      }),
    patient
  )

  it.effect(
    "shows what goes by in a topic",
    () =>
      Effect.gen(function* () {
        const { run } = yield* Operated
        const { out } = yield* run(page.take("topic tail"))
        assert.strictEqual(out.trim().split("\n").length, 10)
      }),
    patient
  )

  it.effect(
    "counts what a purge would delete, and then deletes it",
    () =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const { run } = yield* Operated
        yield* sql`INSERT INTO flex.accounting_point (business_id, created_at) VALUES (${gsrnOf(1)}, now() - interval '100 days')`
        const { out } = yield* run(page.take("purge"))
        const [would, did] = out.split("\n")
        assert.match(would ?? "", /^Would delete 1 accounting point,/)
        assert.match(did ?? "", /^Deleted 1 accounting point,/)
      }),
    patient
  )

  it.effect(
    "changes a key while callers use the old one and the new one",
    () =>
      Effect.gen(function* () {
        const { url } = yield* TestDatabase
        const cwd = yield* ownCheckout
        const [oldKey, newKey] = ["the-old-key-of-the-portal", "the-new-key-of-the-portal"]
        const env = { READ_KEY: oldKey, NEW_READ_KEY: newKey }
        const settingOf = (name: string) =>
          Effect.map(runBlock({ cwd, env }, `${page.take(name)}\nprintf %s "$READ_API_KEYS"`), ({ out }) => out)
        /** Which of both open the door of an instance that was started with this setting. */
        const good = Effect.fnUntraced(function* (setting: string) {
          const { url: at } = yield* serviceBlock(cwd, "npx penstock start", {
            DATABASE_URL: Redacted.value(url),
            PENSTOCK_ROLES: "api",
            READ_API_KEYS: setting
          })
          const statusOf = (key: string) =>
            HttpClientRequest.get(`${at}/observation/site`).pipe(
              HttpClientRequest.bearerToken(key),
              HttpClient.execute,
              Effect.map(({ status }) => status),
              Effect.scoped
            )
          return [yield* statusOf(oldKey), yield* statusOf(newKey)]
        }, Effect.scoped)
        assert.deepStrictEqual(yield* good(`portal:${oldKey}`), [200, 401])
        assert.deepStrictEqual(yield* good(yield* settingOf("both keys")), [200, 200])
        assert.deepStrictEqual(yield* good(yield* settingOf("new key")), [401, 200])
      }).pipe(Effect.scoped),
    patient
  )

  it.effect(
    "installs the package under the name that it has",
    () =>
      Effect.sync(() => {
        // Packed, installed and started in test/exports/package.test.ts.
        const file = `penstock-${manifest.version}.tgz`
        assert.strictEqual(page.take("package"), `npm pack\nnpm install ./${file}\nnpx penstock start`)
      }),
    patient
  )

  it.effect(
    "names the containers' parts as they are",
    () =>
      Effect.gen(function* () {
        const files = yield* FileSystem.FileSystem
        // No engine is at hand; test/containers.test.ts holds the files against the code.
        assert.strictEqual(page.take("containers"), "docker compose up --build")
        const compose = parse(
          yield* files.readFileString(new URL("../../docker-compose.yml", import.meta.url).pathname),
          { merge: true }
        ) as { readonly services: Record<string, { readonly deploy?: { readonly replicas?: number } }> }
        for (const name of ["answers", "works"]) assert.strictEqual(compose.services[name]?.deploy?.replicas, 2)
        assert.property(compose.services, "postgres")
        const drawn = [...page.take("several instances").matchAll(/PENSTOCK_ROLES=([a-z,]+)/g)].flatMap(
          ([, list = ""]) => list.split(",")
        )
        assert.sameMembers(drawn, [...roles])
      }),
    patient
  )

  it.effect("has no other blocks", () => Effect.sync(() => assert.deepStrictEqual(page.untaken(), [])))
})
