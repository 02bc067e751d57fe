/**
 * Observations as people look at them: sites on a map, a series thinned for a picture of it, and what of it was corrected.
 *
 * A picture has at most so many points, of a million values as of a hundred: the least and the greatest of each stretch of time, so
 * that no peak is lost.
 */
import { Context, type Effect, Schema } from "effect"
import type { Instant } from "../domain/Instant.ts"
import type { Qualifier } from "../domain/Observation.ts"
import type { StoreUnavailable } from "../domain/StoreUnavailable.ts"
import { type LocationView, NzstInstant, SiteView, SiteWithSeries } from "./ObservationArchive.ts"
import type { Window } from "./paging.ts"

/** Degrees, computed from the grid where there are none. */
const Wgs84 = Schema.NullOr(Schema.Struct({ latitude: Schema.Finite, longitude: Schema.Finite })).annotate({
  description: "Degrees, computed from the grid where the source has none; null where that cannot be told."
})
export type Wgs84 = typeof Wgs84.Type

export const ListedSite = Schema.Struct({
  ...SiteView.fields,
  wgs84: Wgs84,
  series_count: Schema.Int,
  last_observed_at: Schema.NullOr(NzstInstant)
}).annotate({ identifier: "ListedSite" })
export type ListedSite = typeof ListedSite.Type

export const PlacedSite = Schema.Struct({ ...SiteWithSeries.fields, wgs84: Wgs84 }).annotate({
  identifier: "Site",
  description: "The site with its series by name."
})

const Numbers = Schema.Array(Schema.Finite)
const NumbersOrNull = Schema.Array(Schema.NullOr(Schema.Finite))

export const PlotView = Schema.Struct({
  series: Schema.Struct({
    id: Schema.Int,
    site_id: Schema.Int,
    site_name: Schema.String,
    council_id: Schema.Int,
    measurement_name: Schema.String,
    measurement: Schema.NullOr(Schema.String),
    units: Schema.NullOr(Schema.String),
    first_observed_at: Schema.NullOr(NzstInstant),
    last_observed_at: Schema.NullOr(NzstInstant),
    count: Schema.Int
  }),
  from: NzstInstant,
  to: NzstInstant,
  as_of: Schema.NullOr(NzstInstant),
  thinned: Schema.Boolean,
  bucket_seconds: Schema.NullOr(Schema.Finite),
  values: Schema.Int.annotate({ description: "How many are in the range." }),
  usual_gap_seconds: Schema.NullOr(Schema.Finite).annotate({
    description: "The usual time between two values, where there are enough to tell."
  }),
  t: Numbers.annotate({
    description: "Seconds since 1970: of the value, or of the beginning of the stretch. A row without values is a gap."
  }),
  min: NumbersOrNull,
  max: NumbersOrNull,
  n: Numbers,
  censored: Numbers.annotate({ description: "Values whose truth is below or above them." }),
  corrected: Numbers.annotate({ description: "Versions that were superseded." }),
  quality: NumbersOrNull.annotate({ description: "The lowest code." }),
  known_from: Schema.NullOr(NzstInstant),
  known_to: Schema.NullOr(NzstInstant)
}).annotate({ identifier: "Plot", description: "The picture in columns." })
export type PlotView = typeof PlotView.Type

export interface PlotQuery {
  readonly seriesId: number
  readonly from: Instant | undefined
  readonly to: Instant | undefined
  readonly asOf: Instant | undefined
  readonly points: number
}

export interface ObservationVersion {
  readonly at: Instant
  readonly value: string
  readonly qualifier: Qualifier | undefined
  readonly quality: number | undefined
  readonly firstSeenAt: Instant
  readonly supersededAt: Instant | undefined
}

export interface SiteQuery extends Window {
  readonly council: number | undefined
  /** Found anywhere in the name, whatever the case. */
  readonly name: string | undefined
}

export class ObservationViews extends Context.Service<
  ObservationViews,
  {
    /** By number. */
    readonly sites: (query: SiteQuery) => Effect.Effect<ReadonlyArray<ListedSite>, StoreUnavailable>
    /** Nothing where it cannot be told. */
    readonly wgs84: (location: LocationView | null) => Wgs84
    /** Nothing when there is no such series. */
    readonly plot: (query: PlotQuery) => Effect.Effect<PlotView | undefined, StoreUnavailable>
    /** All versions of so many moments of the range that have one which was superseded, by time. */
    readonly versions: (
      query: Omit<PlotQuery, "asOf" | "points"> & { readonly after: Instant | undefined; readonly limit: number }
    ) => Effect.Effect<ReadonlyArray<ObservationVersion>, StoreUnavailable>
  }
>()("penstock/api/ObservationViews") {}
