/**
 * Messages of the raw topic: a document as a Hilltop server sent it, and under which key.
 *
 * MEASUREMENT_DATA_LATEST is called MEASUREMENT_DATA here too: a reader need not know how it was asked for. The key
 * carries the time of the fetch, so that a compacting topic keeps every version.
 */
import { Schema } from "effect"

const sitesListKey = {
  type: Schema.Literal("SITES_LIST"),
  councilId: Schema.Int,
  hilltopBaseUrl: Schema.String,
  at: Schema.String
}
const measurementsListKey = {
  type: Schema.Literal("MEASUREMENTS_LIST"),
  councilId: Schema.Int,
  hilltopBaseUrl: Schema.String,
  at: Schema.String,
  siteName: Schema.String
}
const measurementDataKey = {
  type: Schema.Literal("MEASUREMENT_DATA"),
  councilId: Schema.Int,
  hilltopBaseUrl: Schema.String,
  at: Schema.String,
  siteName: Schema.String,
  measurementName: Schema.String,
  /** `2023-08`, the month of the first observation. */
  yearMonth: Schema.String,
  /** What was asked for, where several measurements of the data source are: topics are compacted by key. */
  measurement: Schema.optional(Schema.String)
}
const document = { hilltopUrl: Schema.String, xml: Schema.String }

export const RawKey = Schema.Union([
  Schema.Struct(sitesListKey),
  Schema.Struct(measurementsListKey),
  Schema.Struct(measurementDataKey)
])
export type RawKey = typeof RawKey.Type

export const RawValue = Schema.Union([
  Schema.Struct({ ...sitesListKey, ...document }),
  Schema.Struct({ ...measurementsListKey, ...document }),
  Schema.Struct({ ...measurementDataKey, ...document })
])
export type RawValue = typeof RawValue.Type
/** What a raw message of data says beside its document. */
export type RawDataAbout = Omit<Extract<RawValue, { readonly type: "MEASUREMENT_DATA" }>, "xml"> & {
  readonly xml?: string | undefined
}

/** Partitions of the raw topic, and what its partition is computed from. */
export const rawPartitions = 16
export const rawPartitionKey = (message: { readonly councilId: number; readonly hilltopBaseUrl: string }): string =>
  `${message.councilId}#${message.hilltopBaseUrl}`
