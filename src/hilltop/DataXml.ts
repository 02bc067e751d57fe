/**
 * Reads a GetData answer: `Hilltop` with a `Measurement` for every series, its `DataSource` and its `Data`.
 *
 * A data source answers with all its items whatever was asked, so the caller says which column is wanted. Rows come in
 * several forms, see DataRows.
 */
import { Result, type Types } from "effect"
import { DataRows } from "./DataRows.ts"
import { DepthProfiles } from "./DepthProfiles.ts"
import { type DocumentReader, wholeNumber } from "./DocumentReader.ts"
import type { DataDocument, DataItem, DataSeries, DataSourceInfo } from "./HilltopDocument.ts"

export interface DataOptions {
  /** The number of the wanted item, from the measurement list. Without it the item called `itemName`, else item 1. */
  readonly item?: number | undefined
  readonly itemName?: string | undefined
}

/** The first one: of a document of which nobody said which item is wanted, nor by which name. */
export const itemUnlessGiven = 1

/**
 * A server may number the one item it sends from 1, whatever its number in the list: an only item is always the wanted
 * one. Several items without the wanted one give rows without a value, which are counted as such.
 */
const chosenItem = ({ items, numItems }: DataSourceInfo, { item, itemName }: DataOptions): number => {
  const [only] = items
  if (only !== undefined && items.length === 1 && (numItems ?? 1) <= 1) return only.itemNumber
  if (only === undefined && numItems === 1) return 1
  return (
    item ?? items.find((info) => itemName !== undefined && info.itemName === itemName)?.itemNumber ?? itemUnlessGiven
  )
}

/** Its values are times: no numbers, whether they are written as a date or in mowsecs. */
const isDates = ({ items }: DataSourceInfo, item: number): boolean =>
  items.find(({ itemNumber }) => itemNumber === item)?.itemFormat === "D"

const describe = (dataSource: Types.Mutable<DataSourceInfo>, element: string, text: string): void => {
  if (element === "TSType") dataSource.tsType = text
  else if (element === "DataType") dataSource.dataType = text
  else if (element === "Interpolation") dataSource.interpolation = text
}

const describeItem = (item: Types.Mutable<DataItem>, element: string, text: string): void => {
  if (element === "ItemName") item.itemName = text
  else if (element === "ItemFormat") item.itemFormat = text
  else if (element === "Units") item.units = text
  else if (element === "Format") item.format = text
  else if (element === "Divisor" && Number.isFinite(Number(text))) item.divisor = Number(text)
}

export const dataReader = (options: DataOptions): DocumentReader<DataDocument> => {
  const measurements: Array<DataSeries> = []
  const document: Types.Mutable<DataDocument> = { measurements }
  let siteName: string | undefined
  let dataSource: (Types.Mutable<DataSourceInfo> & { items: Array<DataItem> }) | undefined
  let item: Types.Mutable<DataItem> | undefined
  let rows: DataRows | undefined
  let inData = false
  const sections = new DepthProfiles(options.item ?? itemUnlessGiven)
  let problem: string | undefined

  const openPart = (element: string, attributes: Readonly<Record<string, string>>, depth: number) => {
    if (depth === 2 && element === "Measurement") {
      siteName = attributes["SiteName"]
      if (siteName === undefined) problem ??= "a Measurement without a SiteName"
      dataSource = rows = undefined
    } else if (siteName === undefined) return
    else if (depth === 3 && element === "DataSource") {
      const name = attributes["Name"]
      if (name === undefined) problem ??= "a DataSource without a Name"
      const numItems = wholeNumber(attributes["NumItems"])
      dataSource = { name: name ?? "", ...(numItems === undefined ? {} : { numItems }), items: [] }
    } else if (depth === 3 && element === "Data") {
      inData = true
      if (dataSource === undefined) problem ??= "a Measurement without a DataSource"
      else if (rows === undefined) {
        const chosen = chosenItem(dataSource, options)
        rows = new DataRows(chosen, attributes["DateFormat"], isDates(dataSource, chosen))
      }
    } else if (depth === 4 && element === "ItemInfo" && dataSource !== undefined) {
      item = { itemNumber: wholeNumber(attributes["ItemNumber"]) ?? dataSource.items.length + 1 }
      dataSource.items.push(item)
    }
  }

  const closeMeasurement = () => {
    // Its sections stand behind it, or in it.
    const isProfile = dataSource?.dataType === "DepthProfile" || sections.profiles.length > 0
    if (dataSource === undefined) problem ??= "a Measurement without a DataSource"
    else if (rows === undefined) problem ??= isProfile ? undefined : "a Measurement without Data"
    else if (siteName !== undefined) {
      const { item, rows: read, gapsBefore, skipped, divisorApplied } = rows
      measurements.push({ siteName, dataSource, item, rows: read.columns(), gapsBefore, skipped, divisorApplied })
    }
    siteName = undefined
  }

  return {
    open: (element, attributes, depth) => {
      if (sections.isOpen) sections.open(element)
      else if (element === "Section" && depth > 1) sections.begin(attributes["SiteName"] ?? siteName, depth)
      else if (!inData) openPart(element, attributes, depth)
      else if (rows !== undefined) {
        if (depth === 5) {
          if (element === "Parameter") rows.parameter(attributes["Name"], attributes["Value"])
        } else if (depth === 4) {
          if (element === "E") rows.begin()
          else if (element === "Gap") rows.gap()
        }
      }
    },
    leaf: (element, text, depth) => {
      if (sections.isOpen) sections.leaf(element, text)
      else if (inData) {
        if (rows === undefined) return
        if (depth === 5) rows.cell(element, text)
        else if (depth === 4 && element === "V") rows.native(text)
      } else if (text !== "") {
        if (depth === 2 && element === "Agency") document.agency = text
        else if (depth === 4 && dataSource !== undefined) describe(dataSource, element, text)
        else if (depth === 5 && item !== undefined) describeItem(item, element, text)
      }
    },
    close: (element, depth) => {
      if (sections.isOpen) sections.close(element, depth)
      else if (depth === 4) {
        if (!inData) item = undefined
        else if (element === "E") rows?.end()
      } else if (depth === 3) inData = false
      else if (depth === 2 && element === "Measurement") closeMeasurement()
    },
    row: (row, depth) => {
      if (rows === undefined || depth !== 4 || !inData || sections.isOpen) return false
      rows.row(row)
      return true
    },
    finish: () => {
      if (problem !== undefined) return Result.fail(problem)
      const { profiles } = sections
      if (profiles.length > 0) return Result.succeed({ ...document, profiles })
      if (measurements.length > 0) return Result.succeed(document)
      return document.agency === undefined
        ? Result.fail("neither an Agency nor a Measurement in it")
        : Result.succeed(document)
    }
  }
}
