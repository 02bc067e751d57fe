/**
 * The whole service as a process, told personal numbers and keys in every way it can be told anything: nothing of it comes out
 * again in what it logs, traces, measures, answers or remembers of failures.
 *
 * Every planted value is used once, so that a failure names the way by which it got in.
 */
import { NodeHttpClient, NodeServices } from "@effect/platform-node"
import { PgClient } from "@effect/sql-pg"
import { assert, layer } from "@effect/vitest"
import { Deferred, Effect, FileSystem, Layer, Option, Redacted, References, Schedule, Stream } from "effect"
import { ChildProcess } from "effect/process"
import { SqlClient } from "effect/sql"
import { connect } from "node:net"
import { fileURLToPath } from "node:url"
import { findRunningPostgres } from "../../layers/embedded/RunningPostgres.ts"
import type { Gsrn } from "../../src/domain/Identifiers.ts"
import { gsrnOf } from "../support/gsrns.ts"
import { bareEnvironment } from "../support/runCommand.ts"
import { runPenstock } from "../support/runPenstock.ts"
import { byName, standIn } from "../support/standIn.ts"

/** What was planted, by the way it got in. */
const planted = new Map<string, string>()
const plant = (what: string, value: string): string => {
  planted.set(value, what)
  return value
}
/** An invented personal number, born on 31 December 1999. */
const person = (what: string): string => plant(what, `311299${String(30_000 + planted.size * 7)}`)
const key = (what: string): string => plant(what, `key${planted.size}zQ7rT${planted.size}vLw`)

const keys = {
  lookup: key("lookup key"),
  event: key("event key"),
  read: key("read key"),
  admin: key("admin key"),
  adapter: key("adapter key"),
  hilltop: key("key in a Hilltop address"),
  wrong: key("wrong key")
}

const since = "2020-01-01T00:00:00+01:00"
const good = (gsrn: string, ...endUsers: ReadonlyArray<object>) => ({
  gsrn,
  end_user: endUsers,
  energy_supplier: [{ business_id: "7080005010000", valid_from: since }],
  metering_grid_area: [{ business_id: "42Y1234567890123", valid_from: since }]
})
const endUser = (business_id: string) => ({ business_id, valid_from: since })
const json = (body: unknown) => ({ body: JSON.stringify(body) })

interface Answer {
  readonly status?: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body: string
  /** Cut the connection after the body. */
  readonly cut?: boolean
}

const nonsense = Array.from({ length: 14 }, (_, index) => gsrnOf(100 + index))
const [huge] = [gsrnOf(150)]
const accepted = gsrnOf(1)
const [refused, doubled, raised] = [gsrnOf(2), gsrnOf(3), gsrnOf(4)]
const locked = gsrnOf(5)

/** The persons whose numbers the adapter sends in answers that are accepted. */
const kept = {
  accepted: person("end user of an accepted answer"),
  first: person("end user of a unique violation"),
  refused: person("end user of a check violation"),
  doubled: person("another end user of a unique violation"),
  raised: person("end user in the message of a database error"),
  locked: person("end user behind a lock")
}

