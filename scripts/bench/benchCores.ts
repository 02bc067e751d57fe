/**
 * What further processes of an instance are worth: documents a second from the socket to both topics, and to stored rows, of the
 * service with two and with four processes beside the service with one, with budgets lifted and a server that has its answers ready.
 *
 * The service is `penstock start`, started anew for each measurement and warmed up. For the topics alone the store is kept from
 * reading by a lease on all of its partitions. What PostgreSQL and the server of the documents take runs on the same processors.
 */
import { NodeHttpClient } from "@effect/platform-node"
import { Console, Effect, Schedule } from "effect"
import { HttpClient } from "effect/http"
import { SqlClient } from "effect/sql"
import { mapperGroup } from "../../src/stream/mappingStage.ts"
import { storeGroup } from "../../src/stream/observationStage.ts"
import { BenchDatabase, BenchPostgres, postgresVersion } from "./BenchPostgres.ts"
import { BenchFailed, startUntilLine } from "./BenchProcess.ts"
import { measurement, queryOf, siteOf } from "./cost/CostDocument.ts"
import { processorTime } from "./cost/processorTime.ts"
import type { Figure } from "./Figure.ts"
import { milliseconds, takeTurns } from "./Measure.ts"
import type { GroupResult } from "./Report.ts"
import { startService } from "./ServiceProcess.ts"

const rounds = 2
/** Documents a second: twice of what the system has that Penstock descends from, with both cores and warm. */
const leastRate = 106
/** So many to be measured, after as many that nobody counts: what is compiled at run time is compiled then, and sessions have their plans. */
const toTopics = 800
const toRows = 300

const startServer = startUntilLine(["scripts/bench/cost/costServer.ts"], /^ready at (.+)$/)

const untilRunning = (origin: string, processes: number) =>
  HttpClient.get(`${origin}/metrics`).pipe(
    Effect.flatMap(({ text }) => text),
    Effect.repeat({
      until: (text) => processes === 1 || text.includes(`\npenstock_processes ${processes}\n`),
      // The metrics themselves look around every three seconds.
      schedule: Schedule.spaced("500 millis")
    }),
    Effect.timeout("60 seconds"),
    Effect.mapError(() => new BenchFailed({ message: `the service has not ${processes} processes after a minute` })),
    Effect.provide(NodeHttpClient.layerUndici)
  )

