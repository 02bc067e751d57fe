/**
 * A message of the observations topic as a record, and back: the fields that readers know make the value, all else travels
 * in headers.
 *
 * So a reader that refuses fields it does not know can read the topic, and the store still learns what exactly was asked for
 * and where, the units, the grid's name or the degrees of a site, when the document was fetched, and of which time it tells what
 * is no longer there.
 */
import { Effect, Option, type Schema } from "effect"
import { inferredGrid } from "../domain/Grid.ts"
import { formatInstant, parseInstant } from "../domain/Instant.ts"
import {
  formatObservationMessage,
  type ObservationMessage,
  observationPartitionKey,
  observationPartitions,
  parseObservationMessage
} from "../domain/Observation.ts"
import type { Coverage } from "./documentCoverage.ts"
import type { OutgoingRecord } from "./KafkaSink.ts"
import type { RawPosition, StoreMessage } from "./ObservationStore.ts"
import { partitionOf } from "./Partitioner.ts"
import type { TopicRecord } from "./TopicReader.ts"

export interface ObservationRecord {
  readonly topic: string
  /** As an object, to be written as JSON. */
  readonly key: object
  readonly message: ObservationMessage
  /** The JSON of the message's observations, where that is written already; the message then holds none. */
  readonly observationsJson?: string | undefined
  /** As the raw message says it. */
  readonly fetchedAt: string
  readonly covers?: Coverage | undefined
  /** Nothing where no raw document leads to it. */
  readonly source?: RawPosition | undefined
  readonly traceparent: string | undefined
}

/** The number of a data source's column, as text. */
export const itemPattern = /^[1-9][0-9]{0,3}$/

type Headers = Readonly<Record<string, string>>

/** The message as its readers know it, and what of it they do not. */
const apart = (message: ObservationMessage): readonly [ObservationMessage, Headers] => {
  if (message.type === "OBSERVATION_DATA") {
    const { item, listedUnits, measurement, source, units, ...known } = message
    return [
      known,
      {
        ...(units === undefined ? {} : { units }),
        ...(listedUnits === undefined ? {} : { listed_units: listedUnits }),
        ...(measurement === undefined ? {} : { measurement }),
        ...(item === undefined ? {} : { item: String(item) }),
        ...(source === undefined ? {} : { source })
      }
    ]
  }
  const { geographicLocation, location, source, ...rest } = message
  const projection = location?.projection
  const inferred = location === null || projection !== undefined ? undefined : inferredGrid(location)
  return [
    { ...rest, location: location && { easting: location.easting, northing: location.northing } },
    {
      ...(source === undefined ? {} : { source }),
      ...(projection === undefined ? {} : { projection }),
      ...(inferred === undefined ? {} : { projection_inferred: inferred }),
      ...(geographicLocation === undefined
        ? {}
        : { latitude: String(geographicLocation.latitude), longitude: String(geographicLocation.longitude) })
    }
  ]
}

/** Records of others may lack it (-1) or have any number. */
const isMoment = (at: number | undefined): at is number => at !== undefined && at > 0 && at <= 8.64e15

export const toObservationRecord = (record: ObservationRecord): OutgoingRecord => {
  const { covers, fetchedAt, key, message, observationsJson, source, topic, traceparent } = record
  const [value, further] = apart(message)
  return {
    topic,
    partition: partitionOf(observationPartitionKey(message), observationPartitions),
    key: JSON.stringify(key),
    value: formatObservationMessage(value, observationsJson),
    headers: {
      fetched_at: fetchedAt,
      ...(source === undefined ? {} : { raw_partition: String(source.partition), raw_offset: String(source.offset) }),
      ...(isMoment(source?.at) ? { raw_at: formatInstant(source.at) } : {}),
      ...further,
      ...(covers === undefined
        ? {}
        : { covers_from: formatInstant(covers.from), covers_until: formatInstant(covers.until) }),
      ...(traceparent === undefined ? {} : { traceparent })
    }
  }
}

const together = (message: ObservationMessage, headers: Headers): ObservationMessage => {
  const {
    item = "",
    latitude = "",
    listed_units: listedUnits,
    longitude = "",
    measurement,
    projection,
    source,
    units
  } = headers
  if (message.type === "OBSERVATION_DATA") {
    return {
      ...(units === undefined ? {} : { units }),
      ...(listedUnits === undefined ? {} : { listedUnits }),
      ...(measurement === undefined ? {} : { measurement }),
      ...(itemPattern.test(item) ? { item: Number(item) } : {}),
      ...(source === undefined ? {} : { source }),
      ...message
    }
  }
  const degrees = { latitude: Number(latitude), longitude: Number(longitude) }
  const isGeographic = latitude !== "" && longitude !== "" && Number.isFinite(degrees.latitude + degrees.longitude)
  return {
    ...(source === undefined ? {} : { source }),
    ...message,
    location: message.location && { ...(projection === undefined ? {} : { projection }), ...message.location },
    ...(isGeographic ? { geographicLocation: degrees } : {})
  }
}

const instantOf = (text: string | undefined) => Option.getOrUndefined(parseInstant(text ?? ""))

const coverageOf = ({ covers_from, covers_until }: Headers): Coverage | undefined => {
  const [from, until] = [instantOf(covers_from), instantOf(covers_until)]
  return from === undefined || until === undefined || until < from ? undefined : { from, until }
}

const sourceOf = ({ raw_at, raw_offset = "", raw_partition = "" }: Headers): RawPosition | undefined => {
  if (!/^\d{1,15}$/.test(raw_offset) || !/^\d{1,9}$/.test(raw_partition)) return undefined
  const at = instantOf(raw_at)
  return { partition: Number(raw_partition), offset: Number(raw_offset), ...(at === undefined ? {} : { at }) }
}

/**
 * The message that a record holds, for the store; fails with `SchemaError` when it holds none. Records of others say
 * nothing of when their document was fetched: they count from when they were appended.
 */
export const fromObservationRecord = (
  record: Pick<TopicRecord, "offset" | "value" | "headers" | "at">
): Effect.Effect<StoreMessage, Schema.SchemaError> =>
  Effect.map(parseObservationMessage(record.value), (message) => ({
    offset: record.offset,
    message: together(message, record.headers),
    seenAt: instantOf(record.headers["fetched_at"]) ?? record.at,
    covers: coverageOf(record.headers),
    source: sourceOf(record.headers)
  }))
