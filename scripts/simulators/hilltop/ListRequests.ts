/**
 * Answers SiteList and MeasurementList: which sites, and what is measured at them, as descriptions still to be written.
 *
 * `From` and `To` of a DataSource move with the simulated time, so one MeasurementList tells which series have news.
 */
import type { Council, Site } from "./Council.ts"
import type { DataSource, Measurement } from "./DataSource.ts"
import type { ListedMeasurement, ListedSite, ListedSource, MeasurementList, SiteList } from "./HilltopDocuments.ts"
import type { HilltopQuery } from "./HilltopRequests.ts"
import { noiseKey } from "./Noise.ts"
import { firstRow, lastRow } from "./SeriesWorld.ts"
import type { WallTime } from "./WallTime.ts"
import { day, fromParts } from "./WallTime.ts"
import type { World } from "./World.ts"

/** What the council without a projection sends as the location of a site: its latitude and longitude, or nothing. */
export type LatLongLocation = "elements" | "nothing"

const latLong = (site: Site): ListedSite["place"] =>
  site.latLong === undefined
    ? []
    : [
        ["Latitude", site.latLong.latitude],
        ["Longitude", site.latLong.longitude]
      ]

const grid = (site: Site): ListedSite["place"] =>
  site.place === undefined
    ? []
    : [
        ["Easting", site.place.easting],
        ["Northing", site.place.northing]
      ]

const siteFields = (site: Site): ReadonlyArray<readonly [name: string, value: string]> => [
  ["Altitude", String(Math.floor(((noiseKey(site.name, "altitude") >>> 0) / 4_294_967_296) * 600))],
  ["CatchmentArea", (((noiseKey(site.name, "area") >>> 0) / 4_294_967_296) * 90).toFixed(1)],
  ...grid(site),
  ["FirstSynonym", ""],
  ["Inactive", site.endedDaysAgo === undefined ? "False" : "True"],
  ["Comment", ""]
]

/** The fields of `FieldList` or `SiteParameters`, or all where the key was not sent. */
export const siteParameters = (
  site: Site,
  wanted: string | undefined
): ReadonlyArray<readonly [name: string, value: string]> => {
  const names = wanted?.split(",").map((name) => name.trim())
  return siteFields(site).filter(([name]) => names === undefined || names.includes(name))
}

const measures =
  (world: World, council: Council, name: string) =>
  (site: Site): boolean =>
    world
      .sources(council, site)
      .some((source) => source.measurements.some((one) => one.requestAs === name || one.name === name))

export const siteList = (world: World, council: Council, query: HilltopQuery, latLongAs: LatLongLocation): SiteList => {
  const location = query.get("location")
  const measurement = query.get("measurement")
  const parameters = query.get("siteparameters")
  const place = (site: Site): ListedSite["place"] => {
    if (location === "LatLong") return latLong(site)
    if (location !== "Yes") return []
    return council.projection === undefined && latLongAs === "elements" ? latLong(site) : grid(site)
  }
  const sites = council.sites
    .filter((site) => site.listed > 0)
    .filter(measurement === undefined ? () => true : measures(world, council, measurement))
    .flatMap((site): ReadonlyArray<ListedSite> => {
      const one = {
        name: site.name,
        place: place(site),
        parameters: parameters === undefined ? [] : siteParameters(site, parameters)
      }
      return site.listed === 2 ? [one, one] : [one]
    })
  return {
    agency: council.agency,
    version: council.version,
    projection: location === "Yes" ? council.projection : undefined,
    sites,
    crc: council.dialect.crc ? noiseKey(sites.length, council.id) & 0x7fff : undefined
  }
}

interface Extent {
  readonly from: WallTime | undefined
  readonly to: WallTime | undefined
}

const extentOf = (source: DataSource, now: WallTime): Extent => {
  const [first, last] = [firstRow(source.series, now)?.time, lastRow(source.series, now)?.time]
  if (source.extent === "without To") return { from: first, to: undefined }
  // A real server shows a start six days after the end.
  if (source.extent === "reversed" && last !== undefined) return { from: last + 6 * day + 29_160, to: last }
  return { from: first, to: last }
}

const listedMeasurement = (one: Measurement, extent: Extent, start: WallTime): ListedMeasurement => ({
  name: one.name,
  item: one.item,
  isDefault: one.isDefault,
  requestAs: one.requestAs,
  divisor: one.divisor,
  units: one.units,
  pattern: one.pattern,
  group: one.group,
  virtual: one.virtual ? { start: extent.from ?? start, finish: extent.to ?? start } : undefined,
  rating: one.rated ? { first: fromParts(1880, 1, 1) ?? start, last: start + 3 * day } : undefined
})

const listedSource = (site: Site, source: DataSource, now: WallTime): ListedSource => {
  const extent = extentOf(source, now)
  return {
    name: source.name,
    site: site.name,
    numItems: source.numItems,
    tsType: source.tsType,
    dataType: source.dataType,
    interpolation: source.interpolation,
    itemFormat: source.itemFormat,
    from: extent.from,
    to: extent.to,
    sensorGroup: source.sensorGroup,
    indented: source.dataType === "Rain6" && source.measurements.length > 0,
    measurements: source.measurements.map((one) => listedMeasurement(one, extent, source.series.start))
  }
}

export const measurementList = (world: World, council: Council, site: Site, now: WallTime): MeasurementList => ({
  agency: council.agency,
  sources: world.sources(council, site).map((source) => listedSource(site, source, now))
})

/** The names in the file, each once, with the unit it has first. Sixty sites have them all. */
export const measurementNames = (
  world: World,
  council: Council
): ReadonlyArray<readonly [name: string, units: string | undefined]> => {
  const names = new Map<string, string | undefined>()
  for (const site of council.sites.slice(0, 60)) {
    for (const source of world.sources(council, site)) {
      for (const one of source.measurements) if (!names.has(one.requestAs)) names.set(one.requestAs, one.units)
    }
  }
  return [...names]
}
