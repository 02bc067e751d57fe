/**
 * Reads the query of a Hilltop request as the server does, which is not as web servers do.
 *
 * Keys are taken in any case, values exactly as they are. A `+` is a plus: a client that writes `Hutt+River` asks for a
 * site of that name. An escape that is not valid stays as it was written.
 */
import { Option } from "effect"

export interface HilltopQuery {
  /** The value of a key given in lower case, or undefined where it was not sent or is empty. */
  readonly get: (key: string) => string | undefined
  /** Whether there was a query at all; without one the server answers a web page. */
  readonly isEmpty: boolean
}

const decode = Option.liftThrowable(decodeURIComponent)

export const decodePercent = (text: string): string => Option.getOrElse(decode(text), () => text)

/** The path as it was sent, its query, and the path without escapes and double slashes. */
export const splitUrl = (url: string): { readonly path: string; readonly query: string } => {
  const mark = url.indexOf("?")
  const path = mark < 0 ? url : url.slice(0, mark)
  return { path: decodePercent(path).replace(/\/{2,}/g, "/"), query: mark < 0 ? "" : url.slice(mark + 1) }
}

export const readQuery = (query: string): HilltopQuery => {
  const values = new Map<string, string>()
  for (const part of query.split("&")) {
    if (part === "") continue
    const equals = part.indexOf("=")
    const key = decodePercent(equals < 0 ? part : part.slice(0, equals)).toLowerCase()
    if (!values.has(key)) values.set(key, equals < 0 ? "" : decodePercent(part.slice(equals + 1)))
  }
  return {
    get: (key) => values.get(key) || undefined,
    isEmpty: values.size === 0
  }
}

/** The kinds of request that are answered; statistics and faults speak of them by these names. */
export const requestTypes = ["SiteList", "MeasurementList", "GetData", "CollectionList", "SiteInfo"] as const

export type RequestType = (typeof requestTypes)[number]

/** What is asked for, or undefined where the service is not Hilltop or the request none that is known. */
export const requestType = (query: HilltopQuery): RequestType | undefined =>
  query.get("service") === "Hilltop" ? requestTypes.find((type) => type === query.get("request")) : undefined
