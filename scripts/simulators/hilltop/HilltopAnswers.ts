/**
 * From a request to its answer: what a council's server says at a moment, as a description that a fault may still bend.
 *
 * Hilltop's own failures are answers too: status 200 and a document with an `Error`.
 */
import { collectionItems, collectionNames } from "./Collections.ts"
import type { Council } from "./Council.ts"
import type { DataDocument } from "./DataDocument.ts"
import { writeData } from "./DataDocument.ts"
import { answerData } from "./DataRequest.ts"
import type { MeasurementList, SiteList } from "./HilltopDocuments.ts"
import {
  welcomePage,
  writeCollectionList,
  writeMeasurementList,
  writeMeasurementNames,
  writeSiteInfo,
  writeSiteList
} from "./HilltopDocuments.ts"
import type { HilltopQuery } from "./HilltopRequests.ts"
import { requestType } from "./HilltopRequests.ts"
import type { LatLongLocation } from "./ListRequests.ts"
import { measurementList, measurementNames, siteList, siteParameters } from "./ListRequests.ts"
import type { WallTime } from "./WallTime.ts"
import type { World } from "./World.ts"
import { errorDocument } from "./Xml.ts"

export type ContentType = "text/xml" | "text/html"

export type Answer =
  | { readonly _tag: "SiteList"; readonly list: SiteList }
  | { readonly _tag: "MeasurementList"; readonly list: MeasurementList }
  | { readonly _tag: "Data"; readonly document: DataDocument }
  | { readonly _tag: "Error"; readonly text: string }
  | { readonly _tag: "Text"; readonly contentType: ContentType; readonly text: string }

/** An answer as it goes out: its type, and its text in pieces that are made as they are sent. */
export interface WrittenAnswer {
  readonly contentType: ContentType
  readonly pieces: Iterable<string>
}

export interface Question {
  readonly world: World
  readonly council: Council
  readonly query: HilltopQuery
  readonly path: string
  readonly now: WallTime
  readonly latLong: LatLongLocation
}

const xml = (text: string): Answer => ({ _tag: "Text", contentType: "text/xml", text })

const error = (text: string): Answer => ({ _tag: "Error", text })

const answerSiteList = ({ council, latLong, query, world }: Question): Answer => ({
  _tag: "SiteList",
  list: siteList(world, council, query, latLong)
})

const answerMeasurementList = ({ council, now, query, world }: Question): Answer => {
  const siteName = query.get("site")
  if (siteName === undefined) {
    return xml(writeMeasurementNames(council.agency, measurementNames(world, council), query.get("units") === "Yes"))
  }
  const site = world.site(council, siteName)
  if (site !== undefined) return { _tag: "MeasurementList", list: measurementList(world, council, site, now) }
  if (council.dialect.unknownSite === "error") return error("No Measurements available.")
  return { _tag: "MeasurementList", list: { agency: council.agency, sources: [] } }
}

const answerGetData = ({ council, now, query, world }: Question): Answer => {
  const answer = answerData({ world, council, query, now })
  return answer._tag === "Error" ? answer : { _tag: "Data", document: answer.document }
}

const answerCollections = ({ council, world }: Question): Answer =>
  xml(
    writeCollectionList(
      collectionNames.map((name) => ({
        name,
        items: collectionItems(world, council, name).map(({ measurement, site }) => ({
          site: site.name,
          measurement: measurement.requestAs
        }))
      }))
    )
  )

const answerSiteInfo = ({ council, query, world }: Question): Answer => {
  const name = query.get("site") ?? ""
  const site = world.site(council, name)
  if (site === undefined) return error(`No data for site ${name}`)
  return xml(writeSiteInfo(council.agency, site.name, siteParameters(site, query.get("fieldlist"))))
}

/** What the server would say if nothing went wrong. */
export const answer = (question: Question): Answer => {
  const { council, query } = question
  if (query.isEmpty) return { _tag: "Text", contentType: "text/html", text: welcomePage(council.agency) }
  switch (requestType(query)) {
    case "SiteList":
      return answerSiteList(question)
    case "MeasurementList":
      return answerMeasurementList(question)
    case "GetData":
      return answerGetData(question)
    case "CollectionList":
      return answerCollections(question)
    case "SiteInfo":
      return answerSiteInfo(question)
    case undefined:
      return error("Unrecognised request")
  }
}

export const writeAnswer = (written: Answer): WrittenAnswer => {
  switch (written._tag) {
    case "SiteList":
      return { contentType: "text/xml", pieces: [writeSiteList(written.list)] }
    case "MeasurementList":
      return { contentType: "text/xml", pieces: [writeMeasurementList(written.list)] }
    case "Data":
      return { contentType: "text/xml", pieces: writeData(written.document) }
    case "Error":
      return { contentType: "text/xml", pieces: [errorDocument(written.text)] }
    case "Text":
      return { contentType: written.contentType, pieces: [written.text] }
  }
}
