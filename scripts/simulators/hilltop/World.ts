/**
 * The simulated world: the councils, what stands at their sites, and which series a name asks for.
 *
 * Pure but for a cache: a site's catalogue is made when it is first asked for, so that thousands of sites cost nothing at
 * the start. The only thing outside that matters is the moment, which every question brings along.
 */
import type { Council, Site } from "./Council.ts"
import { makeCouncils } from "./Council.ts"
import type { Series } from "./SeriesWorld.ts"
import type { DataSource, Item, Measurement, TsType, WorldSettings } from "./DataSource.ts"
import { siteCatalogue } from "./SiteCatalogue.ts"

/** What a Measurement's name turned out to mean at a site. */
export type Resolved =
  | {
      readonly _tag: "Found"
      readonly source: DataSource
      readonly series: Series
      readonly items: ReadonlyArray<Item>
      /** Absent where the whole DataSource was asked for. */
      readonly measurement: Measurement | undefined
    }
  | { readonly _tag: "Ambiguous" }
  | { readonly _tag: "Unknown" }

export interface World {
  readonly settings: WorldSettings
  readonly councils: ReadonlyArray<Council>
  /** A site by its exact name, listed or not. */
  readonly site: (council: Council, name: string) => Site | undefined
  readonly sources: (council: Council, site: Site) => ReadonlyArray<DataSource>
  readonly resolve: (council: Council, site: Site, measurement: string, tsType: TsType) => Resolved
}

const found = (source: DataSource, measurement: Measurement | undefined): Resolved => ({
  _tag: "Found",
  source,
  measurement,
  series: measurement?.series ?? source.series,
  items: measurement?.items ?? source.items
})

/** `Rainfall [SCADA Rainfall]`: the Measurement, and the DataSource it is wanted from. */
const bracketed = /^(.*) \[([^\]]*)\]$/s

const resolveIn = (sources: ReadonlyArray<DataSource>, name: string, tsType: TsType): Resolved => {
  if (tsType === "StdQualSeries") {
    const parts = bracketed.exec(name)
    // Asked by the name of the DataSource, of a Measurement in it, or of both.
    const of = sources.find((source) => source.measurements.some((one) => one.requestAs === name))
    const source = sources.find(
      (one) => one.tsType === tsType && (one.name === name || one.name === parts?.[2] || one.name === of?.name)
    )
    return source === undefined ? { _tag: "Unknown" } : found(source, undefined)
  }
  const candidates = sources
    .filter((source) => source.tsType !== "StdQualSeries")
    .flatMap((source) => source.measurements.map((measurement) => ({ source, measurement })))
  const exact = candidates.find(({ measurement }) => measurement.requestAs === name)
  if (exact !== undefined) return found(exact.source, exact.measurement)
  const parts = bracketed.exec(name)
  if (parts !== null) {
    const both = candidates.find(
      ({ measurement, source }) => measurement.name === parts[1] && source.name === parts[2] && source.tsType === tsType
    )
    if (both !== undefined) return found(both.source, both.measurement)
  }
  // Without brackets only a default answers; several without a default are an error of their own.
  return { _tag: candidates.some(({ measurement }) => measurement.name === name) ? "Ambiguous" : "Unknown" }
}

export const makeWorld = (
  settings: WorldSettings & { readonly councilCount: number; readonly sitesPerCouncil: number }
): World => {
  const { archive, councilCount, seed, sitesPerCouncil } = settings
  const councils = makeCouncils(seed, councilCount, sitesPerCouncil, archive?.endedDaysAgo)
  const byName = new Map(
    councils.map((council) => [council.id, new Map(council.sites.map((site) => [site.name, site]))])
  )
  const catalogues = new Map<Site, ReadonlyArray<DataSource>>()
  const sources = (council: Council, site: Site): ReadonlyArray<DataSource> => {
    const known = catalogues.get(site)
    if (known !== undefined) return known
    const made = siteCatalogue(settings, council, site)
    catalogues.set(site, made)
    return made
  }
  return {
    settings,
    councils,
    site: (council, name) => byName.get(council.id)?.get(name),
    sources,
    resolve: (council, site, measurement, tsType) => resolveIn(sources(council, site), measurement, tsType)
  }
}