const adapterAnswers = new Map<string, Answer>([
  [accepted, json({ ...good(accepted, endUser(kept.accepted)), note: person("unknown field of an accepted answer") })],
  [gsrnOf(6), json(good(gsrnOf(6), endUser(kept.first)))],
  [refused, json(good(refused, endUser(kept.refused)))],
  [doubled, json(good(doubled, endUser(kept.doubled)))],
  [raised, json(good(raised, endUser(kept.raised)))],
  [locked, json(good(locked, endUser(kept.locked)))],
  [huge, json({ ...good(huge, endUser(person("huge answer"))), padding: "x".repeat(1_100_000) })],
  ...[
    json({ ...good(nonsense[0]!, endUser(`${person("malformed value")}9`)) }),
    json(good(nonsense[1]!, endUser(person("overlapping rows")), endUser(person("overlapping rows")))),
    json(good(gsrnOf(99), endUser(person("answer about another GSRN")))),
    { body: `<!doctype html><p>Hello ${person("answer in HTML")}` },
    { body: JSON.stringify(good(nonsense[4]!, endUser(person("truncated answer")))).slice(0, -30) },
    json({ ...good(nonsense[5]!), end_user: person("end user that is no list") }),
    json({ ...good(nonsense[6]!), end_user: [{ [person("name of a field")]: 1 }] }),
    json(good(nonsense[7]!, { ...endUser(person("unknown kind")), entity_type: person("entity type") })),
    json(good(nonsense[8]!, { ...endUser(person("wrong time")), valid_from: person("valid_from") })),
    { status: 500, body: person("body of a 500"), headers: { "x-person": person("header of a 500") } },
    { status: 503, body: person("body of a 503"), headers: { "retry-after": person("Retry-After") } },
    { status: 403, body: person("body of a 403"), headers: { "www-authenticate": person("challenge") } },
    { status: 302, body: "", headers: { location: `/${person("redirect")}?key=${key("key in a redirect")}` } },
    { body: `{"gsrn": "${person("answer that breaks off")}`, headers: { "content-length": "5000" }, cut: true }
  ].map((answer, index) => [nonsense[index]!, answer] as const)
])

const hilltopAnswers: Readonly<Record<string, Answer>> = {
  error: {
    body: `<HilltopServer><Error>user ${person("Error of Hilltop")} with ${keys.hilltop} unknown</Error></HilltopServer>`
  },
  html: { body: `<html><body>${person("HTML of Hilltop")}</body></html>` },
  prose: { body: `Sorry, ${person("prose of Hilltop")} is not here` },
  root: { body: `<P${person("root element")}/>` },
  broken: { body: `<HilltopServer><Agency>x</P${person("broken XML")}>` },
  attribute: { body: `<HilltopServer><Site Name="A" Name="${person("attribute twice")}"/></HilltopServer>` },
  entity: { body: `<HilltopServer>&p${person("unknown entity")};</HilltopServer>` },
  status: { status: 500, body: person("500 of Hilltop"), headers: { "x-person": person("header of Hilltop") } },
  wait: { status: 503, body: "", headers: { "retry-after": person("Retry-After of Hilltop") } },
  redirect: {
    status: 302,
    body: "",
    headers: {
      location: `http://localhost:1/${person("redirect of Hilltop")}?k=${key("key of a redirect of Hilltop")}`
    }
  },
  gzip: { body: person("damaged gzip"), headers: { "content-encoding": "gzip" } }
}

const serve = (answers: (path: string) => Answer | undefined) =>
  standIn((request, response) => {
    const { body, cut = false, headers = {}, status = 200 } = answers(request.url ?? "") ?? { status: 404, body: "" }
    response.writeHead(status, { "content-type": "application/json", ...headers })
    if (cut) response.write(body, () => response.destroy())
    else response.end(body)
  })

interface Request {
  readonly method?: string
  readonly path: string
  readonly key?: string | undefined
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: unknown
}

const lookup = (gsrn: Gsrn, end_user: unknown, more: Partial<Request> = {}): Request => ({
  path: "/controllable_unit/lookup",
  key: keys.lookup,
  body: { accounting_point: gsrn, end_user },
  ...more
})
const event = (body: unknown, more: Partial<Request> = {}): Request => ({
  path: "/accounting_point/event",
  key: keys.event,
  body,
  ...more
})
const unit = "/controllable_unit/c0000000-0000-4000-8000-000000000001"
const put = (path: string, body: unknown): Request => ({ method: "PUT", path, key: keys.admin, body })

