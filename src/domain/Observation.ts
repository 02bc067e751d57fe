/**
 * Messages of the observations topic: where a site lies, and what was observed there in a month.
 *
 * A value keeps the digits the source gave. They travel as JSON numbers of any length, so they are text on our side
 * and are written with `JSON.rawJSON`; reading them needs the same care (`parseObservationMessage`).
 */
import { Effect, Schema } from "effect"

/** Metres on the grid that the server names (NZMG, NZTM2000), where it names one. */
export const GridLocation = Schema.Struct({
  easting: Schema.Finite,
  northing: Schema.Finite,
  projection: Schema.optional(Schema.String)
})
export type GridLocation = typeof GridLocation.Type

/** Degrees, WGS84. */
export const GeographicLocation = Schema.Struct({ latitude: Schema.Finite, longitude: Schema.Finite })
export type GeographicLocation = typeof GeographicLocation.Type

/** A censored value (`<0.002`) keeps its number and says on which side the truth lies. */
export const Qualifier = Schema.Literals(["<", ">"])
export type Qualifier = typeof Qualifier.Type

export const decimalPattern = /^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?$/

export const Observation = Schema.Struct({
  /** RFC 3339 with the fixed offset +12:00. */
  observedAt: Schema.String,
  /** A JSON number as text, with the digits the source gave. */
  value: Schema.String.check(Schema.isPattern(decimalPattern, { message: "must be a decimal number" })),
  qualifier: Schema.optional(Qualifier),
  quality: Schema.optional(Schema.Int)
})
export type Observation = typeof Observation.Type

export const SiteDetails = Schema.Struct({
  type: Schema.Literal("SITE_DETAILS"),
  councilId: Schema.Int,
  siteName: Schema.String,
  location: Schema.NullOr(GridLocation),
  /** Where the server gives degrees instead of a grid; `location` is then null, as readers of old expect. */
  geographicLocation: Schema.optional(GeographicLocation),
  /** The address of the server that said it. */
  source: Schema.optional(Schema.String)
})
export type SiteDetails = typeof SiteDetails.Type

export const ObservationData = Schema.Struct({
  type: Schema.Literal("OBSERVATION_DATA"),
  councilId: Schema.Int,
  siteName: Schema.String,
  measurementName: Schema.String,
  /** What of the data source was asked for, and in which of its columns: two measurements of one data source are two series. */
  measurement: Schema.optional(Schema.String),
  item: Schema.optional(Schema.Int),
  /** As the document has them, else as the list does. */
  units: Schema.optional(Schema.String),
  /** As the list has them, where the document says otherwise. */
  listedUnits: Schema.optional(Schema.String),
  /** The address of the server that said it: another one of the council may carry the same series. */
  source: Schema.optional(Schema.String),
  observations: Schema.Array(Observation)
})
export type ObservationData = typeof ObservationData.Type

export const ObservationMessage = Schema.Union([SiteDetails, ObservationData])
export type ObservationMessage = typeof ObservationMessage.Type

/** Partitions of the observations topic, and what a partition is computed from: a site's messages stay in order. */
export const observationPartitions = 64
export const observationPartitionKey = (message: { readonly councilId: number; readonly siteName: string }): string =>
  `${message.councilId}#${message.siteName}`

/** Written as JSON without a look at each character: a time as the formats of ours have it. */
const plainTime = /^[0-9T:.+Z-]+$/

/** What `JSON.stringify` would make of it with `JSON.rawJSON` for the value, which refuses what is no number. */
const observationJson = ({ observedAt, qualifier, quality, value }: Observation): string => {
  const time = plainTime.test(observedAt) ? `"${observedAt}"` : JSON.stringify(observedAt)
  const number = decimalPattern.test(value) ? value : JSON.stringify(JSON.rawJSON(value))
  const sign = qualifier === undefined ? "" : `,"qualifier":"${qualifier}"`
  return `{"observedAt":${time},"value":${number}${sign}${quality === undefined ? "" : `,"quality":${quality}`}}`
}

/**
 * The message as JSON, each value a number with all its digits. Observations are written one by one, in a third of the time that
 * `JSON.stringify` takes for as many objects with a `JSON.rawJSON` in each. Where their JSON is `written` already, that is taken.
 */
export const formatObservationMessage = (message: ObservationMessage, written?: string): string => {
  if (message.type === "SITE_DETAILS") return JSON.stringify(message)
  const { observations, ...about } = message
  const list = written ?? `[${observations.map(observationJson).join(",")}]`
  return `${JSON.stringify(about).slice(0, -1)},"observations":${list}}`
}

const decodeMessage = Schema.decodeUnknownEffect(ObservationMessage)
const fromJson = Schema.decodeUnknownEffect(Schema.fromJsonString(Schema.Unknown))

/**
 * Reads a message, keeping each value's digits as text; fails with `SchemaError` on anything else. Messages of ours, which
 * carry no spaces, are read in half the time that a reviver takes.
 */
export const parseObservationMessage = (text: string): Effect.Effect<ObservationMessage, Schema.SchemaError> =>
  fromJson(text.replaceAll(plainValue, '"value":"$1"')).pipe(
    Effect.flatMap(decodeMessage),
    Effect.catch(() => Effect.flatMap(fromJson(text), () => decodeMessage(parseKeepingDigits(text))))
  )

/** Within a string the quotes would be escaped, so this finds numbers only. */
const plainValue = /"value":(-?[0-9][0-9.eE+-]*)/g

// ES2025's `JSON.rawJSON` and the reviver's `source` are in Node 24 and Deno 2; TypeScript's library lacks them.
declare global {
  interface JSON {
    rawJSON(text: string): object
    parse(
      text: string,
      reviver: (key: string, value: unknown, context: { readonly source?: string }) => unknown
    ): unknown
  }
}

const parseKeepingDigits = (text: string): unknown =>
  JSON.parse(text, (key: string, value: unknown, context: { readonly source?: string }) =>
    key === "value" && typeof value === "number" && context.source !== undefined ? context.source : value
  )
