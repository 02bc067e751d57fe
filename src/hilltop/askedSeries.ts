/**
 * Which series of an answer is the one that was asked for. A server may send others beside it: of other sites, of other data
 * sources, and its quality series, which has the same name.
 */
import type { DataDocument, DataSeries } from "./HilltopDocument.ts"
import { sameName } from "./sameName.ts"

export interface Asked {
  readonly siteName?: string | undefined
  /** The name of the data source. */
  readonly measurementName?: string | undefined
}

/**
 * The series that has the most of what was asked for: the site first, then the name, then that it is no quality or check series.
 * Servers may call a data source otherwise than they list it, so an answer with any series has one; whether it is one of the asked
 * site, `otherSites` says.
 */
export const askedSeries = ({ measurements }: DataDocument, asked: Asked): DataSeries | undefined => {
  let [found, most]: [DataSeries | undefined, number] = [undefined, -1]
  for (const series of measurements) {
    const { name, tsType = "StdSeries" } = series.dataSource
    const fit =
      (asked.siteName !== undefined && sameName(series.siteName, asked.siteName) ? 4 : 0) +
      (name === asked.measurementName ? 2 : 0) +
      (tsType === "StdSeries" ? 1 : 0)
    if (fit > most) [found, most] = [series, fit]
  }
  return found
}

/** The sites that a document is about, where it is about others and not about the one that was asked for. */
export const otherSites = (found: ReadonlyArray<string>, asked: string | undefined): string | undefined =>
  asked === undefined || found.length === 0 || found.some((name) => sameName(name, asked))
    ? undefined
    : `an answer about ${quoted(found[0]!)} where ${quoted(asked)} was asked for`

const quoted = (name: string): string => JSON.stringify(name.slice(0, 100))
/**
 * The measurement of a data source without the data source's name, which stands behind it in brackets where the measurement alone
 * is ambiguous: `Flow [Water Level]` of `Water Level` is `Flow`, and goes on when the brackets come or go.
 */
export const measurementOf = (requestAs: string, dataSourceName: string): string => {
  const suffix = ` [${dataSourceName}]`
  return requestAs.endsWith(suffix) && requestAs.length > suffix.length ? requestAs.slice(0, -suffix.length) : requestAs
}
