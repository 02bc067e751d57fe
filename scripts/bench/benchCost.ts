/**
 * What a crawled document costs: processor time from the socket to both topics, for documents of some 4,000 rows, without any
 * delay and with budgets lifted; with topics in PostgreSQL, and on a real Kafka where one can be started.
 *
 * Beside it stands parsing the same bytes with the same parser, alone, in the same process's like: a ratio that says more than
 * milliseconds of a machine that others use as well. Then the first documents of a process, the parts alone and what is in none of
 * them, and what PostgreSQL and the broker spend at 20 documents a second and on nothing, once both are warm. Some 10 minutes.
 */
import { Clock, Effect, Exit } from "effect"
import { SqlClient } from "effect/sql"
import { startKafka } from "../kafka/KafkaBroker.ts"
import { BenchDatabase, BenchPostgres, postgresVersion, temporaryDirectory } from "./BenchPostgres.ts"
import { startUntilLine } from "./BenchProcess.ts"
import { startWorker } from "./BenchWorker.ts"
import { type CostPart, costParts, costWorker, onTheWay } from "./cost/CostOrder.ts"
import { parentOf, processorTime, processWith, threadTime } from "./cost/processorTime.ts"
import type { Figure } from "./Figure.ts"
import { takeTurns } from "./Measure.ts"
import type { GroupResult } from "./Report.ts"
import { serviceFlags } from "./ServiceProcess.ts"

/** What a process does first, with much of its code not compiled yet; then documents that nobody counts; then those of a round. */
const firstDocuments = 150
const warmingDocuments = 1_000
const documents = 500
const rounds = 3
/** Of the parts alone, in a round; two rounds before those that count. */
const documentsOfParts = 120
const slowRate = 20
const slowDocuments = 600
/**
 * Before the servers are looked at. A broker's code is compiled by what it does (a method for good after thousands of calls, on threads of
 * the same processors), and a session of PostgreSQL plans its first statements anew: at 20 a second that takes minutes, and a
 * server that runs for months has it behind it. So there are documents at full speed first, and a while at the rate that is measured.
 */
const documentsBeforeFast = 3_000
const documentsBeforeSlow = 1_200
/** How long servers are looked at that have nothing to do but to be there, with a service that waits. */
const idleSeconds = 10

/** With the flags of `npm start`: what V8 gives the young generation is a fifth of what a document costs. */
const startCostWorker = (...args: ReadonlyArray<string>) => startWorker(costWorker, args, serviceFlags)

const startServer = startUntilLine(["scripts/bench/cost/costServer.ts"], /^ready at (.+)$/)

