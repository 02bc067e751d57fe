/**
 * What the service has in memory while 32 large answers are in flight, from the socket to the topic: the peak of a process
 * with the roles `api` and `crawl`, against the same process at rest.
 *
 * The server lets all 32 requests arrive before it answers any, and then sends as fast as it is read. Answers of 20 MB are
 * read, and are then larger than a message may be; those of 9 MB go all the way. A macron in the name of the site makes every
 * character of their text two bytes in memory.
 */
import { Effect, FileSystem, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { createServer, type ServerResponse } from "node:http"
import { BenchDatabase, BenchPostgres, postgresVersion } from "./BenchPostgres.ts"
import { BenchFailed, residentMemory } from "./BenchProcess.ts"
import type { Figure } from "./Figure.ts"
import type { GroupResult } from "./Report.ts"
import { startService } from "./ServiceProcess.ts"

const inFlight = 32
const patience = "90 seconds"
/** Of the whole process, in megabytes: the target of the crawl. */
const bound = 512

const site = "Māwhera at the Bench"

const twoDigits = (number: number) => String(number).padStart(2, "0")

/** Rows by the second from the first of the month on, until the document has this many bytes. */
const documentOf = (bytes: number): Uint8Array => {
  const rows: Array<string> = []
  let length = 400
  for (let second = 0; length < bytes - 400; second++) {
    const [hour, minute] = [Math.floor(second / 3600) % 24, Math.floor(second / 60) % 60]
    const day = 1 + Math.floor(second / 86_400)
    const time = `2025-01-${twoDigits(day)}T${twoDigits(hour)}:${twoDigits(minute)}:${twoDigits(second % 60)}`
    const row = `<E><T>${time}</T><I1>${1000 + ((second * 7919) % 997)}.25</I1></E>\n`
    rows.push(row)
    length += row.length
  }
  const head =
    '<?xml version="1.0" ?>\n<Hilltop>\n<Agency>Bench</Agency>\n<Measurement SiteName="' +
    site +
    '">\n' +
    '<DataSource Name="Stage" NumItems="1">\n<TSType>StdSeries</TSType>\n<DataType>SimpleTimeSeries</DataType>\n' +
    "</DataSource>\n" +
    '<Data DateFormat="Calendar" NumItems="1">\n'
  return Buffer.from(`${head}${rows.join("")}</Data>\n</Measurement>\n</Hilltop>\n`)
}

/** Answers every request with the document, once as many as are to be in flight have arrived. */
const serveAtOnce = (document: Uint8Array) =>
  Effect.acquireRelease(
    Effect.callback<{ readonly url: string; readonly stop: Effect.Effect<void> }>((resume) => {
      let arrived = 0
      const waiting: Array<ServerResponse> = []
      const server = createServer((_, response) => {
        arrived++
        waiting.push(response)
        if (arrived < inFlight) return
        for (const each of waiting.splice(0)) each.end(document)
      })
      const stop = Effect.callback<void>((done) => {
        server.close(() => done(Effect.void))
        server.closeAllConnections()
      })
      server.listen(0, "127.0.0.1", () => {
        const address = server.address()
        resume(Effect.succeed({ url: `http://127.0.0.1:${typeof address === "object" ? address?.port : 0}`, stop }))
      })
    }),
    ({ stop }) => stop
  )

/** The most that a process ever had in memory, in megabytes, where the system keeps it; else what it has now. */
const peakMemory = Effect.fnUntraced(function* (pid: number) {
  if (process.platform !== "linux") return yield* residentMemory(pid)
  const fs = yield* FileSystem.FileSystem
  const [, kibibytes] = /VmHWM:\s*(\d+)/.exec(yield* fs.readFileString(`/proc/${pid}/status`)) ?? []
  return (Number(kibibytes) * 1024) / 1e6
})

const measured = Effect.fnUntraced(function* (megabytes: number, expected: string) {
  const sql = yield* SqlClient.SqlClient
  const { url: databaseUrl } = yield* BenchPostgres
  const { url } = yield* serveAtOnce(documentOf(megabytes * 1e6))
  const { handle } = yield* startService({
    DATABASE_URL: databaseUrl,
    PENSTOCK_ROLES: "api,crawl",
    CRAWL_ALLOW_PRIVATE: "true",
    CRAWL_SERVER_RATE: "10000",
    CRAWL_SERVER_CONCURRENCY: String(inFlight),
    CRAWL_CONCURRENCY: String(inFlight)
  })
  yield* Effect.sleep("2 seconds")
  const atRest = yield* residentMemory(handle.pid)
  const [source] = yield* sql<{ id: number }>`
    INSERT INTO hilltop_sources (council_id, hts_url, configuration)
    VALUES (1, ${`${url}/data.hts`}, '{"measurementNames": ["Stage"]}') RETURNING id`
  // Its own list of sites is not wanted here: it would be one of the 32.
  yield* sql`UPDATE hilltop_fetch_tasks SET next_fetch_at = 'infinity' WHERE source_id = ${source!.id}`
  yield* sql`
    INSERT INTO hilltop_fetch_tasks (source_id, request_type, fetch_url)
    SELECT ${source!.id}, 'MEASUREMENT_DATA', ${`${url}/data.hts?Service=Hilltop&Request=GetData&Site=${encodeURIComponent(site)}&Measurement=Stage&n=`}::text || n
    FROM generate_series(1, ${inFlight + 8}::int) AS n`
  let peak = 0
  const done = Effect.gen(function* () {
    while (true) {
      peak = Math.max(peak, yield* peakMemory(handle.pid))
      const results = yield* sql<{ result: string }>`
        SELECT previous_history -> 0 ->> 'result' AS result FROM hilltop_fetch_tasks
        WHERE source_id = ${source!.id} AND request_type = 'MEASUREMENT_DATA' AND previous_history <> '[]'`
      const wrong = results.find(({ result }) => result !== expected)
      if (wrong !== undefined) {
        return yield* new BenchFailed({ message: `an answer of ${megabytes} MB was ${wrong.result}` })
      }
      if (results.length >= inFlight) return undefined
      yield* Effect.sleep("50 millis")
    }
  })
  yield* done.pipe(
    Effect.timeoutOrElse({
      duration: patience,
      orElse: () => Effect.fail(new BenchFailed({ message: `not all answers of ${megabytes} MB were settled` }))
    })
  )
  yield* sql`UPDATE hilltop_sources SET paused = true WHERE id = ${source!.id}`
  return { figure: peak, yardstick: atRest }
}, Effect.scoped)

const figureOf = (name: string, round: { readonly figure: number; readonly yardstick: number }): Figure => ({
  name,
  yardstick: "at rest",
  unit: "MB",
  better: "lower",
  targets: [{ of: "figure", bound }],
  rounds: [round]
})

export const benchAnswers = Effect.gen(function* () {
  const large = yield* measured(19.9, "RESPONSE_TOO_LARGE")
  const published = yield* measured(9, "SUCCESS")
  return {
    figures: [
      figureOf(`peak memory, ${inFlight} answers of 20 MB in flight`, large),
      figureOf(`peak memory, ${inFlight} answers of 9 MB in flight, published`, published)
    ],
    postgres: yield* postgresVersion
  } satisfies GroupResult
}).pipe(Effect.provide(BenchDatabase.pipe(Layer.orDie)))
