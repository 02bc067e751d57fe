/**
 * What an address of data asks for, and when that is over: the one place that reads addresses. How to ask for less is in `halves`.
 *
 * Read from the address itself, since that is all that a task of an operator has. Parameters are found in any order, whatever
 * the case of their names and however they are escaped (a `+` is a plus, as it is to Hilltop); one that is there twice is
 * doubtful, and ignored.
 */
import { encodeName } from "./HilltopUrl.ts"
import { parseNzst } from "./Nzst.ts"

const DAY = 86_400_000

const LATEST = /^P(\d{1,6})D\/now$/i
/** Parameters under which the rows of an answer are not those of the archive. */
const DERIVED = /^(?:method|interval|alignment|collection|tstype)$/i

/** A fixed period, both ends belonging to it, in epoch milliseconds. */
export interface AskedPeriod {
  readonly from: number
  readonly to: number
}

/** A parameter of an address: its name in lower case, its value as meant, and where the value as written begins and ends. */
export interface Parameter {
  readonly name: string
  readonly value: string
  readonly start: number
  readonly end: number
}

export const parametersOf = (url: string): ReadonlyArray<Parameter> => {
  const end = url.includes("#") ? url.indexOf("#") : url.length
  const found: Array<Parameter> = []
  const query = url.indexOf("?")
  if (query < 0 || query > end) return found
  for (let at = query + 1; at < end;) {
    const next = url.indexOf("&", at)
    const until = next < 0 ? end : Math.min(next, end)
    const equals = url.indexOf("=", at)
    const isPair = equals >= 0 && equals < until
    const start = isPair ? equals + 1 : until
    found.push({
      name: decoded(url.slice(at, isPair ? equals : until)).toLowerCase(),
      value: decoded(url.slice(start, until)),
      start,
      end: until
    })
    at = until + 1
  }
  return found
}

/** Escapes that are none stay as they are. */
const decoded = (text: string): string =>
  text.replaceAll(/(?:%[0-9A-Fa-f]{2})+/g, (escapes) =>
    new TextDecoder().decode(Uint8Array.from(escapes.slice(1).split("%"), (hex) => Number.parseInt(hex, 16)))
  )

export const named = (parameters: ReadonlyArray<Parameter>, name: string): Parameter | undefined => {
  const [only, ...others] = parameters.filter((parameter) => parameter.name === name)
  return others.length === 0 ? only : undefined
}

export const periodIn = (parameters: ReadonlyArray<Parameter>): AskedPeriod | undefined => {
  if (parameters.some(({ name }) => name === "timeinterval")) return undefined
  const from = parseNzst(named(parameters, "from")?.value ?? "")
  const to = parseNzst(named(parameters, "to")?.value ?? "")
  return from === undefined || to === undefined || to < from ? undefined : { from, to }
}

/** The period that an address asks for by its two ends; none for every other form. */
export const askedPeriod = (url: string): AskedPeriod | undefined => periodIn(parametersOf(url))

/** The same where the rows are those of the archive: of what a server computes, a row that is missing says nothing. */
export const archivePeriod = (url: string): AskedPeriod | undefined => {
  const parameters = parametersOf(url)
  return parameters.some(({ name }) => DERIVED.test(name)) ? undefined : periodIn(parameters)
}

/**
 * Whether all that belongs to the period had come to the server when it was asked at `fetchedAt`: a day after its end. What is not
 * there at its end then will not come any more.
 */
export const isOver = ({ to }: AskedPeriod, fetchedAt: number): boolean => fetchedAt - to >= DAY

/** How much of a document's beginning has its first rows, in bytes. */
export const headLength = 4_000

/**
 * Whether a document that begins so has rows of another time than was asked for, by more than a day. Its server does not heed the
 * time, so its answer is no smaller for less of it. The second row tells: the first may be the last one before the period.
 */
export const beginsElsewhere = (url: string, head: string): boolean => {
  const period = archivePeriod(url)
  const [, row] = [...head.matchAll(/<[TD]>([^<]{1,40})</g)].slice(0, 2).at(-1) ?? []
  const at = parseNzst(row ?? "")
  return period !== undefined && at !== undefined && (at < period.from - DAY || at > period.to + DAY)
}

/** How long before now a window begins that ends now, in milliseconds. */
export const askedWindow = (url: string): number | undefined => {
  const days = daysOfWindow(named(parametersOf(url), "timeinterval")?.value ?? "")
  return days === undefined ? undefined : days * DAY
}

/** Of a window that ends now. */
export const daysOfWindow = (interval: string): number | undefined => {
  const days = LATEST.exec(interval)?.[1]
  return days === undefined ? undefined : Number(days)
}

/** The site that is asked about. */
export const askedSite = (url: string): string | undefined => named(parametersOf(url), "site")?.value

/** The measurement that is asked for, as it was listed to be. */
export const askedMeasurement = (url: string): string | undefined => named(parametersOf(url), "measurement")?.value

/** The address with other values for some of its parameters. */
export const withValues = (url: string, values: ReadonlyArray<readonly [Parameter, string]>): string => {
  let result = ""
  let kept = 0
  for (const [{ end, start }, value] of values.toSorted(([a], [b]) => a.start - b.start)) {
    result += url.slice(kept, start) + value
    kept = end
  }
  return result + url.slice(kept)
}

/** The address for another measurement; as it is where it asks for none. */
export const withMeasurement = (url: string, name: string): string => {
  const asked = named(parametersOf(url), "measurement")
  return asked === undefined ? url : withValues(url, [[asked, encodeName(name)]])
}
