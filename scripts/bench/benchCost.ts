/**
 * What a crawled document costs: processor time from the socket to both topics, for documents of some 4,000 rows, without any
 * delay and with budgets lifted; with topics in PostgreSQL, and on a real Kafka where one can be started.
 *
 * Beside it stands parsing the same bytes with the same parser, alone, in the same process's like: a ratio that says more than
 * milliseconds of a machine that others use as well. Then the parts alone, and what PostgreSQL and the broker spend at 20
 * documents a second, where every small batch is a claim, a settlement and a transaction of its own.
 */
import { Effect, Exit } from "effect"
import { SqlClient } from "effect/sql"
import { startKafka } from "../kafka/KafkaBroker.ts"
import { BenchDatabase, BenchPostgres, postgresVersion, temporaryDirectory } from "./BenchPostgres.ts"
import { startUntilLine } from "./BenchProcess.ts"
import { startWorker } from "./BenchWorker.ts"
import { type CostPart, costParts, costWorker } from "./cost/CostOrder.ts"
import { parentOf, processorTime, processWith } from "./cost/processorTime.ts"
import type { Figure } from "./Figure.ts"
import { takeTurns } from "./Measure.ts"
import type { GroupResult } from "./Report.ts"

/** Of one measurement: 30 MB of XML, two seconds. */
const documents = 150
const rounds = 3
/** Of the parts alone. */
const documentsOfParts = 60
const slowRate = 20
const slowDocuments = 150

const startServer = startUntilLine(["scripts/bench/cost/costServer.ts"], /^ready at (.+)$/)

const measured = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const { url } = yield* BenchPostgres
  const { line: origin } = yield* startServer
  yield* sql`
    INSERT INTO hilltop_sources (council_id, hts_url, configuration)
    SELECT council, ${origin}::text || '/c' || council || '.hts', '{"measurementNames": ["Flow"]}' FROM generate_series(1, 4) AS council`

  const directory = `${yield* temporaryDirectory}/kafka`
  const kafka = yield* Effect.exit(startKafka({ directory, cache: ".penstock/kafka" }))
  const brokers = Exit.isSuccess(kafka) ? kafka.value.brokers : undefined

  const [backend] = yield* sql<{ pid: number }>`SELECT pg_backend_pid() AS pid`
  const postgres = yield* parentOf(backend?.pid ?? 0)
  const broker = yield* processWith(`${directory}/server.properties`)

  const on = Effect.fnUntraced(function* (topics: string) {
    const parts = yield* startWorker(costWorker, ["parts", url, topics])
    const part = (name: CostPart) => parts({ part: name, origin, documents: documentsOfParts })
    const loops = yield* startWorker(costWorker, ["loops", url, topics])
    const sides = Object.fromEntries(costParts.map((name) => [name, part(name)])) as Record<
      CostPart,
      ReturnType<typeof part>
    >
    return yield* takeTurns(
      { name: topics === "" ? "cost, topics in PostgreSQL" : "cost, Kafka", rounds, warmUps: 1 },
      { crawl: loops({ part: "crawl", origin, documents }), ...sides }
    )
  }, Effect.scoped)

  type Turns = Effect.Success<ReturnType<typeof on>>
  const figuresOf = (turns: Turns, where: string, target: number): ReadonlyArray<Figure> => [
    {
      name: `a document from the socket to both topics, ${where}`,
      yardstick: "parsing it",
      unit: "ms of CPU",
      better: "lower",
      targets: [{ of: "figure", bound: target }],
      rounds: turns.map(({ crawl, parse }) => ({ figure: crawl.millis, yardstick: parse.millis }))
    },
    ...costParts.map((name): Figure => ({
      name: `of it, ${where}: ${name}, alone`,
      yardstick: "all of it",
      unit: "ms of CPU",
      better: "lower",
      targets: [],
      rounds: turns.map((turn) => ({ figure: turn[name].millis, yardstick: turn.crawl.millis }))
    })),
    {
      name: `most memory of the process, ${where}`,
      yardstick: "of one that does the parts alone",
      unit: "MB",
      better: "lower",
      targets: [],
      rounds: turns.map(({ crawl, parse }) => ({ figure: crawl.megabytes, yardstick: parse.megabytes }))
    }
  ]

  /** What the servers spend on documents that come at a rate, and how many transactions PostgreSQL has. */
  const servers = Effect.fnUntraced(function* (topics: string, rate: number, count: number) {
    const worker = yield* startWorker(costWorker, ["loops", url, topics, String(rate)])
    yield* worker({ part: "crawl", origin, documents: slowRate })
    const look = Effect.gen(function* () {
      // Sessions tell what they have done after a second at the latest.
      yield* Effect.sleep("2 seconds")
      const [row] = yield* sql<{ n: number }>`
        SELECT xact_commit::float8 AS n FROM pg_stat_database WHERE datname = current_database()`
      return {
        transactions: row?.n ?? 0,
        postgres: postgres === undefined ? Number.NaN : yield* processorTime(postgres),
        broker: broker === undefined ? Number.NaN : yield* processorTime(broker)
      }
    })
    const before = yield* look
    const { millis } = yield* worker({ part: "crawl", origin, documents: count })
    const after = yield* look
    return {
      own: millis,
      transactions: (after.transactions - before.transactions) / count,
      postgres: (after.postgres - before.postgres) / count,
      broker: (after.broker - before.broker) / count
    }
  }, Effect.scoped)

  const embedded = yield* on("")
  const onKafka = brokers === undefined ? [] : yield* on(brokers)
  const pace = yield* takeTurns(
    { name: "cost, servers", rounds: 1, warmUps: 0 },
    {
      slow: servers(brokers ?? "", slowRate, slowDocuments),
      fast: servers(brokers ?? "", 1_000_000, slowDocuments)
    }
  )
  const ofServers = (name: string, unit: string, of: "own" | "transactions" | "postgres" | "broker"): Figure => ({
    name: `${name}, at ${slowRate} documents a second`,
    yardstick: "as fast as it goes",
    unit,
    better: "lower",
    targets: [],
    rounds: pace.map(({ fast, slow }) => ({ figure: slow[of], yardstick: fast[of] }))
  })
  const figures: ReadonlyArray<Figure> = [
    ...figuresOf(embedded, "topics in PostgreSQL", 12),
    ...(onKafka.length === 0 ? [] : figuresOf(onKafka, "Kafka", 12)),
    ofServers("the process, a document", "ms of CPU", "own"),
    ofServers("transactions of PostgreSQL, a document", "transactions", "transactions"),
    ...(postgres === undefined ? [] : [ofServers("PostgreSQL, a document", "ms of CPU", "postgres")]),
    ...(broker === undefined ? [] : [ofServers("the broker, a document", "ms of CPU", "broker")])
  ]
  return { figures, postgres: yield* postgresVersion } satisfies GroupResult
})

export const benchCost = Effect.provide(measured, BenchDatabase)
