/**
 * The addresses a Hilltop server is asked at, built from a source's `hts_url`.
 *
 * Two encodings meet here. Names (of sites and measurements) are raw text, so every `%` in them is encoded. An `hts_url`
 * comes from an operator, encoded or not, so its escapes are kept and only what could not stand in an address is encoded.
 * A space is always `%20`: Hilltop does not read `+` as a space, and answers the wrong form with nothing instead of an error.
 */
import { Schema } from "effect"
import { formatHilltopTime, monthBounds } from "./Nzst.ts"

const PARTS = /^(https?:\/\/)([^/?#\\]+)(\/[^?#]*)?(?:\?([^#]*))?(?:#.*)?$/i

/** Characters, as it is written and as it is asked; there must be room for names behind it. */
const longest = 1_000
const tooLong = `hts_url must not be longer than ${longest} characters`

/** A parameter of ours: two of them in one address, and the server answers the wrong one. */
const isOfRequest = (parameter: string): boolean =>
  /^(?:service|request)(?:=|$)/i.test(
    parameter.replaceAll(/%[0-9A-Fa-f]{2}/g, (hex) => String.fromCharCode(Number.parseInt(hex.slice(1), 16)))
  )

const fault = (text: string): string | undefined => {
  const trimmed = text.trim()
  // First: what follows takes its time with a long text.
  if (trimmed.length > longest) return tooLong
  // oxlint-disable-next-line no-control-regex -- the URL parser would drop tabs and line ends without a word
  if (/[\u0000-\u001f\u007f]/.test(trimmed)) return "hts_url must not contain control characters"
  if (!PARTS.test(trimmed) || !URL.canParse(trimmed)) return "hts_url must be an http:// or https:// address"
  const { username, password } = new URL(trimmed)
  // It would be stored, logged and published with every message.
  if (username !== "" || password !== "") return "hts_url must not contain a user name or password"
  const { base, query } = partsOf(trimmed)
  if (query.split("&").some(isOfRequest)) {
    return `hts_url must be the address of the Hilltop file alone (${base}), without the Service and Request of a query`
  }
  return base.length + query.length > longest ? tooLong : undefined
}

/** The address of a Hilltop file, such as `https://hilltop.example.nz/data.hts`, as the operator wrote it. */
export const HtsUrl = Schema.String.annotate({
  description:
    "The address of the Hilltop file, http or https: at most 1000 characters, none of them a control character, without user name, password, `Service` and `Request`.",
  examples: ["https://hilltop.example.nz/data.hts"]
})
  .check(Schema.makeFilter(fault, { expected: "an http(s) address" }))
  .pipe(Schema.brand("HtsUrl"))
export type HtsUrl = typeof HtsUrl.Type

const BARE = /%(2F|3F|3A|40|24|2C|3B)/g

/** A name for use in a query. Slashes, colons and the like stay bare; a lone surrogate becomes U+FFFD. */
export const encodeName = (name: string): string =>
  encodeURIComponent(name.toWellFormed()).replaceAll(BARE, (escape) => decodeURIComponent(escape))

/** Encodes what may not stand in an address, and leaves escapes that are already there. */
const encodeRest = (text: string): string =>
  text
    .toWellFormed()
    .replaceAll(/%(?![0-9A-Fa-f]{2})|[^A-Za-z0-9\-._~/?:@!$&'()*+,;=%]/gu, (character) => encodeURIComponent(character))

const partsOf = (htsUrl: string): { readonly base: string; readonly query: string } => {
  const trimmed = htsUrl.trim()
  const [, scheme = "", authority = "", path = "", query = ""] = PARTS.exec(trimmed) ?? []
  // Budgets go by the host as it is asked. So one that is spelt in a way of its own (outside ASCII, `127.1`, `:0443`) is asked as the others.
  const { host, protocol } = new URL(trimmed)
  const written = authority.toLowerCase().replace(protocol === "https:" ? /:443$/ : /:80$/, "")
  return {
    base: `${scheme}${written === host ? authority : host}${encodeRest(path)}`,
    query: encodeRest(query).replace(/^&+|&+$/g, "")
  }
}

const ask = (htsUrl: HtsUrl, query: string): string => {
  const { base, query: own } = partsOf(htsUrl)
  return `${base}?${own === "" ? "" : `${own}&`}Service=Hilltop&${query}`
}

/** What every address of a source begins with, up to its own query and the service. */
export const sourcePrefix = (htsUrl: HtsUrl): string => ask(htsUrl, "")

/** The address without its query: what messages call `hilltopBaseUrl`. */
export const hilltopBaseUrl = (htsUrl: HtsUrl): string => partsOf(htsUrl).base

/** `scheme://host[:port]` in lower case, without a default port: the unit that politeness counts by. */
export const serverOrigin = (htsUrl: HtsUrl): string => new URL(htsUrl.trim()).origin

/** SITES_LIST */
export const sitesListUrl = (htsUrl: HtsUrl): string => ask(htsUrl, "Request=SiteList&Location=Yes")

/** The sites that have a measurement of this name, without where they are; only asked to try a source. */
export const sitesWithMeasurementUrl = (htsUrl: HtsUrl, measurement: string): string =>
  ask(htsUrl, `Request=SiteList&Measurement=${encodeName(measurement)}`)

/** MEASUREMENTS_LIST */
export const measurementsListUrl = (htsUrl: HtsUrl, siteName: string): string =>
  ask(htsUrl, `Request=MeasurementList&Site=${encodeName(siteName)}`)

const getData = (htsUrl: HtsUrl, siteName: string, requestAs: string, range: string): string =>
  ask(htsUrl, `Request=GetData&Site=${encodeName(siteName)}&Measurement=${encodeName(requestAs)}&${range}`)

/** MEASUREMENT_DATA of one month, `2023-08`. */
export const measurementDataUrl = (htsUrl: HtsUrl, siteName: string, requestAs: string, month: string): string =>
  measurementDataUrls(htsUrl, siteName, requestAs, [month])[0]!

/** MEASUREMENT_DATA of each of these months: a series may have thousands, so its names are encoded once. */
export const measurementDataUrls = (
  htsUrl: HtsUrl,
  siteName: string,
  requestAs: string,
  months: ReadonlyArray<string>
): ReadonlyArray<string> => {
  const series = getData(htsUrl, siteName, requestAs, "")
  return months.map((month) => {
    const bounds = monthBounds(month)
    const lastDay = bounds === undefined ? `${month}-31` : formatHilltopTime(bounds.until - 1000).slice(0, 10)
    return `${series}from=${month}-01T00:00&to=${lastDay}T23:59:59`
  })
}

/** MEASUREMENT_DATA of a part of a month, for series whose months are too large: both ends belong to it. */
export const measurementDataPeriodUrl = (
  htsUrl: HtsUrl,
  siteName: string,
  requestAs: string,
  period: { readonly from: number; readonly to: number }
): string =>
  getData(htsUrl, siteName, requestAs, `from=${formatHilltopTime(period.from)}&to=${formatHilltopTime(period.to)}`)

/** MEASUREMENT_DATA_LATEST: the last 35 days, or fewer where those are too large. */
export const measurementDataLatestUrl = (htsUrl: HtsUrl, siteName: string, requestAs: string, days = 35): string =>
  getData(htsUrl, siteName, requestAs, `TimeInterval=P${days}D/now`)
