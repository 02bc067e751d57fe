/**
 * A series that only answers under its qualified name, `Rainfall [SCADA Rainfall]`: the server says that the plain name is
 * ambiguous, or names a data source that it has taken it for.
 *
 * The data source that is asked for is the one that was planned. Where that is not known, the one that the server names.
 */
import type { TaskDetails } from "../domain/FetchTask.ts"
import { askedMeasurement, withMeasurement } from "./AskedRange.ts"

const ambiguous = /more than one data source/i
const named = /no data for (.+ \[[^[\]]+\])\s*$/i
const brackets = / \[[^[\]]+\]$/
export const isQualified = (name: string): boolean => brackets.test(name)
export const unqualified = (name: string): string => name.replace(brackets, "")

/** The address that asks by the qualified name; none where that is asked for already, or is not known. */
export const qualifiedUrl = (url: string, { measurementName }: TaskDetails, otherwise?: string): string | undefined => {
  const asked = askedMeasurement(url)
  if (asked === undefined || isQualified(asked)) return undefined
  const name = measurementName === undefined ? otherwise : `${asked} [${measurementName}]`
  return name === undefined ? undefined : withMeasurement(url, name)
}

/** The same where the server's error calls for it. */
export const qualifiedAfter = (error: string, url: string, details: TaskDetails): string | undefined => {
  const other = named.exec(error)?.[1]
  return other !== undefined || ambiguous.test(error) ? qualifiedUrl(url, details, other) : undefined
}