const measured = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const { url } = yield* BenchPostgres
  const { line: origin } = yield* startServer
  yield* sql`
    INSERT INTO hilltop_sources (council_id, hts_url, configuration)
    SELECT council, ${origin}::text || '/c' || council || '.hts', '{"measurementNames": ["Flow"]}' FROM generate_series(1, 4) AS council`

  const directory = `${yield* temporaryDirectory}/kafka`
  const kafka = yield* Effect.exit(startKafka({ directory, cache: ".penstock/kafka", fullyCompiled: true }))
  const brokers = Exit.isSuccess(kafka) ? kafka.value.brokers : undefined

  const [backend] = yield* sql<{ pid: number }>`SELECT pg_backend_pid() AS pid`
  const postgres = yield* parentOf(backend?.pid ?? 0)
  const broker = yield* processWith(`${directory}/server.properties`)

  const on = Effect.fnUntraced(function* (topics: string) {
    const parts = yield* startCostWorker("parts", url, topics)
    const part = (name: CostPart) => parts({ part: name, origin, documents: documentsOfParts })
    const loops = yield* startCostWorker("loops", url, topics)
    const crawl = (documents: number) => loops({ part: "crawl", origin, documents })
    const cold = yield* crawl(firstDocuments)
    yield* crawl(warmingDocuments)
    const sides = Object.fromEntries(costParts.map((name) => [name, part(name)])) as Record<
      CostPart,
      ReturnType<typeof part>
    >
    const turns = yield* takeTurns(
      { name: topics === "" ? "cost, topics in PostgreSQL" : "cost, Kafka", rounds, warmUps: 2 },
      { crawl: crawl(documents), ...sides }
    )
    return { cold, turns }
  }, Effect.scoped)

  type Measured = Effect.Success<ReturnType<typeof on>>
  const figuresOf = ({ cold, turns }: Measured, where: string, target: number): ReadonlyArray<Figure> => [
    {
      name: `a document from the socket to both topics, ${where}`,
      yardstick: "parsing it",
      unit: "ms of CPU",
      better: "lower",
      targets: [{ of: "figure", bound: target }],
      rounds: turns.map(({ crawl, parse }) => ({ figure: crawl.millis, yardstick: parse.millis }))
    },
    {
      name: `the first ${firstDocuments} of a process, ${where}`,
      yardstick: "a document once the code is compiled",
      unit: "ms of CPU",
      better: "lower",
      targets: [],
      rounds: turns.map(({ crawl }) => ({ figure: cold.millis, yardstick: crawl.millis }))
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
      name: `of it, ${where}: all that is in none of these`,
      yardstick: "all of it",
      unit: "ms of CPU",
      better: "lower",
      targets: [],
      rounds: turns.map((turn) => ({
        figure: turn.crawl.millis - onTheWay.reduce((sum, name) => sum + turn[name].millis, 0),
        yardstick: turn.crawl.millis
      }))
    },
    {
      name: `within all of them, ${where}: the main thread collects garbage`,
      yardstick: "all of it",
      unit: "ms",
      better: "lower",
      targets: [],
      rounds: turns.map(({ crawl }) => ({ figure: crawl.collecting, yardstick: crawl.millis }))
    },
    {
      name: `most memory of the process, ${where}`,
      yardstick: "of one that does the parts alone",
      unit: "MB",
      better: "lower",
      targets: [],
      rounds: turns.map(({ crawl, parse }) => ({ figure: crawl.megabytes, yardstick: parse.megabytes }))
    }
  ]

  /** What the servers have spent until now. */
  const look = Effect.gen(function* () {
    // Sessions tell what they have done after a second at the latest.
    yield* Effect.sleep("2 seconds")
    const [row] = yield* sql<{ n: number }>`
      SELECT xact_commit::float8 AS n FROM pg_stat_database WHERE datname = current_database()`
    const ofBroker = (time: (pid: number) => ReturnType<typeof processorTime>) =>
      broker === undefined ? Effect.succeed(Number.NaN) : time(broker)
    return {
      at: yield* Clock.currentTimeMillis,
      transactions: row?.n ?? 0,
      postgres: postgres === undefined ? Number.NaN : yield* processorTime(postgres),
      broker: yield* ofBroker(processorTime),
      compiling: yield* ofBroker((pid) => threadTime(pid, /^C[12] Compiler/))
    }
  })
  /**
   * What the servers spend on documents that come at a rate, what they spend on nothing, and how often they are asked; a round is of so
   * many documents, and the first, of `before`, warms up. One process at a time, since each claims whatever there is.
   */
  const servers = Effect.fnUntraced(function* (topics: string, rate: number, before: number, count: number) {
    const worker = yield* startCostWorker("loops", url, topics, String(rate))
    const spentOn = Effect.fnUntraced(function* (documents: number) {
      const first = yield* look
      const own = yield* worker({ part: "crawl", origin, documents })
      const last = yield* look
      const each = (of: "transactions" | "postgres" | "broker" | "compiling") => (last[of] - first[of]) / documents
      return {
        own: own.millis,
        requests: own.requests,
        ofStream: own.transactions,
        transactions: each("transactions"),
        postgres: each("postgres"),
        broker: each("broker"),
        compiling: each("compiling"),
        secondsOfOne: (last.at - first.at) / 1_000 / documents
      }
    })
    const warming = yield* spentOn(before)
    const counted = yield* Effect.forEach(Array.from({ length: rounds }), () => spentOn(count))
    const first = yield* look
    yield* Effect.sleep(`${idleSeconds - 2} seconds`)
    const last = yield* look
    const idle = (of: "postgres" | "broker") => (1_000 * (last[of] - first[of])) / (last.at - first.at)
    return { warming, counted, postgresIdle: idle("postgres"), brokerIdle: idle("broker") }
  }, Effect.scoped)

  const embedded = yield* on("")
  const onKafka = brokers === undefined ? undefined : yield* on(brokers)
  const where = brokers === undefined ? "topics in PostgreSQL" : "Kafka"
  // The fast ones first: they make more of the broker's code be compiled in the same time.
  const fast = yield* servers(brokers ?? "", 1_000_000, documentsBeforeFast, slowDocuments)
  const slow = yield* servers(brokers ?? "", slowRate, documentsBeforeSlow, slowDocuments)
  type Spent = (typeof slow)["counted"][number]
  const atRate = `at ${slowRate} documents a second, warm, ${where}`
  const ofServers = (
    name: string,
    unit: string,
    of: "own" | "transactions" | "postgres" | "broker" | "requests" | "ofStream",
    target?: number
  ): Figure => ({
    name: `${name}, ${atRate}`,
    yardstick: "as fast as it goes",
    unit,
    better: "lower",
    targets: target === undefined ? [] : [{ of: "figure", bound: target }],
    rounds: slow.counted.map((spent, round) => ({
      figure: spent[of],
      yardstick: fast.counted[round]?.[of] ?? Number.NaN
    }))
  })
  /** Of what a server spends at the slow rate, a part. */
  const part = (name: string, all: (spent: Spent) => number, some: (spent: Spent) => number): Figure => ({
    name: `of it, ${name}`,
    yardstick: "all of it",
    unit: "ms of CPU",
    better: "lower",
    targets: [],
    rounds: slow.counted.map((spent) => ({ figure: some(spent), yardstick: all(spent) }))
  })
  /** While the server warms up. */
  const warmingUp = (name: string, of: "postgres" | "broker"): Figure => ({
    name: `the same of ${name} in the ${documentsBeforeSlow} documents before`,
    yardstick: "once it is warm",
    unit: "ms of CPU",
    better: "lower",
    targets: [],
    rounds: slow.counted.map((spent) => ({ figure: slow.warming[of], yardstick: spent[of] }))
  })
  const figures: ReadonlyArray<Figure> = [
    ...figuresOf(embedded, "topics in PostgreSQL", 12),
    ...(onKafka === undefined ? [] : figuresOf(onKafka, "Kafka", 12)),
    ofServers("the process, a document", "ms of CPU", "own"),
    ofServers("transactions of PostgreSQL, a document", "transactions", "transactions"),
    ...(postgres === undefined
      ? []
      : [
          ofServers("PostgreSQL, a document", "ms of CPU", "postgres", 1.2),
          part(
            "PostgreSQL with nothing to do, in the time of a document",
            ({ postgres }) => postgres,
            ({ secondsOfOne }) => slow.postgresIdle * secondsOfOne
          ),
          warmingUp("PostgreSQL", "postgres")
        ]),
    ...(broker === undefined
      ? []
      : [
          ofServers("requests to the broker, a document", "requests", "requests"),
          ofServers("transactions of the broker, a document", "transactions", "ofStream"),
          ofServers("the broker, a document", "ms of CPU", "broker", 3.4),
          part(
            "the broker with nothing to do, in the time of a document",
            (spent) => spent.broker,
            ({ secondsOfOne }) => slow.brokerIdle * secondsOfOne
          ),
          part(
            "the broker's machine compiles its code",
            (spent) => spent.broker,
            ({ compiling }) => compiling
          ),
          warmingUp("the broker", "broker")
        ])
  ]
  return { figures, postgres: yield* postgresVersion } satisfies GroupResult
})

export const benchCost = Effect.provide(measured, BenchDatabase)
