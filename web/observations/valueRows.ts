/** The values of a series with all their digits: as CSV, since JSON's numbers lose those beyond the fifteenth in a browser. */
import { askFor, withQuery } from "../asking/ask.ts"

export interface ValueRow {
  readonly observedAt: string
  readonly value: string
  readonly qualifier: string
  readonly quality: string
  readonly firstSeenAt: string
}

export interface ValueRange {
  readonly from: string | undefined
  readonly to: string | undefined
  readonly as_of: string | undefined
}

export const csvPath = (
  series: number,
  range: ValueRange,
  page: { readonly limit?: number; readonly cursor?: string | undefined } = {}
): string => withQuery(`observation/series/${series}`, { ...range, ...page })

/** None of its columns holds a comma. */
const rowOf = (line: string): ValueRow => {
  const [observedAt = "", value = "", qualifier = "", quality = "", firstSeenAt = ""] = line.split(",")
  return { observedAt, value, qualifier, quality, firstSeenAt }
}

export const readRows = async (path: string, signal: AbortSignal): Promise<ReadonlyArray<ValueRow>> => {
  const text = await (await askFor(path, { accept: "text/csv", signal })).text()
  return text
    .split(/\r?\n/)
    .slice(1)
    .filter((line) => line !== "")
    .map(rowOf)
}