const badRequests = (): ReadonlyArray<Request> => [
  lookup(accepted, person("end user that is a whole number")),
  lookup(accepted, Number(person("end user that is a number"))),
  lookup(accepted, [person("end user in a list")]),
  lookup(accepted, { [person("end user as a key")]: 1 }),
  lookup(person("person instead of a GSRN") as Gsrn, "311299"),
  lookup(accepted, "311299", { body: { [person("name of a field of a lookup")]: 1 } }),
  lookup(accepted, "311299", { body: `{"end_user": "${person("JSON that breaks off")}` }),
  lookup(accepted, "311299", { headers: { "content-type": `application/${person("media type")}` } }),
  lookup(accepted, "311299", { key: keys.wrong }),
  lookup(accepted, "311299", { key: keys.read }),
  lookup(accepted, "311299", { key: person("person as a key") }),
  lookup(accepted, "311299", { body: { end_user: "x".repeat(1_100_000) + person("body too large") } }),
  lookup(accepted, "311299", {
    headers: {
      "x-request-id": person("request id"),
      "user-agent": `agent ${person("user agent")}`,
      cookie: `session=${key("cookie")}; person=${person("cookie")}`,
      referer: `http://example.org/${person("referer")}`,
      "x-forwarded-for": person("forwarded for"),
      traceparent: `00-${person("trace id")}-${person("span id")}-01`,
      tracestate: `person=${person("trace state")}`,
      baggage: `person=${person("baggage")}`,
      "x-api-key": key("another header")
    }
  }),
  event({ gsrn: person("person in an event"), occurred_at: person("time of an event") }),
  event([{ gsrn: accepted, occurred_at: `2026-01-01T00:00:00Z${person("text after a time")}` }]),
  event({ [person("name of a field of an event")]: 1 }),
  event(person("event that is a text")),
  put(unit, { accounting_point: person("person in a unit"), name: "Unit" }),
  put(unit, { accounting_point: accepted, name: 1, start_date: person("start date") }),
  put(`/controllable_unit/${person("person in a path")}`, { accounting_point: accepted, name: "Unit" }),
  put(`/hilltop/source/${person("person instead of a source")}`, {}),
  {
    path: "/hilltop/source",
    key: keys.admin,
    body: { council_id: 1, hts_url: person("address"), configuration: { measurementNames: person("configuration") } }
  },
  { path: `/hilltop/task?status=${person("query")}&cursor=${person("cursor")}`, key: keys.admin },
  { path: `/accounting_point/${person("person to read")}?key=${key("key in a query")}`, key: keys.read },
  { path: `/accounting_point/${accepted}`, key: keys.read, headers: { "if-none-match": person("tag") } },
  { path: `/${person("path that is not there")}?${person("query that is not there")}` },
  { method: "DELETE", path: `/health/live/${person("method that is not there")}` },
  { path: `/observation/series/1?as_of=${person("moment")}`, key: keys.read }
]

const statusOf = (url: string, texts: Array<string>) =>
  Effect.fnUntraced(function* ({ body, headers = {}, key, method, path }: Request) {
    const response = yield* Effect.promise(() =>
      fetch(`${url}${path}`, {
        method: method ?? (body === undefined ? "GET" : "POST"),
        headers: {
          ...(key === undefined ? {} : { authorization: `Bearer ${key}` }),
          "content-type": "application/json",
          ...headers
        },
        ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) })
      })
    )
    const text = yield* Effect.promise(() => response.text())
    texts.push(`${method ?? ""} ${response.status} ${JSON.stringify([...response.headers])} ${text}`)
    return response.status
  })

/** Bytes that are no HTTP; what comes back. */
const sendRaw = (url: string, bytes: string) =>
  Effect.callback<string>((resume) => {
    let answer = ""
    const socket = connect(Number(new URL(url).port), "127.0.0.1", () => socket.end(bytes))
    socket.on("data", (piece) => (answer += piece.toString()))
    socket.on("error", () => undefined)
    socket.on("close", () => resume(Effect.succeed(answer)))
  })