const measured = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const { url } = yield* BenchPostgres
  const { handle: server, line: origin } = yield* startServer
  yield* sql`
    INSERT INTO hilltop_sources (council_id, hts_url, configuration)
    SELECT council, ${origin}::text || '/c' || council || '.hts', '{"measurementNames": ["Flow"]}' FROM generate_series(1, 4) AS council`

  const state = sql<{ open: number; good: number; published: number; unmapped: number; unstored: number }>`
    SELECT count(*) FILTER (WHERE next_fetch_at <= now() OR id IN (SELECT task_id FROM hilltop_fetch_leases))::int4 AS open,
      count(*) FILTER (WHERE previous_data_hash IS NOT NULL)::int4 AS good,
      (SELECT count(*)::int4 FROM topic_records WHERE topic = 'hilltop_raw') AS published,
      (SELECT sum(p.next_offset - g.next_offset) FROM topic_groups g JOIN topic_partitions p USING (topic, partition)
        WHERE group_name = ${mapperGroup})::int4 AS unmapped,
      (SELECT sum(p.next_offset - g.next_offset) FROM topic_groups g JOIN topic_partitions p USING (topic, partition)
        WHERE group_name = ${storeGroup})::int4 AS unstored
    FROM hilltop_fetch_tasks WHERE request_type = 'MEASUREMENT_DATA'`

  /** Queues so many documents as tasks and waits until they are through; how many a second. */
  const crawl = Effect.fnUntraced(function* (isStored: boolean, count: number) {
    yield* sql`TRUNCATE hilltop_fetch_tasks, hilltop_fetch_leases, topic_records`
    const sites = Array.from({ length: count }, (_, n) => siteOf(n))
    const took = yield* milliseconds(
      Effect.gen(function* () {
        yield* sql`
          INSERT INTO hilltop_fetch_tasks (source_id, request_type, fetch_url, details)
          SELECT source.id, 'MEASUREMENT_DATA', ${`${origin}/c`} || source.council_id || '.hts' || asked.query, asked.details::jsonb
          FROM unnest(${sites.map(queryOf)}::text[],
              ${sites.map((siteName) => JSON.stringify({ siteName, measurementName: measurement, measurement, item: 1, units: "m3/s" }))}::text[])
              WITH ORDINALITY AS asked (query, details, n)
            JOIN hilltop_sources source ON source.council_id = 1 + asked.n % 4`
        const [last] = yield* Effect.repeat(state, {
          until: ([row]) => row?.open === 0 && row.unmapped === 0 && (!isStored || row.unstored === 0),
          schedule: Schedule.spaced("50 millis")
        })
        if (last?.good !== count || last.published !== count) {
          const message = `of ${count} documents ${last?.good} are known, and ${last?.published} were published`
          return yield* new BenchFailed({ message })
        }
      })
    )
    return (1_000 * count) / took
  })

  const side = (processes: number, isStored: boolean) =>
    Effect.gen(function* () {
      const documents = isStored ? toRows : toTopics
      // Tasks of the sources themselves are none of these.
      yield* sql`TRUNCATE hilltop_fetch_tasks, hilltop_fetch_leases, topic_records, observations`
      yield* sql`UPDATE topic_groups g SET next_offset = p.next_offset, lease_until = NULL FROM topic_partitions p
        WHERE p.topic = g.topic AND p.partition = g.partition`
      yield* sql`UPDATE topic_groups SET lease_until = ${isStored ? null : "infinity"} WHERE group_name = ${storeGroup}`
      const { handle, origin: service } = yield* startService({
        DATABASE_URL: url,
        PENSTOCK_ROLES: "crawl,stream",
        PENSTOCK_PROCESSES: String(processes),
        CRAWL_ALLOW_PRIVATE: "true",
        CRAWL_SERVER_RATE: "1000000",
        CRAWL_SERVER_CONCURRENCY: "1000",
        LOG_LEVEL: "warn"
      })
      yield* untilRunning(service, processes)
      yield* crawl(isStored, documents)
      const times = Effect.all([processorTime(handle.pid), processorTime(server.pid)])
      const [own, ofServer] = yield* times
      const rate = yield* crawl(isStored, documents)
      const [ownThen, ofServerThen] = yield* times
      const millis = (ownThen - own) / documents
      yield* Console.error(
        `    ${processes} ${isStored ? "to rows" : "to both topics"}: ${rate.toFixed(1)}/s, ${millis.toFixed(1)} ms of CPU a document, and ${((ofServerThen - ofServer) / documents).toFixed(2)} of the server's`
      )
      return { rate, millis }
    }).pipe(Effect.scoped)

  // The groups of the readers are made by the first start.
  yield* Effect.scoped(startService({ DATABASE_URL: url, PENSTOCK_PROCESSES: "1", LOG_LEVEL: "warn" }))
  const turns = yield* takeTurns(
    { name: "cores", rounds, warmUps: 0 },
    {
      one: side(1, false),
      two: side(2, false),
      four: side(4, false),
      storedByOne: side(1, true),
      storedByTwo: side(2, true)
    }
  )
  type Side = keyof (typeof turns)[number]
  const rate = (name: string, of: Side, beside: Side, targets: Figure["targets"] = []): Figure => ({
    name,
    yardstick: "one process",
    unit: "documents/s",
    better: "higher",
    targets,
    rounds: turns.map((turn) => ({ figure: turn[of].rate, yardstick: turn[beside].rate }))
  })
  const figures: ReadonlyArray<Figure> = [
    rate("from the socket to both topics, two processes", "two", "one", [{ of: "figure", bound: leastRate }]),
    rate("from the socket to both topics, four processes", "four", "one"),
    rate("from the socket to stored rows, two processes", "storedByTwo", "storedByOne"),
    {
      name: "a document from the socket to both topics, both of two processes",
      yardstick: "one process",
      unit: "ms of CPU",
      better: "lower",
      targets: [],
      rounds: turns.map(({ one, two }) => ({ figure: two.millis, yardstick: one.millis }))
    }
  ]
  return { figures, postgres: yield* postgresVersion } satisfies GroupResult
})

export const benchCores = Effect.provide(measured, BenchDatabase)
