/**
 * Reads a MeasurementList: `HilltopServer` with a `DataSource` for every series, and in it a `Measurement` for every way
 * to ask for it.
 *
 * A list without any DataSource is valid: that is what some servers answer for a site they do not know. What has a name that cannot
 * be read is left out, since it cannot be asked for.
 */
import { Result, type Types } from "effect"
import { type DocumentReader, wholeNumber } from "./DocumentReader.ts"
import type { ListedDataSource, ListedMeasurement, MeasurementList } from "./HilltopDocument.ts"
import { isSpoilt } from "./HilltopText.ts"
import { parseNzst } from "./Nzst.ts"

type Name = MeasurementList["names"][number]

/** What is said about a data source, `undefined` where it cannot be read. */
const describe = (dataSource: Types.Mutable<ListedDataSource>, element: string, text: string): void => {
  const time = element === "From" || element === "To" ? parseNzst(text) : undefined
  const numItems = element === "NumItems" ? wholeNumber(text) : undefined
  if (element === "TSType") dataSource.tsType = text
  else if (element === "DataType") dataSource.dataType = text
  else if (element === "Interpolation") dataSource.interpolation = text
  else if (numItems !== undefined) dataSource.numItems = numItems
  else if (time !== undefined) dataSource[element === "From" ? "from" : "to"] = time
}

const describeMeasurement = (measurement: Types.Mutable<ListedMeasurement>, element: string, text: string): void => {
  // The element alone says it: a virtual measurement is one that has a VM.
  if (element === "VM") measurement.virtual = true
  if (text === "") return
  if (element === "RequestAs") measurement.requestAs = text
  else if (element === "Item") measurement.item = Math.max(1, wholeNumber(text) ?? 1)
  else if (element === "Units") measurement.units = text
  else if (element === "Format") measurement.format = text
  else if (element === "Divisor" && Number.isFinite(Number(text))) measurement.divisor = Number(text)
}

const isReadable = ({ name, requestAs = "" }: { readonly name: string; readonly requestAs?: string }): boolean =>
  !isSpoilt(name) && !isSpoilt(requestAs)

/** The list without what cannot be asked for; nearly every list is whole. */
const readable = (list: MeasurementList): MeasurementList => {
  const [sources, names] = [list.dataSources.filter(isReadable), list.names.filter(isReadable)]
  let spoilt = list.dataSources.length - sources.length + list.names.length - names.length
  const dataSources = sources.map((source) => {
    const measurements = source.measurements.filter(isReadable)
    spoilt += source.measurements.length - measurements.length
    return { ...source, measurements }
  })
  return spoilt === 0 ? list : { ...list, dataSources, names, spoilt }
}

export const measurementListReader = (): DocumentReader<MeasurementList> => {
  const dataSources: Array<ListedDataSource> = []
  const names: Array<Name> = []
  const list: Types.Mutable<MeasurementList> = { dataSources, names }
  let dataSource: (Types.Mutable<ListedDataSource> & { measurements: Array<ListedMeasurement> }) | undefined
  let measurement: Types.Mutable<ListedMeasurement> | undefined
  let loose: Types.Mutable<Name> | undefined
  let otherKind = false
  let problem: string | undefined

  return {
    open: (element, attributes, depth) => {
      const name = attributes["Name"]
      if (depth === 2 && element === "Site") otherKind = true
      if (element !== "Measurement" && element !== "DataSource") return
      if (depth > 3 || (depth === 3 && dataSource === undefined)) return
      if (name === undefined) problem ??= `a ${element} without a Name`
      else if (depth === 2 && element === "DataSource") {
        const site = attributes["Site"]
        dataSource = { name, ...(site === undefined ? {} : { site }), measurements: [] }
        dataSources.push(dataSource)
      } else if (depth === 2) {
        loose = { name }
        names.push(loose)
      } else if (element === "Measurement") {
        measurement = { name, requestAs: name, item: 1, virtual: false }
        dataSource?.measurements.push(measurement)
      }
    },
    leaf: (element, text, depth) => {
      if (depth === 4 && measurement !== undefined) describeMeasurement(measurement, element, text)
      if (text === "") return
      if (depth === 2 && element === "Agency") list.agency = text
      else if (depth === 3 && dataSource !== undefined) describe(dataSource, element, text)
      else if (depth === 3 && loose !== undefined && element === "Units") loose.units = text
    },
    close: (_, depth) => {
      if (depth === 3) measurement = undefined
      if (depth === 2) dataSource = loose = undefined
    },
    finish: () => {
      if (problem !== undefined) return Result.fail(problem)
      if (dataSources.length + names.length > 0) return Result.succeed(readable(list))
      if (otherKind) return Result.fail("a list of sites where a list of measurements was asked for")
      return list.agency === undefined ? Result.fail("neither an Agency nor a DataSource in it") : Result.succeed(list)
    }
  }
}
