/**
 * The page of backup and upgrades, its blocks run as printed: a service with both flows at work is dumped, goes on, and is restored
 * into an empty database on a PostgreSQL that is installed here, whose tools the page uses; the restored one answers the same.
 */
import { NodeHttpClient, NodeServices } from "@effect/platform-node"
import { PgClient } from "@effect/sql-pg"
import { assert, describe, layer } from "@effect/vitest"
import { Clock, Context, Effect, FileSystem, Layer, Redacted, Schedule } from "effect"
import { HttpClient, HttpClientRequest } from "effect/http"
import { Reactivity } from "effect/reactivity"
import { SqlClient } from "effect/sql"
import { randomUUID } from "node:crypto"
import { existsSync } from "node:fs"
import { rm } from "node:fs/promises"
import { migrations } from "../../migrations/allMigrations.ts"
import { AdapterSimulator } from "../../scripts/simulators/AdapterSimulator.ts"
import { HilltopSimulator } from "../../scripts/simulators/HilltopSimulator.ts"
import { withConnection, urlOfDatabase } from "../support/adminConnection.ts"
import { documentBlocks, documentPage } from "../support/documentBlocks.ts"
import { uniqueName, withKafka } from "../support/kafkaForTests.ts"
import { startOtherPostgres } from "../support/otherPostgres.ts"
import { ownCheckout } from "../support/ownCheckout.ts"
import { missingPrograms, postgresPrograms } from "../support/postgresPrograms.ts"
import { type BlockPlace, runBlock } from "../support/runBlock.ts"
import { blockKeys, serviceBlock } from "../support/serviceBlock.ts"

const page = documentPage("docs/backup.md")

const until = <A, E, R>(look: Effect.Effect<A, E, R>, isIt: (value: A) => boolean) =>
  look.pipe(
    Effect.repeat({ until: isIt, schedule: Schedule.upTo(Schedule.spaced("100 millis"), { duration: "60 seconds" }) }),
    Effect.tap((value) => Effect.sync(() => assert.isTrue(isIt(value), JSON.stringify(value))))
  )

const bodyOf = (url: string, accept = "application/json") =>
  HttpClientRequest.get(url).pipe(
    HttpClientRequest.bearerToken(blockKeys.READ_KEY),
    HttpClientRequest.accept(accept),
    HttpClient.execute,
    Effect.flatMap((response) => Effect.map(response.text, (text) => `${response.status} ${text}`)),
    Effect.scoped
  )

/** One connection to a database, for as long as the scope is open. */
const connected = (url: Redacted.Redacted) =>
  PgClient.make({ url, maxConnections: 1, applicationName: "penstock-test-look" }).pipe(
    Effect.provide(Reactivity.layer)
  )

/** A PostgreSQL that is installed here, on which databases are made as docs/operators.md says. */
class Installed extends Context.Service<
  Installed,
  { readonly path: string; readonly makeDatabase: Effect.Effect<Redacted.Redacted> }
>()("penstock/test/docs/Installed") {
  static readonly layer = Layer.effect(
    Installed,
    Effect.gen(function* () {
      const files = yield* FileSystem.FileSystem
      const programs = postgresPrograms ?? ""
      const home = yield* files.makeTempDirectoryScoped({ prefix: "penstock-installed-postgres-" })
      yield* files.chmod(home, 0o711)
      const server = yield* startOtherPostgres(programs, `${home}/postgres`)
      const statements = documentBlocks("docs/operators.md").find(({ name }) => name === "database")?.text ?? ""
      const makeDatabase = Effect.gen(function* () {
        // The server's own role is called penstock.
        const name = `p_${randomUUID().replaceAll("-", "")}`
        for (const statement of statements.replaceAll("penstock", name).split("\n")) {
          yield* withConnection(server, (sql) => sql.unsafe(statement))
        }
        const own = new URL(Redacted.value(urlOfDatabase(server, name)))
        own.username = name
        own.password = encodeURIComponent("change this")
        return Redacted.make(own.href)
      }).pipe(Effect.orDie)
      return { path: `${programs}:${process.env["PATH"]}`, makeDatabase }
    }).pipe(Effect.orDie)
  )
}

const neighbours = Layer.mergeAll(
  AdapterSimulator.layer({ points: 10, seed: 5 }),
  HilltopSimulator.layer({ sites: 6, councils: 1, historyDays: 3, corrections: 0 }),
  NodeHttpClient.layerUndici
)

const settingsFor = (url: Redacted.Redacted) =>
  Effect.gen(function* () {
    const adapter = yield* AdapterSimulator
    return {
      DATABASE_URL: Redacted.value(url),
      ADAPTER_URL: adapter.url,
      ADAPTER_API_KEY: adapter.apiKey,
      CRAWL_ALLOW_PRIVATE: "true"
    }
  })