/** What a command that cannot do its work writes, to both streams. */
const runCommand = Effect.fnUntraced(function* (command: string, settings: Readonly<Record<string, string>>) {
  const script = fileURLToPath(new URL("../../scripts/penstock.ts", import.meta.url))
  const env = { ...bareEnvironment, ...settings }
  const child = yield* ChildProcess.make(process.execPath, [script, command], { env })
  const text = yield* Stream.mkString(Stream.decodeText(child.all))
  assert.strictEqual(Number(yield* child.exitCode), 1)
  return text
}, Effect.scoped)

/** Database errors that quote the row they are about, in their message, their detail and their hint. */
const sabotage = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  yield* sql.unsafe(`ALTER TABLE flex.end_user ADD CONSTRAINT refused CHECK (business_id <> '${kept.refused}')`)
  yield* sql.unsafe(`CREATE UNIQUE INDEX doubled ON flex.end_user
    ((CASE WHEN business_id IN ('${kept.first}', '${kept.doubled}') THEN '${kept.doubled}' ELSE business_id END))`)
  yield* sql.unsafe(`CREATE FUNCTION raise_person() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      RAISE EXCEPTION 'this is %', NEW.business_id USING DETAIL = NEW.business_id, HINT = 'ask ' || NEW.business_id;
    END $$`)
  yield* sql.unsafe(`CREATE TRIGGER raise_person BEFORE INSERT ON flex.end_user
    FOR EACH ROW WHEN (NEW.business_id = '${kept.raised}') EXECUTE FUNCTION raise_person()`)
})

const within = <A, E, R>(what: string, effect: Effect.Effect<A, E, R>, done: (value: A) => boolean) =>
  effect.pipe(
    Effect.repeat({ until: done, schedule: Schedule.spaced("50 millis") }),
    Effect.timeoutOrElse({ duration: "10 seconds", orElse: () => Effect.die(new Error(`${what} did not happen`)) })
  )

const services = Layer.mergeAll(
  NodeServices.layer,
  NodeHttpClient.layerUndici,
  Layer.succeed(References.MinimumLogLevel, "None")
)

