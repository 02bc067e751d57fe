/**
 * docs/adapter-authors.md, followed: its adapter runs, keeps the contract as the check finds, and answers a real service, which
 * follows the events of the page, over HTTP and from a topic.
 */
import { NodeHttpClient, NodeServices } from "@effect/platform-node"
import { assert, layer } from "@effect/vitest"
import { Context, Effect, FileSystem, Layer, Redacted, Schedule } from "effect"
import { HttpClient, HttpClientRequest } from "effect/http"
import { SqlClient } from "effect/sql"
import { ChildProcess } from "effect/process"
import { freePort } from "../../layers/embedded/freePort.ts"
import { PgTopics } from "../../layers/topics/PgTopics.ts"
import { eventPartitions } from "../../src/domain/ThinEvent.ts"
import { deadLetterTopic } from "../../src/stream/DeadLetter.ts"
import { KafkaSink } from "../../src/stream/KafkaSink.ts"
import { type DescribedRecord, recordFaults } from "../support/asyncApi.ts"
import { documentPage } from "../support/documentBlocks.ts"
import { place } from "../support/runCommand.ts"
import { runPenstock } from "../support/runPenstock.ts"
import { runBlock, settingsOfBlock } from "../support/runBlock.ts"
import { TestDatabase } from "../support/TestDatabase.ts"

const page = documentPage("docs/adapter-authors.md")
const gsrn = "707057500000000018"
const eventTopic = "accounting_point_events"

/** The adapter of the page, started as the page has it, but on a free port. */
class Adapter extends Context.Service<Adapter, { readonly port: number; readonly key: string }>()("test/Adapter") {
  static readonly layer = Layer.effect(
    Adapter,
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const cwd = yield* fs.makeTempDirectoryScoped({ prefix: "penstock-adapter-" })
      yield* fs.writeFileString(`${cwd}/adapter.mjs`, page.take("adapter.mjs"))
      const port = yield* freePort
      const start = page.take("start the adapter")
      assert.match(start, / node adapter\.mjs$/)
      const env = settingsOfBlock(start)
      assert.strictEqual(env["PORT"], "9000")
      yield* ChildProcess.make(process.execPath, ["adapter.mjs"], { cwd, env: { ...env, PORT: String(port) } })
      yield* HttpClient.get(`http://127.0.0.1:${port}`).pipe(
        Effect.scoped,
        Effect.retry(Schedule.upTo(Schedule.spaced("20 millis"), { duration: "20 seconds" }))
      )
      return { port, key: env["ADAPTER_API_KEY"] ?? "" }
    })
  )
}

const services = Adapter.layer.pipe(
  Layer.provideMerge(Layer.mergeAll(NodeServices.layer, NodeHttpClient.layerUndici, TestDatabase.layer))
)

/** A block as pasted, but for the adapter's port and the command, which is that of this checkout. */
const asHere = (block: string, port: number) =>
  block.replaceAll(":9000", `:${port}`).replace("npx penstock", `node ${place("scripts/penstock.ts")}`)

