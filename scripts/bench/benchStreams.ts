/**
 * Topics on Kafka: documents to the broker and back, delays, rest, and memory, of the service's sink and reader (kafkajs)
 * beside `@platformatic/kafka` on the same broker; and how long a document takes to become rows.
 *
 * The broker is a single node on the same machine, so bytes a second are those of clients and broker together.
 */
import { ConfigProvider, Clock, Effect, Layer, Schedule } from "effect"
import { SqlClient } from "effect/sql"
import { EmbeddedTopics } from "../../layers/topics/EmbeddedTopics.ts"
import { KafkaTopics } from "../../layers/kafka/KafkaTopics.ts"
import { PgObservationStore } from "../../layers/observations/PgObservationStore.ts"
import { SaxesXmlScanner } from "../../layers/hilltop/SaxesXmlScanner.ts"
import { rawPartitionKey, rawPartitions, type RawValue } from "../../src/domain/HilltopMessage.ts"
import { formatInstant } from "../../src/domain/Instant.ts"
import { Loops } from "../../src/running/Loop.ts"
import { KafkaSink } from "../../src/stream/KafkaSink.ts"
import { MappingStage } from "../../src/stream/mappingStage.ts"
import { ObservationStage } from "../../src/stream/observationStage.ts"
import { partitionOf } from "../../src/stream/Partitioner.ts"
import { startKafka } from "../kafka/KafkaBroker.ts"
import { BenchDatabase, postgresVersion, temporaryDirectory } from "./BenchPostgres.ts"
import { startWorker } from "./BenchWorker.ts"
import { type Figure, spread } from "./Figure.ts"
import { takeTurns } from "./Measure.ts"
import type { GroupResult } from "./Report.ts"
import { streamWorker } from "./streams/StreamOrder.ts"

const rounds = 5
/** Of one measurement of speed: 30 MB. */
const documents = 48
/** Of the backlog that shows whether memory depends on it: 200 MB, against 30. */
const backlog = 320
const names = { rawTopic: "hilltop_raw", observationsTopic: "observations" }

const documentOf = (n: number, at: number) => {
  const value: RawValue = {
    type: "MEASUREMENT_DATA",
    councilId: 1,
    hilltopBaseUrl: "https://h.example/a.hts",
    at: formatInstant(at),
    siteName: `Site ${n}`,
    measurementName: "Flow",
    yearMonth: "2026-01",
    hilltopUrl: "https://h.example/a.hts",
    xml: `<Hilltop><Agency>A</Agency><Measurement SiteName="Site ${n}"><DataSource Name="Flow" NumItems="1"><TSType>StdSeries</TSType><ItemInfo ItemNumber="1"><ItemName>Flow</ItemName></ItemInfo></DataSource><Data DateFormat="Calendar"><E><T>2026-01-01T00:00:00</T><I1>${n}</I1></E></Data></Measurement></Hilltop>`
  }
  const { hilltopUrl: _, xml: __, ...key } = value
  return {
    topic: names.rawTopic,
    partition: partitionOf(rawPartitionKey(value), rawPartitions),
    key: JSON.stringify(key),
    value: JSON.stringify(value)
  }
}

/** Milliseconds from the broker's acknowledgement of a document until its row is there, at the median of 20. */
const untilRow = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const sink = yield* KafkaSink
  const delays: Array<number> = []
  const seen = (site: string) =>
    sql<{ seen: boolean }>`SELECT EXISTS (
      SELECT FROM observations o JOIN observation_sites_measurements m ON m.id = o.series_id
      JOIN observation_sites s ON s.id = m.site_id WHERE s.council_id = 1 AND s.name = ${site}) AS seen`
  const first = yield* Clock.currentTimeMillis
  for (let n = -2; n < 20; n++) {
    yield* sink.send([documentOf(first + n, first)])
    const from = yield* Clock.currentTimeMillis
    yield* seen(`Site ${first + n}`).pipe(
      Effect.repeat({ until: ([row]) => row?.seen === true, schedule: Schedule.spaced("2 millis") })
    )
    // The first ones wait for the groups to be joined.
    if (n >= 0) delays.push((yield* Clock.currentTimeMillis) - from)
    // A document comes when it comes, not when the one before is done.
    yield* Effect.sleep("37 millis")
  }
  return spread(delays).median
})

const stages = () =>
  Layer.merge(MappingStage(names), ObservationStage(names)).pipe(
    Layer.provide(Layer.mergeAll(Loops.layer, SaxesXmlScanner, PgObservationStore))
  )