const register = Effect.fnUntraced(function* (url: string, point: number) {
  const adapter = yield* AdapterSimulator
  const { gsrn } = yield* adapter.point(point)
  const id = randomUUID()
  yield* HttpClientRequest.put(`${url}/controllable_unit/${id}`).pipe(
    HttpClientRequest.bearerToken(blockKeys.ADMIN_KEY),
    HttpClientRequest.bodyJsonUnsafe({ accounting_point: gsrn, name: `Unit ${point}` }),
    HttpClient.execute,
    Effect.filterOrFail(({ status }) => status === 201),
    Effect.scoped
  )
  return gsrn
})

const addSource = Effect.fnUntraced(function* (url: string) {
  const { sources } = yield* HilltopSimulator
  const [source] = sources
  yield* HttpClientRequest.post(`${url}/hilltop/source`).pipe(
    HttpClientRequest.bearerToken(blockKeys.ADMIN_KEY),
    HttpClientRequest.bodyJsonUnsafe({
      council_id: source?.councilId,
      hts_url: source?.htsUrl,
      configuration: { measurementNames: source?.measurementNames }
    }),
    HttpClient.execute,
    Effect.filterOrFail(({ status }) => status === 201),
    Effect.scoped
  )
})

/** Nothing waits to be asked, mapped or stored. */
const atRest = (sql: SqlClient.SqlClient) =>
  until(
    sql<{ left: number }>`
      SELECT ((SELECT count(*) FROM hilltop_fetch_tasks WHERE set_aside_at IS NULL AND next_fetch_at <= now())
        + (SELECT count(*) FROM hilltop_fetch_leases)
        + (SELECT count(*) FROM topic_groups g JOIN topic_partitions p USING (topic, partition) WHERE g.next_offset < p.next_offset)
        + (SELECT CASE WHEN count(*) > 0 THEN 0 ELSE 1 END FROM observations))::int4 AS left`,
    ([row]) => row?.left === 0
  )

/** Nothing waits to be asked, nor to be read from Kafka, of which the service looks some seconds back: nothing more was stored meanwhile. */
const crawled = (sql: SqlClient.SqlClient, url: string) => {
  let [stored, since] = [0, 0]
  const look = Effect.all([
    Clock.currentTimeMillis,
    sql<{ left: number; stored: number }>`
      SELECT ((SELECT count(*) FROM hilltop_fetch_tasks WHERE set_aside_at IS NULL AND next_fetch_at <= now())
        + (SELECT count(*) FROM hilltop_fetch_leases))::int4 AS left, (SELECT count(*)::int4 FROM observations) AS stored`,
    bodyOf(`${url}/topic`)
  ])
  return until(look, ([now, [row], topics]) => {
    const rests = row?.left === 0 && row.stored === stored && stored > 0 && !/"records_behind":[1-9]/.test(topics)
    if (!rests) [stored, since] = [row?.stored ?? 0, now]
    return rests && now - since > 5_000
  })
}

/** What readers of a service get: a copy with its timelines, sites, and every value of some series. */
const answersOf = (url: string, gsrn: string) =>
  Effect.all([
    Effect.map(bodyOf(`${url}/accounting_point/${gsrn}`), (text) => text.replace(/,?"sync":\{.*\}/, "")),
    bodyOf(`${url}/observation/site?limit=100`),
    bodyOf(`${url}/observation/site/1`),
    ...[1, 2, 3].map((id) => bodyOf(`${url}/observation/series/${id}?to=2100-01-01T00:00:00Z`, "text/csv"))
  ])

const installed = Installed.layer.pipe(Layer.provideMerge(neighbours), Layer.provideMerge(NodeServices.layer))

