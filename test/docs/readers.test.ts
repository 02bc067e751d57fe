/**
 * docs/readers.md, followed: its calls and its SQL against a real service that has crawled simulated servers, what is in the topics
 * against docs/asyncapi.yaml, and the reader in Python against a real Kafka.
 *
 * The values of the page are those of two documents, fetched on 15 August and 1 September, that are put on the raw topic as the
 * crawler would.
 */
import { NodeHttpClient, NodeServices } from "@effect/platform-node"
import { assert, describe, it, layer } from "@effect/vitest"
import { Context, Effect, Layer, Redacted, References, Schedule, Schema } from "effect"
import { HttpClient, HttpClientRequest } from "effect/http"
import { SqlClient } from "effect/sql"
import { readFileSync } from "node:fs"
import { PgObservationStore } from "../../layers/observations/PgObservationStore.ts"
import { PgTopics } from "../../layers/topics/PgTopics.ts"
import { AdapterSimulator } from "../../scripts/simulators/AdapterSimulator.ts"
import { HilltopSimulator } from "../../scripts/simulators/HilltopSimulator.ts"
import { KafkaSink } from "../../src/stream/KafkaSink.ts"
import { streamTopics } from "../../src/stream/streamTopics.ts"
import { kafkaAt, readAll } from "../stream/kafkaRun.ts"
import { dataRecord, observationsTopic, rawTopic } from "../stream/rawDocuments.ts"
import { documents, settledOn, stagesOn } from "../stream/streamRun.ts"
import { asyncApi, messagesOf, recordFaults } from "../support/asyncApi.ts"
import { documentPage } from "../support/documentBlocks.ts"
import { uniqueName, withKafka } from "../support/kafkaForTests.ts"
import { pythonWith } from "../support/pythonForTests.ts"
import { runPenstock } from "../support/runPenstock.ts"
import { runBlock } from "../support/runBlock.ts"
import { place } from "../support/runCommand.ts"
import { TestDatabase } from "../support/TestDatabase.ts"

const page = documentPage("docs/readers.md")

const councilId = 9
const siteName = "Tui Stream at Mill Road"
const day = (...values: ReadonlyArray<readonly [hour: string, value: string]>) =>
  values.map(([hour, value]) => [`2026-08-03T${hour}:00:00`, value] as const)
const fetched = (at: string, rows: ReturnType<typeof day>) =>
  dataRecord({
    councilId,
    siteName,
    measurementName: "Flow",
    source: "https://hilltop.example.nz/data.hts",
    at: Date.parse(at),
    rows
  })
const story = [
  fetched("2026-08-15T00:00:00Z", day(["00", "12.50"], ["01", "12.75"], ["02", "13.00"], ["03", "12.90"])),
  fetched("2026-09-01T00:00:00Z", day(["00", "12.50"], ["01", "12.70"], ["03", "12.90"]))
]

interface Count {
  readonly count: number
}
const untilCount = (count: Effect.Effect<ReadonlyArray<Count>, unknown>, least: number) =>
  count.pipe(
    Effect.repeat({ until: ([row]) => (row?.count ?? 0) >= least, schedule: Schedule.spaced("50 millis") }),
    Effect.timeout("100 seconds")
  )

