/**
 * The observations as readers ask for them: sites, their series, and the values of a series as they are known now or were
 * known at a past moment.
 *
 * Values are read a piece at a time, and each piece begins after the last time of the one before: a reader of ten years holds no
 * cursor, no transaction and no memory in the database.
 */
import { Context, type Effect, Schema, SchemaTransformation } from "effect"
import { Instant } from "../domain/Instant.ts"
import { formatNzst } from "../hilltop/Nzst.ts"
import type { Row } from "../stream/SeriesDocument.ts"
import type { Window } from "./paging.ts"
import type { StoreUnavailable } from "../domain/StoreUnavailable.ts"

/** Times of observations are shown with the offset that Hilltop's have, +12:00 all year. */
export const NzstInstant = Schema.toType(Instant).pipe(
  Schema.encodeTo(
    Schema.String.annotate({
      identifier: "NzstInstant",
      format: "date-time",
      description: "RFC 3339 with the offset +12:00, as Hilltop has it all year.",
      examples: ["2026-01-01T00:00:00+12:00"]
    }),
    SchemaTransformation.transform({ decode: (text) => Date.parse(text), encode: formatNzst })
  )
)

export const LocationView = Schema.Union([
  Schema.Struct({
    easting: Schema.Finite,
    northing: Schema.Finite,
    projection: Schema.NullOr(Schema.String),
    projection_inferred: Schema.optionalKey(Schema.Literal(true)).annotate({
      description: "The source names no grid, and by the numbers it can be no other."
    })
  }).annotate({ identifier: "GridLocation", description: "Metres on a grid: NZTM2000, NZMG, or one nobody names." }),
  Schema.Struct({ latitude: Schema.Finite, longitude: Schema.Finite }).annotate({
    identifier: "GeographicLocation",
    description: "Degrees, WGS84."
  })
])
export type LocationView = typeof LocationView.Type

const siteFields = {
  id: Schema.Int,
  council_id: Schema.Int,
  name: Schema.String,
  location: Schema.NullOr(LocationView)
}
export const SiteView = Schema.Struct(siteFields)
export type SiteView = typeof SiteView.Type

export const SeriesView = Schema.Struct({
  id: Schema.Int,
  measurement_name: Schema.String,
  measurement: Schema.NullOr(Schema.String).annotate({
    description:
      "What of `measurement_name` it is: a data source may have several measurements. Null where that is not known."
  }),
  units: Schema.NullOr(Schema.String).annotate({ description: "Values in other units are a series of their own." }),
  listed_units: Schema.optionalKey(
    Schema.String.annotate({ description: "As the source lists it, where its documents say otherwise." })
  ),
  first_observed_at: Schema.NullOr(NzstInstant),
  last_observed_at: Schema.NullOr(NzstInstant),
  /** The newest value of a time that was yet to come when it was seen, where there is any: a mistake of the source, or a forecast. */
  ahead_observed_at: Schema.optionalKey(NzstInstant),
  count: Schema.Int.annotate({ description: "Of the values as they are known now." })
}).annotate({ identifier: "Series" })
export type SeriesView = typeof SeriesView.Type

export const SiteWithSeries = Schema.Struct({ ...siteFields, series: Schema.Array(SeriesView) })
export type SiteWithSeries = typeof SiteWithSeries.Type

/** A value, and since when it was the one known. */
export interface ArchivedObservation extends Row {
  readonly firstSeenAt: Instant
}

export interface SeriesRange {
  readonly seriesId: number
  /** Belongs to the range. */
  readonly from: Instant | undefined
  /** Does not. */
  readonly to: Instant | undefined
  /** What was known then; undefined for what is known now. */
  readonly asOf: Instant | undefined
  /** Only what comes after this time. */
  readonly after: Instant | undefined
  readonly limit: number
}

export class ObservationArchive extends Context.Service<
  ObservationArchive,
  {
    /** In the order of ids. */
    readonly listSites: (window: Window) => Effect.Effect<ReadonlyArray<SiteView>, StoreUnavailable>
    /** With its series by name; nothing when there is no such site. */
    readonly findSite: (id: number) => Effect.Effect<SiteWithSeries | undefined, StoreUnavailable>
    readonly hasSeries: (id: number) => Effect.Effect<boolean, StoreUnavailable>
    /** In order of time, each time once; nothing for a series that is not there. */
    readonly read: (range: SeriesRange) => Effect.Effect<ReadonlyArray<ArchivedObservation>, StoreUnavailable>
  }
>()("penstock/api/ObservationArchive") {}