describe.skipIf(postgresPrograms === undefined)(
  `docs/backup.md${postgresPrograms === undefined ? ` (${missingPrograms})` : ""}`,
  () => {
    layer(installed, { excludeTestServices: true, timeout: "4 minutes" })((it) => {
      it.effect(
        "restores a dump into an empty database, and the restored service answers the same and goes on",
        () =>
          Effect.gen(function* () {
            const { makeDatabase, path } = yield* Installed
            const cwd = yield* ownCheckout
            const [original, restored] = [yield* makeDatabase, yield* makeDatabase]
            const here: BlockPlace = {
              cwd,
              env: { PATH: path, DATABASE_URL: Redacted.value(original), RESTORED_URL: Redacted.value(restored) }
            }

            const before = yield* Effect.scoped(
              Effect.gen(function* () {
                const { url } = yield* serviceBlock(cwd, "npx penstock start", yield* settingsFor(original))
                const sql = yield* connected(original)
                const gsrn = yield* register(url, 0)
                yield* addSource(url)
                yield* atRest(sql)
                const answers = yield* answersOf(url, gsrn)
                // In the middle of something, of which nobody is left afterwards.
                yield* sql`UPDATE flex.accounting_point_sync SET last_sync_start = now() - interval '1 hour'`
                yield* sql`INSERT INTO hilltop_fetch_leases (task_id, origin, due_at, lease_until)
                  SELECT id, origin, next_fetch_at, now() FROM hilltop_fetch_tasks ORDER BY id LIMIT 1`
                yield* runBlock(here, page.take("dump"))
                // What comes after the dump is lost with the database.
                const later = yield* register(url, 1)
                return { answers, gsrn, later }
              })
            )
            assert.include(before.answers[0], before.gsrn)
            assert.match(before.answers[3] ?? "", /^200 .*\n(?:.*\n){10}/)

            const { out } = yield* runBlock(here, page.take("restore"))
            assert.include(out, "ok    database")
            assert.notInclude(out, "FAIL")
            const sql = yield* connected(restored)
            assert.strictEqual((yield* runBlock(here, page.take("ask for all"))).out, "UPDATE 1\n")

            const { run, url } = yield* serviceBlock(cwd, "npx penstock start", yield* settingsFor(restored))
            assert.deepStrictEqual(yield* answersOf(url, before.gsrn), before.answers)
            yield* until(
              sql<{ left: number }>`
                SELECT ((SELECT count(*) FROM hilltop_fetch_leases)
                  + (SELECT count(*) FROM flex.accounting_point_sync
                     WHERE last_sync_start IS NOT NULL OR last_event_at > synced_event_at))::int4 AS left`,
              ([row]) => row?.left === 0
            )
            assert.strictEqual(yield* register(url, 1), before.later)

            assert.match((yield* run(page.take("disk"))).out, /^observations +\d/m)
            yield* run(page.take("replay"))
            assert.deepStrictEqual(yield* answersOf(url, before.gsrn), before.answers)
            yield* sql.unsafe(page.take("a year that is over").replace("2025", "2026"))
            assert.deepStrictEqual(yield* sql.unsafe(page.take("unpack")), [{ values: "0" }])
          }).pipe(Effect.scoped),
        240_000
      )

      it.effect(
        "brings a database of the version before up to this one, with what is in it",
        () =>
          Effect.gen(function* () {
            const { makeDatabase } = yield* Installed
            const cwd = yield* ownCheckout
            const url = yield* makeDatabase
            const sql = yield* connected(url)
            const steps = Object.entries(migrations)
            const last = steps.at(-1)?.[0] ?? ""
            // As the migrations before the last one left it.
            yield* Effect.forEach(steps.slice(0, -1), ([, step]) => step, { discard: true }).pipe(
              Effect.provideService(SqlClient.SqlClient, sql)
            )
            yield* sql`CREATE TABLE penstock_migrations (
              migration_id integer PRIMARY KEY, created_at timestamptz NOT NULL DEFAULT now(), name text NOT NULL)`
            for (const [name] of steps.slice(0, -1)) {
              yield* sql`INSERT INTO penstock_migrations (migration_id, name) VALUES (${Number(name.slice(0, 4))}, ${name.slice(5)})`
            }
            const adapter = yield* AdapterSimulator
            const { gsrn } = yield* adapter.point(0)
            yield* sql`INSERT INTO flex.accounting_point (business_id) VALUES (${gsrn})`
            yield* sql`INSERT INTO flex.controllable_unit (business_id, name, accounting_point_id)
              SELECT gen_random_uuid(), 'Unit', id FROM flex.accounting_point`
            const { sources } = yield* HilltopSimulator
            const [source] = sources
            const configuration = JSON.stringify({ measurementNames: source?.measurementNames })
            yield* sql`INSERT INTO hilltop_sources (council_id, hts_url, configuration)
              VALUES (${source?.councilId ?? 0}, ${source?.htsUrl ?? ""}, ${configuration}::jsonb)`

            const env = { DATABASE_URL: Redacted.value(url) }
            const refused = yield* Effect.flip(runBlock({ cwd, env }, "npx penstock source list"))
            assert.include(refused.message, "`penstock migrate` brings them there")
            assert.include((yield* runBlock({ cwd, env }, page.take("migrate"))).out, last)

            const service = yield* serviceBlock(cwd, "npx penstock start", yield* settingsFor(url))
            yield* until(bodyOf(`${service.url}/accounting_point/${gsrn}`), (text) => text.includes('"end_user":[{'))
            yield* atRest(sql)
            assert.include(yield* bodyOf(`${service.url}/observation/site/1`), '"series":[{')
          }).pipe(Effect.scoped),
        120_000
      )
    })
  }
)