/** The service over embedded topics, with what the page tells of, and simulated councils and accounting points. */
class Service extends Context.Service<Service, { readonly url: string }>()("test/Service") {
  static readonly layer = Layer.effect(
    Service,
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const { url: database } = yield* TestDatabase
      const adapter = yield* AdapterSimulator
      const { url } = yield* runPenstock({
        DATABASE_URL: Redacted.value(database),
        CRAWL_ALLOW_PRIVATE: "true",
        ADAPTER_URL: adapter.url,
        ADAPTER_API_KEY: adapter.apiKey,
        READ_API_KEYS: "test:invented-read-key",
        LOOKUP_API_KEYS: "test:invented-lookup-key"
      })
      const topics = PgTopics({ topics: streamTopics({ rawTopic, observationsTopic }) })
      yield* KafkaSink.use(({ send }) => Effect.forEach(story, (record) => send([record]))).pipe(Effect.provide(topics))
      yield* untilCount(sql<Count>`SELECT count(*)::int4 AS count FROM observations WHERE superseded_at IS NOT NULL`, 2)

      const { sources } = yield* HilltopSimulator
      for (const { councilId, htsUrl, measurementNames } of sources) {
        const configuration = JSON.stringify({ measurementNames, requestsPerSecond: 500, maxConcurrent: 8 })
        yield* sql`INSERT INTO hilltop_sources (council_id, hts_url, configuration) VALUES (${councilId}, ${htsUrl}, ${configuration})`
      }
      const { gsrn, lookupEndUser = "010180" } = yield* adapter.point(0)
      const request = HttpClientRequest.post(`${url}/controllable_unit/lookup`).pipe(
        HttpClientRequest.bearerToken("invented-lookup-key"),
        HttpClientRequest.bodyJsonUnsafe({ end_user: lookupEndUser, accounting_point: gsrn })
      )
      yield* Effect.scoped(HttpClient.execute(request))
      return { url }
    })
  )
}

const services = Service.layer.pipe(
  Layer.provideMerge(
    Layer.mergeAll(
      NodeServices.layer,
      NodeHttpClient.layerUndici,
      TestDatabase.layer,
      HilltopSimulator.layer({ sites: 3, historyDays: 40 }),
      AdapterSimulator.layer({ points: 5, seed: 5 })
    )
  )
)

/** Rows of a statement as a shell prints them: all texts, nothing for null. */
const printed = Effect.fnUntraced(function* (statement: string) {
  const sql = yield* SqlClient.SqlClient
  const rows = yield* sql.unsafe<{ cells: ReadonlyArray<readonly [string, string | null]> }>(
    `SELECT (SELECT json_agg(json_build_array(key, value)) FROM json_each_text(row_to_json(q))) AS cells
     FROM (${statement.trim().replace(/;$/, "")}) AS q`
  )
  return rows.map(({ cells }) =>
    cells.map(([name, value]) => [
      name,
      (value ?? "").replace(/^(\d{4}-\d\d-\d\d)T([\d:.]+?)(?:\+00:00)?$/, (all, date, time) =>
        all.endsWith("+00:00") ? `${date} ${time}+00` : `${date} ${time}`
      )
    ])
  )
})

/** The rows of a table as a shell prints it. */
const rowsOfTable = (table: string) => {
  const [head = "", , ...lines] = table.split("\n")
  const cellsOf = (line: string) => line.split("|").map((cell) => cell.trim())
  const names = cellsOf(head)
  return lines.map((line) => cellsOf(line).map((cell, n) => [names[n], cell]))
}

/** JSON without the white space that is there for people. */
const compact = (json: string) => json.replaceAll(/("(?:[^"\\]|\\.)*")|\s+/g, "$1")

const env = (more: Readonly<Record<string, string>> = {}) =>
  Service.useSync(({ url }) => ({ PENSTOCK: url, READ_KEY: "invented-read-key", ...more }))
const call = (name: string, more?: Readonly<Record<string, string>>) =>
  Effect.map(
    Effect.flatMap(env(more), (variables) => runBlock({ cwd: place("."), env: variables }, page.take(name))),
    ({ out }) => out
  )

const Items = Schema.fromJsonString(Schema.Struct({ items: Schema.Array(Schema.Struct({ id: Schema.Int })) }))
const Site = Schema.fromJsonString(
  Schema.Struct({ name: Schema.String, series: Schema.Array(Schema.Struct({ id: Schema.Int, units: Schema.String })) })
)

