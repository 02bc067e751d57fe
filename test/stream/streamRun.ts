/**
 * Invented documents, what an undisturbed run makes of them, and the rows that a run on PostgreSQL has kept.
 *
 * What an undisturbed run must give is computed by the same stages over memory, one record after another.
 */
import { PgClient } from "@effect/sql-pg"
import { Effect, Layer, Schedule } from "effect"
import { SaxesXmlScanner } from "../../layers/hilltop/SaxesXmlScanner.ts"
import { Loops } from "../../src/running/Loop.ts"
import { KafkaSink, type OutgoingRecord } from "../../src/stream/KafkaSink.ts"
import { MappingStage, mapperGroup } from "../../src/stream/mappingStage.ts"
import { MemoryObservations } from "../../src/stream/MemoryObservations.ts"
import { MemoryTopics } from "../../src/stream/MemoryTopics.ts"
import { ObservationStage, storeGroup } from "../../src/stream/observationStage.ts"
import { streamTopics } from "../../src/stream/streamTopics.ts"
import { TopicReader } from "../../src/stream/TopicReader.ts"
import { dataRecord, observationsTopic, rawTopic, siteListRecord } from "./rawDocuments.ts"

export interface TopicNames {
  readonly rawTopic: string
  readonly observationsTopic: string
}
const topics: TopicNames = { rawTopic, observationsTopic }

/** Made anew for each use: one layer is built once, also where effects that are given it are nested. */
export const stagesOn = (names: TopicNames) =>
  Layer.merge(MappingStage(names), ObservationStage(names)).pipe(
    Layer.provide(Layer.merge(Loops.layer, SaxesXmlScanner))
  )
/** One record after another has nobody to wait for. */
const withoutGathering = Layer.effect(
  TopicReader,
  Effect.map(TopicReader, (reader) =>
    TopicReader.of({ ...reader, consume: (options, handle) => reader.consume({ ...options, gather: 0 }, handle) })
  )
)
const inMemory = stagesOn(topics).pipe(
  Layer.provide(withoutGathering),
  Layer.provideMerge(Layer.merge(MemoryTopics.layer(streamTopics(topics)), MemoryObservations.layer))
)

const names = ["Hutt River", "Awa-a-Tāne", "R26/6804"]
const measurements = ["Flow", "Stage"]

/** Fetch after fetch of a sliding window over the turn of a month; some values are corrected from one to the next. */
export const documents = (councilId: number, fetches: number): ReadonlyArray<OutgoingRecord> =>
  Array.from({ length: fetches }, (_, fetch) => {
    const at = Date.UTC(2026, 1, 10) + fetch * 60_000
    const data = names.flatMap((siteName) =>
      measurements.map((measurementName) => {
        const rows = Array.from({ length: 30 }, (_, n) => {
          const hour = fetch + n
          const time = new Date(Date.UTC(2026, 0, 31, 12) + hour * 3_600_000).toISOString().slice(0, 19)
          return [time, `${hour}.${(fetch + n) % 7 === 0 ? fetch : 0}0`] as const
        })
        return dataRecord({ councilId, at, siteName, measurementName, rows })
      })
    )
    return fetch % 5 === 0 ? [siteListRecord(councilId, at, names), ...data] : data
  }).flat()

/** How many records the groups are behind; a stream that is away counts as one. */
const lagOf = ({ observationsTopic, rawTopic }: TopicNames) =>
  Effect.gen(function* () {
    const reader = yield* TopicReader
    const raw = yield* reader.lag({ topic: rawTopic, group: mapperGroup })
    return raw + (yield* reader.lag({ topic: observationsTopic, group: storeGroup }))
  }).pipe(Effect.orElseSucceed(() => 1))
/** Done when both stages are past all that was sent. */
export const settledOn = (names: TopicNames) =>
  lagOf(names).pipe(
    Effect.repeat({ until: (left) => left === 0, schedule: Schedule.spaced("10 millis") }),
    Effect.timeout("25 seconds")
  )

export interface Row {
  readonly site: string
  readonly measurement: string
  readonly at: number
  readonly value: string
  readonly first: number
  readonly superseded: number | null
}
export const rowsOf = (councilId: number) =>
  PgClient.PgClient.use(
    (sql) => sql<Row>`
      SELECT s.name AS site, m.measurement_name AS measurement, (extract(epoch FROM observed_at) * 1000)::float8 AS at,
        value::text AS value, (extract(epoch FROM first_seen_at) * 1000)::float8 AS first,
        (extract(epoch FROM superseded_at) * 1000)::float8 AS superseded
      FROM observations o JOIN observation_sites_measurements m ON m.id = o.series_id
      JOIN observation_sites s ON s.id = m.site_id
      WHERE s.council_id = ${councilId} ORDER BY s.name COLLATE "C", measurement, observed_at, first_seen_at`
  )
/** The rows and the messages, partition by partition, that an undisturbed run gives. */
export const undisturbed = (councilId: number, records: ReadonlyArray<OutgoingRecord>) =>
  Effect.gen(function* () {
    const sink = yield* KafkaSink
    for (const record of records) {
      yield* sink.send([record])
      yield* settledOn(topics)
    }
    const { series } = yield* MemoryObservations
    const rows = [...names].sort().flatMap((site) =>
      measurements.flatMap((measurement) =>
        (series(councilId, site, measurement)?.versions ?? []).map(({ at, firstSeenAt, supersededAt, value }): Row => ({
          site,
          measurement,
          at,
          value,
          first: firstSeenAt,
          superseded: supersededAt ?? null
        }))
      )
    )
    const messages = (yield* MemoryTopics).records(observationsTopic).map(({ headers, key, value }) => ({
      key,
      value,
      fetched: headers["fetched_at"] ?? ""
    }))
    return { rows, messages }
  }).pipe(Effect.provide(inMemory))