layer(services, { excludeTestServices: true })("a secret", (it) => {
  it.effect("comes out nowhere, however it got in", () =>
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const data = yield* fs.makeTempDirectoryScoped({ prefix: "penstock-privacy-" })
      // As root the server runs as another user, who must be able to pass.
      yield* fs.chmod(data, 0o711)
      const told: Array<string> = []
      const collected: Array<string> = []
      const remembered: Array<string> = []
      const collector = yield* standIn((request, response, body) => {
        collected.push(`${request.url} ${body}`)
        response.writeHead(200, { "content-type": "application/json" }).end("{}")
      })
      const adapter = yield* serve((path) => adapterAnswers.get(/^\/accounting_point\/(\d+)/.exec(path)?.[1] ?? ""))
      // One server each: what one of them does to itself must not keep the others from being asked.
      const hilltops = yield* Effect.forEach(Object.values(hilltopAnswers), (answer) => serve(() => answer))
      const eventTopic = "events"

      const run = Effect.gen(function* () {
        const penstock = yield* runPenstock({
          PENSTOCK_DATA: data,
          LOG_LEVEL: "trace",
          OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
          ADAPTER_URL: byName(adapter.url),
          ADAPTER_API_KEY: keys.adapter,
          SYNC_INTERVAL: "300 millis",
          SYNC_BATCH_SIZE: "50",
          ACCOUNTING_POINT_EVENTS_TOPIC: eventTopic,
          CRAWL_ALLOW_PRIVATE: "true",
          CRAWL_SERVER_RATE: "1000",
          LOOKUP_API_KEYS: `lookup-caller:${keys.lookup}`,
          EVENT_API_KEYS: `event-caller:${keys.event}`,
          READ_API_KEYS: `read-caller:${keys.read}`,
          ADMIN_API_KEYS: `admin-caller:${keys.admin}`
        })
        const database = Option.getOrThrow(yield* findRunningPostgres(`${data}/postgres`))
        plant("password of the database", decodeURIComponent(new URL(Redacted.value(database)).password))
        const ask = statusOf(penstock.url, told)

        yield* Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          yield* sabotage
          const atOnce = { concurrency: 8 } as const

          // Documents of every kind, from a server whose address has a key in it.
          for (const [index, { url }] of hilltops.entries()) {
            const hts_url = `${url}/data.hts?token=${keys.hilltop}`
            const configuration = JSON.stringify({ measurementNames: ["Flow"] })
            yield* sql`INSERT INTO hilltop_sources (council_id, hts_url, configuration)
              VALUES (${index + 1}, ${hts_url}, ${configuration}::jsonb)`
          }
          for (const configuration of [
            person("configuration that is a text"),
            { measurementNames: person("names that are a text") },
            { measurementNames: ["Flow"], requestsPerSecond: person("rate that is a text") },
            { [person("name of a field of a configuration")]: 1 }
          ]) {
            yield* sql`INSERT INTO hilltop_sources (council_id, hts_url, configuration)
              VALUES (1, ${`${person("address that is none")} ${key("key in no address")}`}, ${JSON.stringify(configuration)}::jsonb)`
          }

          // Bad requests of every kind.
          for (const status of yield* Effect.forEach(badRequests(), ask, atOnce)) assert.isBelow(status, 500)
          for (const bytes of [`GET /${person("no HTTP")} HTTP/9\r\n\r\n`, `${person("no request line")}\r\n\r\n`]) {
            told.push(yield* sendRaw(penstock.url, bytes))
          }

          // Adapter answers of every kind, for lookups, and in the background.
          assert.strictEqual(yield* ask(lookup(accepted, "311299")), 200)
          assert.strictEqual(yield* ask(lookup(accepted, "010101")), 403)
          assert.strictEqual(yield* ask(lookup(gsrnOf(6), "311299")), 200)
          const failing = yield* Effect.forEach([...nonsense, huge], (gsrn) => ask(lookup(gsrn, "311299")), atOnce)
          assert.isTrue(
            failing.every((status) => status === 502),
            failing.join()
          )
          for (const gsrn of [refused, doubled, raised]) {
            assert.strictEqual(yield* ask(lookup(gsrn, "311299")), 503)
          }
          yield* sql`
            INSERT INTO flex.accounting_point (business_id) SELECT * FROM unnest(${[...nonsense, huge]}::text[])
            ON CONFLICT DO NOTHING`
          yield* sql`UPDATE flex.accounting_point_sync SET relevant = true WHERE last_synced_at IS NULL`
          yield* within(
            "failures of the background",
            sql<{ kind: string }>`SELECT DISTINCT last_error AS kind FROM flex.accounting_point_sync`,
            (rows) =>
              ["invalid", "unavailable", "refused", "store"].every((kind) => rows.some((row) => row.kind === kind))
          )

          // A lock that is held for too long.
          assert.strictEqual(yield* ask(lookup(locked, "311299")), 200)
          const isHeld = yield* Deferred.make<void>()
          const hold = sql`
            SELECT FROM flex.accounting_point_sync s JOIN flex.accounting_point a ON a.id = s.accounting_point_id
            WHERE a.business_id = ${locked} FOR UPDATE OF s`.pipe(
            Effect.andThen(Deferred.succeed(isHeld, undefined)),
            Effect.andThen(Effect.never),
            sql.withTransaction
          )
          const waiting = Effect.andThen(
            Deferred.await(isHeld),
            ask(lookup(locked, "311299", { headers: { "cache-control": "no-cache" } }))
          )
          assert.strictEqual(yield* Effect.raceFirst(waiting, hold), 503)

          // A connection that is lost in the middle.
          yield* Effect.all(
            [
              sql`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'penstock %'
                AND application_name <> 'penstock-test'`,
              ask(lookup(accepted, "311299", { headers: { "cache-control": "no-cache" } }))
            ],
            { concurrency: 2 }
          )

          // Records that are no events.
          const events = [person("record of the topic"), `{"gsrn": "${person("event of the topic")}`]
          yield* sql`
            INSERT INTO topic_records (topic, partition, "offset", key, value, headers, created_at)
            SELECT ${eventTopic}, 0, ordinality - 1, ${person("key of a record")}, value, '{}', now()
            FROM unnest(${[...events, `"${person("event that is a text")}"`]}::text[]) WITH ORDINALITY AS record (value)`
          yield* sql`UPDATE topic_partitions SET next_offset = 3 WHERE topic = ${eventTopic} AND partition = 0`
          yield* within(
            "dead letters",
            sql`SELECT FROM topic_records WHERE topic = ${`${eventTopic}_dead_letters`}`,
            (rows) => rows.length === 3
          )

          yield* within(
            "runs of the crawl",
            sql`SELECT FROM hilltop_fetch_tasks WHERE jsonb_array_length(previous_history) > 0`,
            (rows) => rows.length === hilltops.length
          )

          yield* within(
            "problems of sources",
            sql`SELECT FROM hilltop_sources WHERE problem IS NOT NULL`,
            (rows) => rows.length === 4
          )

          yield* ask({ path: "/metrics" })
          yield* ask({ path: "/health/progress" })
          yield* ask({ path: "/" })
          for (const rows of [
            yield* sql`SELECT previous_history FROM hilltop_fetch_tasks`,
            yield* sql`SELECT problem FROM hilltop_sources`,
            yield* sql`SELECT last_error FROM flex.accounting_point_sync`,
            yield* sql`SELECT caller, outcome FROM flex.lookup_audit`,
            yield* sql`SELECT headers FROM topic_records`
          ]) {
            assert.isNotEmpty(rows)
            remembered.push(...rows.map((row) => JSON.stringify(row)))
          }
        }).pipe(Effect.provide(PgClient.layer({ url: database, maxConnections: 3, applicationName: "penstock-test" })))
        return penstock
      })
      // The exporters send the last of it when the service ends.
      const penstock = yield* Effect.scoped(run)

      const commands = yield* Effect.forEach(
        [
          [
            "start",
            { HTTP_PORT: person("port"), LOOKUP_API_KEYS: key("key without a name"), SYNC_WITHIN: person("span") }
          ],
          ["start", { DATABASE_URL: `postgres://penstock:${key("password of no database")}@127.0.0.1:1/none` }],
          [
            "doctor",
            { DATABASE_URL: `postgres://penstock:${key("another password")}@127.0.0.1:1/${person("database")}` }
          ]
        ] as const,
        ([command, settings]) => runCommand(command, { ...settings, LOG_LEVEL: "trace" }),
        { concurrency: 3 }
      )
      const log = yield* fs.readFileString(`${data}/postgres.log`)

      const places: Readonly<Record<string, ReadonlyArray<string>>> = {
        "an answer": told,
        "the log": penstock.output().split("\n"),
        "a command": commands,
        "the log of PostgreSQL": log.split("\n"),
        "a trace, a metric or a log over OTLP": collected,
        "a table": remembered
      }
      for (const [place, texts] of Object.entries(places))
        assert.isNotEmpty(
          texts.filter((text) => text !== ""),
          place
        )
      for (const signal of ["traces", "metrics", "logs"]) {
        assert.isTrue(
          collected.some((text) => text.startsWith(`/v1/${signal} `)),
          signal
        )
      }
      const leaks = [...planted].flatMap(([value, what]) =>
        Object.entries(places).flatMap(([place, texts]) => {
          const text = texts.find((one) => one.includes(value))
          if (text === undefined) return []
          const at = text.indexOf(value)
          return [`${what} came out in ${place}: …${text.slice(Math.max(0, at - 100), at + 40)}…`]
        })
      )
      assert.deepStrictEqual(leaks, [])
    }).pipe(Effect.scoped)
  )
})
