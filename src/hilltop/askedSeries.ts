/**
 * Which series of an answer is the one that was asked for. A server may send others beside it: of other sites, of other data
 * sources, and its quality series, which has the same name.
 */
import type { DataDocument, DataSeries } from "./HilltopDocument.ts"

export interface Asked {
  readonly siteName?: string | undefined
  /** The name of the data source. */
  readonly measurementName?: string | undefined
}

/**
 * The series that has the most of what was asked for: the name first, then the site, then that it is no quality or check
 * series. Servers may call either name otherwise than they list it, so an answer with any series has one.
 */
export const askedSeries = ({ measurements }: DataDocument, asked: Asked): DataSeries | undefined => {
  let [found, most]: [DataSeries | undefined, number] = [undefined, -1]
  for (const series of measurements) {
    const { name, tsType = "StdSeries" } = series.dataSource
    const fit =
      (name === asked.measurementName ? 4 : 0) +
      (series.siteName === asked.siteName ? 2 : 0) +
      (tsType === "StdSeries" ? 1 : 0)
    if (fit > most) [found, most] = [series, fit]
  }
  return found
}