layer(services, { excludeTestServices: true, timeout: "90 seconds" })("docs/adapter-authors.md", (it) => {
  it.effect(
    "has an adapter that keeps the contract, as the check reports",
    () =>
      Effect.gen(function* () {
        const { port } = yield* Adapter
        // On a busy machine an answer may take seconds, which would be worth a warning.
        const env = { ADAPTER_TIMEOUT: "60 seconds" }
        const { out: report } = yield* runBlock({ cwd: place("."), env }, asHere(page.take("conformance"), port))
        const withoutTimes = (text: string) => text.replaceAll(/\d+ ms/g, "… ms").trim()
        assert.strictEqual(withoutTimes(report), withoutTimes(page.take("conformance report")))
      }),
    120_000
  )

  it.effect("shows the question as the adapter understands it", () =>
    Effect.gen(function* () {
      const { key, port } = yield* Adapter
      const [first = "", ...headers] = page.take("question").split("\n")
      const [method, target = ""] = first.split(" ")
      assert.strictEqual(method, "GET")
      const request = HttpClientRequest.get(target.replace("{ADAPTER_URL}", `http://127.0.0.1:${port}`)).pipe(
        HttpClientRequest.setHeaders(
          headers.map((line) => {
            const [name = "", value = ""] = line.split(": ")
            return [name, value.replace("{ADAPTER_API_KEY}", key)] as const
          })
        )
      )
      const { json, status } = yield* HttpClient.execute(request)
      assert.strictEqual(status, 200)
      assert.deepInclude(yield* json, { gsrn })
    }).pipe(Effect.scoped)
  )

  it.effect(
    "has calls and records that a service takes, whose adapter this is",
    () =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const { port } = yield* Adapter
        const { url: database } = yield* TestDatabase
        const start = asHere(page.take("penstock"), port)
        assert.match(start, /\nnpm start$/)
        const { url } = yield* runPenstock({
          ...settingsOfBlock(start),
          DATABASE_URL: Redacted.value(database),
          PENSTOCK_ROLES: "api,sync",
          ACCOUNTING_POINT_EVENTS_TOPIC: eventTopic
        })
        const env = {
          PENSTOCK: url,
          LOOKUP_KEY: "invented-lookup-key",
          EVENT_KEY: "invented-event-key",
          READ_KEY: "invented-read-key"
        }
        const call = (name: string) =>
          Effect.map(runBlock({ cwd: place("."), env }, page.take(name)), ({ out }): Record<string, unknown> =>
            JSON.parse(out)
          )

        const found = yield* call("lookup")
        assert.deepInclude(found["accounting_point"], { business_id: gsrn })
        const receipt = JSON.parse(page.take("receipt"))
        assert.deepStrictEqual(yield* call("plain event"), receipt)
        assert.deepStrictEqual(yield* call("structured event"), receipt)
        assert.deepStrictEqual(yield* call("binary event"), receipt)

        const records = page.take("records").split("\n")
        for (const value of records) {
          assert.deepStrictEqual(recordFaults("accountingPointEvents", { key: "null", value, headers: {} }), [], value)
        }
        const topics = PgTopics({ topics: { [eventTopic]: eventPartitions } })
        yield* KafkaSink.use(({ send }) =>
          send(
            ["not an event", ...records].map((value, partition) => ({
              topic: eventTopic,
              partition,
              key: "null",
              value
            }))
          )
        ).pipe(Effect.provide(topics))
        const last = sql<{ last: string | null; synced: boolean }>`
        SELECT to_char(last_event_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS') AS last,
          synced_event_at = last_event_at AS synced
        FROM flex.accounting_point_sync WHERE business_id = ${gsrn}`
        yield* last.pipe(
          Effect.repeat({
            until: ([row]) => row?.last === "2026-05-31T12:00:00" && row.synced,
            schedule: Schedule.spaced("50 millis")
          }),
          Effect.timeout("60 seconds")
        )
        const copy = yield* call("copy")
        assert.deepInclude(copy["sync"], { last_event_at: "2026-05-31T12:00:00.000Z", failures: 0 })
        const letters = yield* sql<DescribedRecord>`
          SELECT key, value, headers FROM topic_records WHERE topic = ${deadLetterTopic(eventTopic)}`.pipe(
          Effect.repeat({ until: (found) => found.length > 0, schedule: Schedule.spaced("50 millis") }),
          Effect.timeout("60 seconds")
        )
        assert.deepStrictEqual(
          letters.map((letter) => [letter.value, recordFaults("accountingPointEventsDeadLetters", letter)]),
          [["not an event", []]]
        )
      }).pipe(Effect.scoped),
    180_000
  )

  it.effect("has no block that nobody tried", () => Effect.sync(() => assert.deepStrictEqual(page.untaken(), [])))
})
