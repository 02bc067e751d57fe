/**
 * What the world holds, said without Hilltop's XML: the other side of "was what is stored also true?".
 *
 * It takes the same path as GetData down to the rows and no further, so a mistake in writing or reading documents shows.
 */
import type { Council, Site } from "./Council.ts"
import type { DataSource, Measurement } from "./DataSource.ts"
import { rowsBetween } from "./SeriesWorld.ts"
import { offsetText, toEpochMillis, type WallTime } from "./WallTime.ts"
import type { World } from "./World.ts"

export interface ExpectedRow {
  /** `2023-08-30T00:00:00+12:00` */
  readonly observedAt: string
  /** Milliseconds since 1970. */
  readonly at: number
  /** As it was sent: `12.50`, `<0.002`, `*`. */
  readonly value: string
  /** The code that a row of laboratory results carries, or that ShowQuality would show. */
  readonly quality: number | undefined
}

/** A series as a test wants to know it. */
export interface SeriesFacts {
  readonly dataSource: string
  readonly tsType: DataSource["tsType"]
  readonly dataType: string
  readonly measurement: string
  readonly requestAs: string
  /** The column that holds it, counted from 1. */
  readonly item: number
  readonly units: string | undefined
  readonly virtual: boolean
  readonly rated: boolean
}

export interface SiteFacts {
  readonly councilId: number
  readonly name: string
  readonly kind: Site["kind"]
  readonly listed: Site["listed"]
  /** Absent where the council's list shows none, or no grid. */
  readonly location: { readonly easting: number; readonly northing: number } | undefined
  readonly alive: boolean
  /** Every Measurement of every DataSource but the quality series, which have none. */
  readonly series: ReadonlyArray<SeriesFacts>
}

const seriesFacts = (source: DataSource, one: Measurement): SeriesFacts => ({
  dataSource: source.name,
  tsType: source.tsType,
  dataType: source.dataType,
  measurement: one.name,
  requestAs: one.requestAs,
  item: one.item,
  units: one.units,
  virtual: one.virtual,
  rated: one.rated
})

export const siteFacts = (world: World, council: Council, site: Site): SiteFacts => ({
  councilId: council.id,
  name: site.name,
  kind: site.kind,
  listed: site.listed,
  location:
    site.place === undefined
      ? undefined
      : { easting: Number(site.place.easting), northing: Number(site.place.northing) },
  alive: site.endedDaysAgo === undefined,
  series: world.sources(council, site).flatMap((source) => source.measurements.map((one) => seriesFacts(source, one)))
})

/** The rows of `[from, to]` as they are known at `now`; undefined where no site has a series of this name. */
export const expectedRows = (
  world: World,
  siteName: string,
  requestAs: string,
  range: { readonly from: WallTime; readonly to: WallTime; readonly now: WallTime }
): ReadonlyArray<ExpectedRow> | undefined => {
  // No two councils share the name of a site.
  const council = world.councils.find((one) => world.site(one, siteName) !== undefined)
  const site = council === undefined ? undefined : world.site(council, siteName)
  if (council === undefined || site === undefined) return undefined
  const found = world.resolve(council, site, requestAs, "StdSeries")
  if (found._tag !== "Found") return undefined
  const column = (found.measurement?.item ?? 1) - 1
  return Array.from(rowsBetween(found.series, range.from, range.to, range.now), (row) => ({
    observedAt: offsetText(row.time),
    at: toEpochMillis(row.time),
    value: row.items[column] ?? "",
    quality: row.quality
  }))
}