/** Without the tools, the name says why it is skipped. */
if (postgresPrograms !== undefined) {
  await withKafka("docs/backup.md on Kafka", (brokers) => {
    layer(installed, { excludeTestServices: true, timeout: "4 minutes" })((it) => {
      it.effect(
        "brings back from the raw topic what was read after the dump",
        () =>
          Effect.gen(function* () {
            const { makeDatabase, path } = yield* Installed
            const cwd = yield* ownCheckout
            const [original, restored] = [yield* makeDatabase, yield* makeDatabase]
            const env = { PATH: path, DATABASE_URL: Redacted.value(original), RESTORED_URL: Redacted.value(restored) }
            const topics = {
              KAFKA_BROKERS: brokers,
              HILLTOP_RAW_TOPIC: uniqueName("raw"),
              OBSERVATIONS_TOPIC: uniqueName("observations")
            }
            const start = (url: Redacted.Redacted) =>
              Effect.flatMap(settingsFor(url), (settings) =>
                serviceBlock(cwd, "npx penstock start", { ...settings, ...topics, PENSTOCK_ROLES: "api,crawl,stream" })
              )
            const values = (sql: SqlClient.SqlClient) => sql`
              SELECT s.name, m.measurement_name, m.measurement, count(*)::int4 AS number, sum(o.value)::text AS sum, min(o.first_seen_at)::text AS seen
              FROM observations o JOIN observation_sites_measurements m ON m.id = o.series_id JOIN observation_sites s ON s.id = m.site_id
              GROUP BY 1, 2, 3 ORDER BY 1, 2, 3`
            const before = yield* Effect.scoped(
              Effect.gen(function* () {
                const { url } = yield* start(original)
                const sql = yield* connected(original)
                yield* runBlock({ cwd, env }, page.take("dump"))
                yield* addSource(url)
                yield* crawled(sql, url)
                return yield* values(sql)
              })
            )
            assert.isNotEmpty(before)
            yield* runBlock({ cwd, env }, page.take("restore"))
            const sql = yield* connected(restored)
            const { run } = yield* start(restored)
            assert.isEmpty(yield* values(sql))
            assert.match((yield* run(page.take("replay"))).out, /^Rebuilt the observations: \d+ documents read\./)
            assert.deepStrictEqual(yield* values(sql), before)
          }).pipe(Effect.scoped),
        240_000
      )
    })
  })
}

layer(Layer.merge(NodeHttpClient.layerUndici, NodeServices.layer), { excludeTestServices: true })(
  "docs/backup.md",
  (it) => {
    it.effect(
      "puts a copy of the embedded database back in its place",
      () =>
        Effect.gen(function* () {
          const cwd = yield* ownCheckout
          const here: BlockPlace = { cwd, env: {} }
          const add = (name: string) =>
            `npx penstock source add --council 9 --url https://h.example.nz/${name}.hts --measurement Flow --paused`
          const service = Effect.fnUntraced(function* <A, E, R>(use: (url: string) => Effect.Effect<A, E, R>) {
            const { url } = yield* serviceBlock(cwd, "npx penstock start", {})
            return yield* use(url)
          }, Effect.scoped)
          const listed = (url: string) =>
            HttpClientRequest.get(`${url}/hilltop/source`).pipe(
              HttpClientRequest.bearerToken(blockKeys.ADMIN_KEY),
              HttpClient.execute,
              Effect.flatMap(({ json }) => json),
              Effect.scoped
            )
          const before = yield* service((url) => Effect.andThen(runBlock(here, add("kept")), listed(url)))
          yield* runBlock(here, page.take("embedded copy"))
          yield* runBlock(here, add("lost"))
          yield* Effect.promise(() => rm(`${cwd}/.penstock`, { recursive: true }))
          yield* runBlock(here, page.take("embedded restore"))
          assert.isTrue(existsSync(`${cwd}/.penstock/postgres/PG_VERSION`))
          assert.deepStrictEqual(yield* service(listed), before)
        }).pipe(Effect.scoped),
      120_000
    )

    it.effect("has no other blocks", () =>
      Effect.sync(() => {
        // Those of the tests above, where there are no tools to run them with.
        if (postgresPrograms === undefined) {
          const skipped = [
            "dump",
            "restore",
            "ask for all",
            "disk",
            "replay",
            "a year that is over",
            "unpack",
            "migrate"
          ]
          for (const name of skipped) page.take(name)
        }
        assert.deepStrictEqual(page.untaken(), [])
      })
    )
  }
)
