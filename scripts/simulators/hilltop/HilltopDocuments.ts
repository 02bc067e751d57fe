/**
 * The lists and other small documents, exactly in the server's layout: one element per line, LF, no indentation, a space
 * before the `>` of a listed DataSource, and a site without a place on two lines.
 *
 * Each document is described by plain data first, so that a fault can change what it says before it is written.
 */
import type { WallTime } from "./WallTime.ts"
import { isoText } from "./WallTime.ts"
import { declaration, escapeAttribute, escapeText, escapeUnits, line } from "./Xml.ts"

export interface ListedSite {
  readonly name: string
  /** Elements that stand together on one line: Easting and Northing, or Latitude and Longitude. */
  readonly place: ReadonlyArray<readonly [name: string, value: string]>
  readonly parameters: ReadonlyArray<readonly [name: string, value: string]>
}

export interface SiteList {
  readonly agency: string
  readonly version: string
  readonly projection: string | undefined
  readonly sites: ReadonlyArray<ListedSite>
  readonly crc: number | undefined
}

const siteLines = (site: ListedSite): string => {
  const place = site.place.map(([name, value]) => `<${name}>${value}</${name}>`).join("")
  const parameters = site.parameters.map(([name, value]) => line(name, escapeText(value))).join("")
  return `<Site Name="${escapeAttribute(site.name)}">\n${place === "" ? "" : `${place}\n`}${parameters}</Site>\n`
}

export const writeSiteList = (list: SiteList): string =>
  `${declaration}<HilltopServer>\n${line("Agency", escapeText(list.agency))}${line("Version", list.version)}` +
  `${line("Projection", list.projection)}${list.sites.map(siteLines).join("")}` +
  `${line("CRC", list.crc?.toString())}</HilltopServer>\n`

export interface ListedMeasurement {
  readonly name: string
  readonly item: number
  readonly isDefault: boolean
  readonly requestAs: string
  readonly divisor: number | undefined
  readonly units: string | undefined
  readonly pattern: string | undefined
  readonly group: string | undefined
  readonly virtual: { readonly start: WallTime; readonly finish: WallTime } | undefined
  readonly rating: { readonly first: WallTime; readonly last: WallTime } | undefined
}

export interface ListedSource {
  readonly name: string
  readonly site: string
  readonly numItems: number
  readonly tsType: string
  readonly dataType: string
  readonly interpolation: string
  readonly itemFormat: number
  readonly from: WallTime | undefined
  readonly to: WallTime | undefined
  readonly sensorGroup: string | undefined
  readonly indented: boolean
  readonly measurements: ReadonlyArray<ListedMeasurement>
}

export interface MeasurementList {
  readonly agency: string
  readonly sources: ReadonlyArray<ListedSource>
}

const when = (time: WallTime | undefined): string | undefined => (time === undefined ? undefined : isoText(time))

const measurementLines = (one: ListedMeasurement): string =>
  `<Measurement Name="${escapeAttribute(one.name)}">\n` +
  `${line("Item", String(one.item))}${one.isDefault ? "<DefaultMeasurement />\n" : ""}` +
  `${line("RequestAs", escapeText(one.requestAs))}${line("Divisor", one.divisor?.toString())}` +
  `${line("Units", one.units === undefined ? undefined : escapeUnits(one.units))}${line("Format", one.pattern)}` +
  `${line("MeasurementGroup", one.group)}${one.virtual === undefined ? "" : line("VM", "1")}` +
  `${line("VMStart", when(one.virtual?.start))}${line("VMFinish", when(one.virtual?.finish))}` +
  `${one.rating === undefined ? "" : line("Ratset1", "1")}` +
  `${line("FirstRating", when(one.rating?.first))}${line("LastRating", when(one.rating?.last))}</Measurement>\n`

const sourceLines = (source: ListedSource): string =>
  `<DataSource Name="${escapeAttribute(source.name)}" Site="${escapeAttribute(source.site)}" >\n` +
  `${line("NumItems", String(source.numItems))}${line("TSType", source.tsType)}${line("DataType", source.dataType)}` +
  `${line("Interpolation", source.interpolation)}${line("ItemFormat", String(source.itemFormat))}` +
  `${line("From", when(source.from))}${line("To", when(source.to))}` +
  `${line("SensorGroup", source.sensorGroup)}${source.indented ? line("IndentMeasurements", "1") : ""}` +
  `${source.measurements.map(measurementLines).join("")}</DataSource>\n`

export const writeMeasurementList = (list: MeasurementList): string =>
  `${declaration}<HilltopServer>\n${line("Agency", escapeText(list.agency))}` +
  `${list.sources.map(sourceLines).join("")}</HilltopServer>\n`

/** The names a file knows, without a site; heavy on real servers. */
export const writeMeasurementNames = (
  agency: string,
  names: ReadonlyArray<readonly [name: string, units: string | undefined]>,
  withUnits: boolean
): string => {
  const one = ([name, units]: readonly [string, string | undefined]): string =>
    withUnits && units !== undefined
      ? `<Measurement Name="${escapeAttribute(name)}"><Units>${escapeUnits(units)}</Units></Measurement>\n`
      : `<Measurement Name="${escapeAttribute(name)}" />\n`
  return `${declaration}<HilltopServer>\n${line("Agency", escapeText(agency))}${names.map(one).join("")}</HilltopServer>\n`
}

export interface CollectionItem {
  readonly site: string | undefined
  readonly measurement: string | undefined
}

const element = (name: string, text: string | undefined): string =>
  text === undefined ? "" : `<${name}>${escapeText(text)}</${name}>`

export const writeCollectionList = (
  collections: ReadonlyArray<{ readonly name: string; readonly items: ReadonlyArray<CollectionItem> }>
): string => {
  const item = ({ measurement, site }: CollectionItem): string =>
    `<Item>${element("SiteName", site)}${element("Measurement", measurement)}</Item>\n`
  return (
    `${declaration}<HilltopProject>\n` +
    collections
      .map(
        ({ items, name }) => `<Collection Name="${escapeAttribute(name)}">\n${items.map(item).join("")}</Collection>\n`
      )
      .join("") +
    "</HilltopProject>\n"
  )
}

/** A site that stands alone under its agency, with elements of its own. */
export const writeSiteInfo = (
  agency: string,
  site: string,
  fields: ReadonlyArray<readonly [name: string, value: string]>
): string =>
  `${declaration}<HilltopServer>\n${line("Agency", escapeText(agency))}<Site Name="${escapeAttribute(site)}">\n` +
  `${fields.map(([name, value]) => (value === "" ? `<${name} />\n` : line(name, escapeText(value)))).join("")}` +
  "</Site>\n</HilltopServer>\n"

/** What a browser gets that asks without a query. Not well-formed, as real pages are. */
export const welcomePage = (agency: string): string =>
  `<html><head><title>Hilltop simulator</title></head><body><h1>${escapeText(agency)}</h1>` +
  "<p>This address answers Hilltop requests, such as <code>?Service=Hilltop&Request=SiteList</code>.<br>" +
  "All of its sites and data are invented.</body></html>\n"

/** What the web server, not Hilltop, says about a file that it does not know. */
export const notFoundPage =
  "<html><head><title>404 - File or directory not found.</title></head><body><h2>404 - File or directory not found.</h2>" +
  "<p>The resource you are looking for might have been removed or had its name changed.<br></body></html>\n"