const measured = Effect.gen(function* () {
  const directory = `${yield* temporaryDirectory}/kafka`
  const { brokers } = yield* startKafka({ directory, cache: ".penstock/kafka" })
  const topics = [...Array.from({ length: rounds + 1 }, (_, n) => `speed-${n}`), "delay", "idle", "backlog", "short"]
  const start = (client: string) => startWorker(streamWorker, [client, brokers, topics.join(",")])
  const penstock = yield* start("penstock")
  const platformatic = yield* start("platformatic")
  const plain = yield* start("plainKafkajs")
  // Topics are made by the first to send.
  yield* penstock({ task: "produce", topic: "short", group: "", count: documents })
  let unique = 0
  const ask = (
    worker: typeof penstock,
    task: "produce" | "consume" | "delay" | "idle",
    topic: () => string,
    count: number
  ) =>
    Effect.suspend(() => worker({ task, topic: topic(), group: `bench-${unique++}`, count })).pipe(
      Effect.map(({ figure }) => figure)
    )

  let producing = 0
  const speedTopic = () => `speed-${Math.floor(producing++ / 2) % (rounds + 1)}`
  const produced = yield* takeTurns(
    { name: "produce", rounds },
    {
      figure: ask(penstock, "produce", speedTopic, documents),
      yardstick: ask(platformatic, "produce", speedTopic, documents)
    }
  )
  const short = () => "short"
  const consumed = yield* takeTurns(
    { name: "consume", rounds },
    {
      figure: ask(penstock, "consume", short, documents),
      yardstick: ask(platformatic, "consume", short, documents)
    }
  )
  const delayed = yield* takeTurns(
    { name: "delay", rounds },
    {
      figure: ask(penstock, "delay", () => "delay", 40),
      yardstick: ask(platformatic, "delay", () => "delay", 40)
    }
  )
  const rested = yield* takeTurns(
    { name: "idle", rounds: 3, warmUps: 0 },
    {
      figure: ask(penstock, "idle", () => "idle", 5),
      yardstick: ask(platformatic, "idle", () => "idle", 5),
      plain: ask(plain, "idle", () => "idle", 5)
    }
  )

  yield* penstock({ task: "produce", topic: "backlog", group: "", count: backlog })
  const memory = (client: string, topic: string, count: number) =>
    Effect.scoped(
      Effect.gen(function* () {
        const worker = yield* start(client)
        return (yield* worker({ task: "consume", topic, group: `bench-${unique++}`, count })).megabytes
      })
    )
  const remembered = yield* takeTurns(
    { name: "memory", rounds: 2, warmUps: 0 },
    {
      figure: memory("penstock", "backlog", backlog),
      yardstick: memory("penstock", "short", documents),
      other: memory("platformatic", "backlog", backlog)
    }
  )

  const on = (layer: Layer.Layer<Layer.Success<ReturnType<typeof KafkaTopics>>, unknown, SqlClient.SqlClient>) =>
    Effect.provide(
      untilRow,
      Layer.fresh(stages().pipe(Layer.provideMerge(layer))).pipe(
        Layer.provideMerge(ConfigProvider.layer(ConfigProvider.fromEnvRecord({})))
      )
    )
  const stored = yield* takeTurns(
    { name: "rows", rounds: 3, warmUps: 0 },
    {
      figure: on(KafkaTopics([brokers])),
      yardstick: on(EmbeddedTopics)
    }
  )

  const yardstick = "@platformatic/kafka"
  const figures: ReadonlyArray<Figure> = [
    { name: "documents to Kafka", yardstick, unit: "bytes/s", better: "higher", targets: [], rounds: produced },
    { name: "documents from Kafka", yardstick, unit: "bytes/s", better: "higher", targets: [], rounds: consumed },
    { name: "sent until read", yardstick, unit: "ms", better: "lower", targets: [], rounds: delayed },
    { name: "CPU at rest", yardstick, unit: "ms/s", better: "lower", targets: [], rounds: rested },
    {
      name: "CPU at rest",
      yardstick: "kafkajs as it is installed",
      unit: "ms/s",
      better: "lower",
      targets: [{ of: "ratio", bound: 0.5 }],
      rounds: rested.map(({ figure, plain }) => ({ figure, yardstick: plain }))
    },
    {
      name: "most memory with 200 MB to read",
      yardstick: "with 30 MB",
      unit: "MB",
      better: "lower",
      targets: [{ of: "ratio", bound: 1.3 }],
      rounds: remembered
    },
    {
      name: "most memory with 200 MB to read",
      yardstick,
      unit: "MB",
      better: "lower",
      targets: [],
      rounds: remembered.map(({ figure, other }) => ({ figure, yardstick: other }))
    },
    {
      name: "acknowledged until in the table",
      yardstick: "topics in PostgreSQL",
      unit: "ms",
      better: "lower",
      targets: [{ of: "figure", bound: 200 }],
      rounds: stored
    }
  ]
  return { figures, postgres: yield* postgresVersion } satisfies GroupResult
})

export const benchStreams = measured.pipe(Effect.provide(BenchDatabase))
