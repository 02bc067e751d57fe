/**
 * What a Hilltop server answers: a list of sites, a list of one site's measurements, data, or an error document.
 *
 * Errors come with HTTP 200, so an error document is a kind of answer here, not a failed request. Plain interfaces and no
 * classes but for rows, which are columns: one data document can hold 400,000 of them. A key that is not there was not in the document. Times are epoch
 * milliseconds; values are decimal text, because a float would lose digits that the source gave.
 */
import { Schema } from "effect"
import type { DataColumns } from "./DataColumns.ts"

/** The server answered with an `Error` element; what it says. Asking again soon will mostly bring the same. */
export class HilltopErrorDocument extends Schema.TaggedError<HilltopErrorDocument>()("HilltopErrorDocument", {
  message: Schema.String
}) {}

/** Not the document that was asked for: HTML, truncated, another root, a required part missing. `message` says which. */
export class HilltopParseError extends Schema.TaggedError<HilltopParseError>()("HilltopParseError", {
  message: Schema.String
}) {}

/**
 * A document about another site than the one asked for: the server mixed up its answers, and nothing in it can be trusted to be
 * anybody's. Asking again soon may bring the right one.
 */
export class HilltopOtherSite extends Schema.TaggedError<HilltopOtherSite>()("HilltopOtherSite", {
  message: Schema.String
}) {}

export type SiteLocation =
  | { readonly easting: number; readonly northing: number }
  | { readonly latitude: number; readonly longitude: number }

export interface Site {
  readonly name: string
  /** Null without coordinates that can be read. */
  readonly location: SiteLocation | null
}

export interface SiteList {
  readonly agency?: string
  readonly version?: string
  /** `NZTM2000` or `NZMG`; only sometimes there, and never for latitude and longitude. */
  readonly projection?: string
  readonly sites: ReadonlyArray<Site>
  /** Sites with an empty name: they cannot be asked for, so they are left out. */
  readonly unnamed: number
  /** Sites whose names have characters that could not be read: left out too. Only where there are any. */
  readonly spoilt?: number
}

export interface ListedMeasurement {
  readonly name: string
  /** What to ask for: the name, with ` [DataSource]` where the name alone is ambiguous. */
  readonly requestAs: string
  /** Which column (`I1`, `I2` …) of the data source's rows it is. */
  readonly item: number
  readonly units?: string
  readonly divisor?: number
  readonly format?: string
  /** Computed by the server from other series (`VM`). Rated measurements, such as most flows, are not marked so. */
  readonly virtual: boolean
}

export interface ListedDataSource {
  readonly name: string
  readonly site?: string
  readonly numItems?: number
  /** `StdSeries`, `StdQualSeries`, `CheckSeries` …: a quality series repeats the name of its series. */
  readonly tsType?: string
  readonly dataType?: string
  readonly interpolation?: string
  /** May be later than `to`, and either may be missing: both were seen. */
  readonly from?: number
  readonly to?: number
  readonly measurements: ReadonlyArray<ListedMeasurement>
}

export interface MeasurementList {
  readonly agency?: string
  readonly dataSources: ReadonlyArray<ListedDataSource>
  /** Measurements outside any data source: the answer when no site is asked for. */
  readonly names: ReadonlyArray<{ readonly name: string; readonly units?: string }>
  /** Names with characters that could not be read: what they name is left out. Only where there are any. */
  readonly spoilt?: number
}

export interface DataItem {
  readonly itemNumber: number
  readonly itemName?: string
  /** `I`nteger, `F`loat, `D`ate or `S`tring. */
  readonly itemFormat?: string
  readonly units?: string
  readonly format?: string
  /** Already applied to the values, except in rows of the native form. */
  readonly divisor?: number
}

export interface DataSourceInfo {
  readonly name: string
  readonly numItems?: number
  readonly tsType?: string
  readonly dataType?: string
  readonly interpolation?: string
  /** In document order, which is not always that of their numbers. */
  readonly items: ReadonlyArray<DataItem>
}

/** `<0.002`: below what the laboratory could measure; `>2400`: above it. */
export type Qualifier = "<" | ">"

export interface DataRow {
  readonly observedAt: number
  /** A legal JSON number with the digits of the source. */
  readonly value: string
  readonly qualifier?: Qualifier
  readonly quality?: number
}

/** Rows that were left out, by reason; the first that applies. */
export interface SkippedRows {
  readonly unreadableTime: number
  /** No element for the item, or an empty one. */
  readonly noValue: number
  /** `*`, Hilltop's mark for a missing sample. */
  readonly asterisk: number
  readonly notANumber: number
}

export interface DataSeries {
  readonly siteName: string
  readonly dataSource: DataSourceInfo
  /** The number of the item that the rows hold. */
  readonly item: number
  /** In document order; water quality data may repeat a time. */
  readonly rows: DataColumns
  /** Indices of rows that a gap in the record stands before; the number of rows for a gap at the end. */
  readonly gapsBefore: ReadonlyArray<number>
  readonly skipped: SkippedRows
  /** False for rows of the native form: the item's divisor, if any, is still to be applied. */
  readonly divisorApplied: boolean
}

/** One value of a depth profile. */
export interface DepthRow {
  /** As `value`; in the units of the series. */
  readonly depth: string
  readonly value: string
  readonly qualifier?: Qualifier
}

/** The values of one survey, from the surface down or in whatever order they came. */
export interface DepthProfile {
  readonly siteName: string
  readonly surveyedAt?: number
  readonly rows: ReadonlyArray<DepthRow>
  /** Rows without a depth or a number. */
  readonly skipped: number
}

/** Without measurements when there are no data in the range: that is a valid answer. */
export interface DataDocument {
  readonly agency?: string
  readonly measurements: ReadonlyArray<DataSeries>
  /** Only where there are any. */
  readonly profiles?: ReadonlyArray<DepthProfile>
}