layer(services, { excludeTestServices: true, timeout: "180 seconds" })("docs/readers.md", (it) => {
  it.effect("has calls that find the series, as it is now and as it was known, also as CSV", () =>
    Effect.gen(function* () {
      const { items } = yield* Schema.decodeEffect(Items)(yield* call("find a site"))
      const site = yield* Schema.decodeEffect(Site)(yield* call("read a site", { SITE: String(items[0]?.id) }))
      assert.strictEqual(site.name, siteName)
      const SERIES = String(site.series[0]?.id)

      const json = yield* call("read a series", { SERIES })
      assert.strictEqual(json, compact(page.take("a series")))
      assert.strictEqual((yield* call("read a series as CSV", { SERIES })).trim(), page.take("a series as CSV"))
      assert.strictEqual((yield* call("as of", { SERIES })).trim(), page.take("what was known"))
      const versions = JSON.parse(yield* call("versions", { SERIES }))
      assert.deepStrictEqual(
        versions.items.map(({ superseded_at, value }: Record<string, unknown>) => [value, superseded_at]),
        [
          [12.75, "2026-09-01T00:00:00.000Z"],
          [12.7, null],
          [13, "2026-09-01T00:00:00.000Z"]
        ]
      )
    })
  )

  it.effect("has statements that give what it prints, to a role that can read and do nothing else", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const reading = Effect.gen(function* () {
        const grants = page
          .take("a role for readers")
          .split(/;\s*/)
          .filter((statement) => statement !== "")
        for (const grant of grants) yield* sql.unsafe(grant).unprepared
        yield* sql.unsafe("SET LOCAL ROLE penstock_reader").unprepared
        for (const name of ["series of a site", "values", "values as of", "versions in SQL"]) {
          assert.deepStrictEqual(yield* printed(page.take(name)), rowsOfTable(page.take(`${name}, result`)), name)
        }
        for (const name of ["who supplies now", "end users over time"]) {
          assert.isNotEmpty(yield* printed(page.take(name)), name)
        }
        const records = yield* sql.unsafe<{ key: string; value: string; headers: Record<string, string> }>(
          page.take("read an embedded topic")
        )
        const { headers, key, value } = records.at(-1)!
        assert.deepStrictEqual(JSON.parse(key), JSON.parse(page.take("key of a message")))
        assert.strictEqual(value, compact(page.take("a message")))
        const { raw_at: at, ...others } = JSON.parse(page.take("headers of a message"))
        const { raw_at: realAt, ...real } = headers
        assert.deepStrictEqual(real, others)
        assert.match(`${at} ${realAt}`, /^\d{4}-[\d-]+T[\d:.]+Z \d{4}-[\d-]+T[\d:.]+Z$/)
        const refused = yield* Effect.flip(sql`SELECT business_id FROM flex.end_user`)
        assert.include(String(refused.reason.cause), "permission denied")
        return yield* Effect.fail("rolled back" as const)
      })
      // Roles are the server's, not the database's.
      const end = yield* Effect.flip(sql.withTransaction(reading))
      assert.strictEqual(end, "rolled back", String(end))
    })
  )

  it.effect(
    "describes in asyncapi.yaml every record that a crawl has led to",
    () =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const count = (topic: string, type: string) => sql<Count>`
        SELECT count(*)::int4 AS count FROM topic_records WHERE topic = ${topic} AND key::json ->> 'type' = ${type}`
        yield* untilCount(count(rawTopic, "MEASUREMENTS_LIST"), 3)
        yield* untilCount(count(observationsTopic, "SITE_DETAILS"), 6)
        yield* untilCount(count(observationsTopic, "OBSERVATION_DATA"), 50)
        const records = yield* sql<{
          topic: string
          partition: number
          key: string
          value: string
          headers: Record<string, string>
        }>`SELECT topic, partition, key, value, headers FROM topic_records ORDER BY topic, partition, "offset"`
        const channels = new Map(Object.entries(asyncApi.channels).map(([name, { address }]) => [address, name]))
        for (const record of records) {
          const channel = channels.get(record.topic) ?? ""
          assert.deepStrictEqual(recordFaults(channel, record), [], `${record.topic} ${record.key}`)
        }
        const types = new Set(records.map(({ key }) => JSON.parse(key).type))
        assert.strictEqual(types.size, messagesOf("hilltopRaw").length + messagesOf("observations").length)
      }),
    180_000
  )
})

