/**
 * The time that an address of data asks for, and how to ask for less of it.
 *
 * Read from the address itself, since that is all that a task of an operator has. A period is halved at a full hour, down to
 * one hour; the latest data down to one day: what an hour of one series does not fit into is no time series.
 */
import { formatHilltopTime, parseNzst } from "./Nzst.ts"

const HOUR = 3_600_000
const DAY = 24 * HOUR

const PERIOD = /([?&]from=)([^&]*)(&to=)([^&]*)/i
const LATEST = /([?&]TimeInterval=P)(\d+)(D\/now)/i
const SITE = /[?&]Site=([^&]*)/i

/** A fixed period, both ends belonging to it, in epoch milliseconds. */
export const askedPeriod = (url: string): { readonly from: number; readonly to: number } | undefined => {
  const [, , start = "", , end = ""] = PERIOD.exec(url) ?? []
  const from = parseNzst(start)
  const to = parseNzst(end)
  return from === undefined || to === undefined || to < from ? undefined : { from, to }
}

/** How long before now a window begins that ends now, in milliseconds. */
export const askedWindow = (url: string): number | undefined => {
  const days = LATEST.exec(url)?.[2]
  return days === undefined ? undefined : Number(days) * DAY
}

/** The site that is asked about. */
export const askedSite = (url: string): string | undefined => {
  const name = SITE.exec(url)?.[1]
  return name === undefined ? undefined : decoded(name)
}

/** Escapes that are none stay as they are. */
const decoded = (text: string): string =>
  text.replaceAll(/(?:%[0-9A-Fa-f]{2})+/g, (escapes) =>
    new TextDecoder().decode(Uint8Array.from(escapes.slice(1).split("%"), (hex) => Number.parseInt(hex, 16)))
  )

/**
 * The addresses that ask for less, together for all of what `url` asks for, but for a window: half of it, and the rest is for
 * the months to bring. None where it cannot be divided further.
 */
export const dividedRange = (url: string): ReadonlyArray<string> => {
  const length = askedWindow(url)
  if (length !== undefined) {
    const days = Math.floor(length / DAY / 2)
    return days < 1 ? [] : [url.replace(LATEST, (_, start, __, end) => `${start}${days}${end}`)]
  }
  const period = askedPeriod(url)
  if (period === undefined) return []
  const { from, to } = period
  const middle = from + Math.floor((to + 1_000 - from) / HOUR / 2) * HOUR
  if (middle <= from) return []
  // The moment in the middle is in both: were it in one, rows within the second before it would be in none.
  const part = (start: number, end: number) =>
    url.replace(PERIOD, (_, before, __, between) =>
      [before, formatHilltopTime(start), between, formatHilltopTime(end)].join("")
    )
  return [part(from, middle), part(middle, to)]
}
