/**
 * The sample documents under `test/samples`, byte for byte: each at `/samples/<folder>/<file>`, and some as the answers of
 * an `.hts` path, so that real responses go through a whole crawl.
 *
 * Such a path answers every site alike, by the name it was asked by: what the samples say about names does not fit together, as
 * they are of three different servers, and an answer about another site is none.
 */
import { Effect, FileSystem, Path } from "effect"
import type { HilltopQuery } from "./HilltopRequests.ts"
import { requestType } from "./HilltopRequests.ts"
import { escapeAttribute } from "./Xml.ts"

/** The files that a `.hts` path answers with, by request and, for GetData, by measurement. */
export interface SampleServer {
  readonly councilId: number
  readonly measurementNames: ReadonlyArray<string>
  readonly siteList: string
  readonly measurementList: string
  readonly data: string
  readonly dataOf?: Readonly<Record<string, string>>
}

export const defaultSampleServers: Readonly<Record<string, SampleServer>> = {
  "/eop.hts": {
    councilId: 911,
    measurementNames: ["Rainfall", "SCADA Rainfall"],
    siteList: "eop-mit/SitesResponse-list.xml",
    measurementList: "eop-mit/MeasurementsResponse-list.xml",
    data: "eop-mit/MeasurementValuesResponse.xml"
  },
  "/thecolab.hts": {
    councilId: 912,
    measurementNames: ["Water Level", "Stage"],
    siteList: "thecolab-mit-synthetic/hilltop-site-list.xml",
    measurementList: "thecolab-mit-synthetic/hilltop-measurement-list.xml",
    data: "thecolab-mit-synthetic/hilltop-get-data.xml"
  },
  "/synthetic.hts": {
    councilId: 913,
    measurementNames: [
      "Water Level",
      "Stage",
      "Rainfall",
      "SCADA Rainfall",
      "Water Temperature",
      "Wind Direction",
      "Water Meter Volume",
      "E. coli <CFU>",
      "WQ Sample",
      "Gauging Results"
    ],
    siteList: "synthetic/sitelist-location-yes.xml",
    measurementList: "synthetic/measurementlist-site-all-variants.xml",
    data: "synthetic/getdata-stage-5min.xml",
    dataOf: {
      "Rainfall [Rainfall]": "synthetic/getdata-no-data-agency-only.xml",
      "Rainfall [SCADA Rainfall]": "synthetic/getdata-dateonly-total.xml",
      "Water Temperature": "synthetic/getdata-mowsecs-E.xml",
      "Wind Direction": "synthetic/getdata-empty-data-element.xml",
      "Water Meter Volume": "synthetic/getdata-gap.xml",
      "E. coli <CFU>": "synthetic/getdata-wqdata-censored.xml",
      "WQ Sample": "synthetic/error-no-data-for-site.xml",
      "Stage [Gauging Results]": "synthetic/getdata-gauging-results-multi-item.xml",
      "Flow [Gauging Results]": "synthetic/getdata-gauging-results-multi-item.xml"
    }
  }
}

export interface SampleFile {
  readonly contentType: string
  readonly bytes: Uint8Array
}

const contentTypes: Readonly<Record<string, string>> = {
  ".xml": "text/xml",
  ".json": "application/json",
  ".html": "text/html"
}

/** Which file a sample server answers with; undefined for a request that it has no sample of. */
export const sampleFor = (server: SampleServer, query: HilltopQuery): string | undefined => {
  switch (requestType(query)) {
    case "SiteList":
      return server.siteList
    case "MeasurementList":
      return server.measurementList
    case "GetData":
      return server.dataOf?.[query.get("measurement") ?? ""] ?? server.data
    default:
      return undefined
  }
}

/** The sample with the site that was asked for in place of the first that it is about. */
export const aboutSite = (sample: Uint8Array, site: string | undefined): Uint8Array => {
  if (site === undefined) return sample
  const text = new TextDecoder().decode(sample)
  const own = /\sSite(?:Name)?="([^"]*)"/.exec(text)?.[1]
  const asked = escapeAttribute(site)
  if (own === undefined || own === asked) return sample
  return new TextEncoder().encode(
    text.replaceAll(/(\sSite(?:Name)?=")([^"]*)"/g, (whole, before: string, name: string) =>
      name === own ? `${before}${asked}"` : whole
    )
  )
}

/** Reads a sample by its folder and file; undefined where there is none. A file is read once. */
export const makeSamples = Effect.fnUntraced(function* (directory: string | undefined) {
  const files = yield* FileSystem.FileSystem
  const paths = yield* Path.Path
  const root = directory ?? (yield* Effect.orDie(paths.fromFileUrl(new URL("../../../test/samples", import.meta.url))))
  const known = new Map<string, SampleFile>()
  return Effect.fnUntraced(function* (name: string) {
    const read = known.get(name)
    // One folder and one file, so that nothing outside can be named.
    if (read !== undefined || !/^[\w-]+\/\w[\w.-]*$/.test(name)) return read
    const bytes = yield* Effect.option(files.readFile(paths.join(root, name)))
    if (bytes._tag === "None") return undefined
    const sample = { contentType: contentTypes[paths.extname(name)] ?? "text/plain", bytes: bytes.value }
    known.set(name, sample)
    return sample
  })
})

export type Samples = Effect.Success<ReturnType<typeof makeSamples>>