const pythonReader = page.take("read from Python")
const python = pythonWith("confluent_kafka")

describe("the reader in Python", () => {
  it("is installed by .ci/run as the page says", () => {
    const ci = readFileSync(place(".ci/run"), "utf8")
    for (const line of pythonReader.split("\n").slice(0, 2)) assert.include(ci, line)
  })
})

await withKafka("the reader in Python", (brokers) => {
  layer(TestDatabase.layer.pipe(Layer.provideMerge(NodeServices.layer)), { excludeTestServices: true })(
    "the reader in Python",
    (it) => {
      it.effect.skipIf("missing" in python)(
        "missing" in python
          ? `knows what the store knows (skipped: ${python.missing})`
          : "knows what the store knows, digit by digit, and told how it came to be",
        () =>
          Effect.gen(function* () {
            const sql = yield* SqlClient.SqlClient
            const names = { rawTopic: uniqueName(rawTopic), observationsTopic: uniqueName(observationsTopic) }
            const council = 31
            const stages = stagesOn(names).pipe(
              Layer.provideMerge(Layer.merge(kafkaAt(brokers, names), PgObservationStore))
            )
            const records = yield* Effect.gen(function* () {
              const { send } = yield* KafkaSink
              for (const record of [...documents(council, 8), ...story])
                yield* send([{ ...record, topic: names.rawTopic }])
              yield* settledOn(names)
              return yield* readAll(names.observationsTopic)
            }).pipe(Effect.provide(stages))
            for (const record of records) assert.deepStrictEqual(recordFaults("observations", record), [], record.key)

            const run = (block: string) =>
              Effect.map(
                runBlock(
                  { cwd: place("."), env: { OBSERVATIONS_TOPIC: names.observationsTopic } },
                  block
                    .replace(/KAFKA_BROKERS=\S+/, `KAFKA_BROKERS=${brokers}`)
                    .replace(".penstock/python/bin/python", "python" in python ? python.python : "")
                ),
                ({ out }) =>
                  out
                    .trim()
                    .split("\n")
                    .slice(1)
                    .map((line) => line.split(","))
              )
            const [, , command = ""] = pythonReader.split("\n")
            const current = yield* run(command.replace("--until-end", "--current"))
            const stored = yield* sql<{ row: string }>`
              SELECT concat_ws(',', s.council_id, s.name, m.measurement_name, m.measurement, m.units,
                to_char(o.observed_at AT TIME ZONE INTERVAL '+12:00', 'YYYY-MM-DD"T"HH24:MI:SS"+12:00"'), o.value) AS row
              FROM observations o JOIN observation_sites_measurements m ON m.id = o.series_id
              JOIN observation_sites s ON s.id = m.site_id WHERE o.superseded_at IS NULL`
            assert.isAbove(stored.length, 100)
            const read = current.map(([, council, site, name, measurement, _item, units, _source, at, value]) =>
              [council, site, name, measurement, units, at, value].join(",")
            )
            assert.sameMembers(
              read,
              stored.map(({ row }) => row)
            )

            const changes = yield* run(command)
            const ofStory = changes.filter(([, council]) => council === String(councilId))
            assert.deepStrictEqual(
              ofStory.map((cells) => [cells[0], cells[8], cells[9]]),
              [
                ["added", "2026-08-03T00:00:00+12:00", "12.50"],
                ["added", "2026-08-03T01:00:00+12:00", "12.75"],
                ["added", "2026-08-03T02:00:00+12:00", "13.00"],
                ["added", "2026-08-03T03:00:00+12:00", "12.90"],
                ["corrected", "2026-08-03T01:00:00+12:00", "12.70"],
                ["removed", "2026-08-03T02:00:00+12:00", "13.00"]
              ]
            )
            // The topics are being made while they are first read.
          }).pipe(Effect.provideService(References.MinimumLogLevel, "Error")),
        180_000
      )
    }
  )
})

describe("docs/readers.md", () => {
  it("has no block that nobody tried", () => assert.deepStrictEqual(page.untaken(), []))
})
