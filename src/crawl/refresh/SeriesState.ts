/**
 * What is kept of a series between two looks at its latest data, and the text that it is kept as: at most 200 ASCII characters.
 *
 * Seconds since 1970 throughout. Text that is none of these, or of an earlier version, is a series of which nothing is known.
 */
import { type ArrivalWindow, formatWindow, parseWindow, windowLength } from "./ArrivalWindow.ts"
import { candidateCount } from "./PeriodSearch.ts"

export interface SeriesState {
  /** When it was looked at last, and the newest row by then. */
  readonly at: number
  readonly newest: number | undefined
  /** Distance of its newest rows. */
  readonly step: number
  /** Deliveries seen, in how many seconds, and their rows; old ones count less. */
  readonly deliveries: number
  readonly during: number
  readonly rows: number
  /** What the search for a period has found so far: of each candidate, how well it explains the gaps, 0 to 1. */
  readonly gaps: number
  readonly fits: ReadonlyArray<number>
  /** Periods up to this one were tried, and failed. */
  readonly above: number
  /** Shortest and longest age of the newest row at a look, while the period is sought. */
  readonly youngest: number
  readonly oldest: number
  readonly clock: SeriesClock | undefined
}

export interface SeriesClock {
  readonly period: number
  /** A row time on the grid of deliveries: the last one's. */
  readonly anchor: number
  /** How late deliveries are, counted from their place on the grid. */
  readonly window: ArrivalWindow
  /** How often the next delivery did not come, or came off the grid; 0 to 1. */
  readonly missed: number
  readonly off: number
  /** Arrivals in a row that were outside of the window. */
  readonly strays: number
}

const base = 36
const whole = (value: number): string => Math.round(value).toString(base)
const share = (value: number): string => Math.min(35, Math.max(0, Math.round(value * 35))).toString(base)
const version = "s1"

export const formatSeries = (state: SeriesState): string => {
  const { clock } = state
  const head =
    `${version},${whole(state.at)},${state.newest === undefined ? "" : whole(state.newest)},${whole(state.step)},` +
    `${whole(state.deliveries * 100)},${whole(state.during)},${whole(state.rows * 10)},${whole(state.gaps)},` +
    `${state.fits.map(share).join("")},${whole(state.above)},${whole(state.youngest)},${whole(state.oldest)}`
  return clock === undefined
    ? head
    : `${head},${whole(clock.period)},${whole(clock.anchor)},${share(clock.missed)}${share(clock.off)}${share(clock.strays / 35)},${formatWindow(clock.window)}`
}

const number = (text: string | undefined): number =>
  text !== undefined && /^-?[0-9a-z]{1,9}$/.test(text) ? Number.parseInt(text, base) : Number.NaN

export const parseSeries = (text: string | undefined): SeriesState | undefined => {
  if (text === undefined || text.length > 200 || !text.startsWith(`${version},`)) return undefined
  const part = text.split(",")
  if (part.length !== 12 && part.length !== 16) return undefined
  const fits = part[8]!
  const [at, step, deliveries, during, rows, gaps, above, youngest, oldest] = [1, 3, 4, 5, 6, 7, 9, 10, 11].map((i) =>
    number(part[i])
  ) as [number, number, number, number, number, number, number, number, number]
  const newest = part[2] === "" ? undefined : number(part[2])
  if (!(at + step + deliveries + during + rows + gaps + above + youngest + oldest + (newest ?? 0) > -Infinity))
    return undefined
  if (!(step > 0 && deliveries >= 0 && during > 0 && rows >= 0 && gaps >= 0) || fits.length !== candidateCount)
    return undefined
  if (!/^[0-9a-z]+$/.test(fits)) return undefined
  const clock = part.length === 16 ? parseClock(part) : undefined
  if (part.length === 16 && clock === undefined) return undefined
  return {
    at,
    newest,
    step,
    deliveries: deliveries / 100,
    during,
    rows: rows / 10,
    gaps,
    fits: Array.from(fits, (one) => Number.parseInt(one, base) / 35),
    above,
    youngest,
    oldest,
    clock
  }
}

const parseClock = (part: ReadonlyArray<string>): SeriesClock | undefined => {
  const [period, anchor] = [number(part[12]), number(part[13])]
  const shares = part[14]!
  const window = part[15]!.length === windowLength ? parseWindow(part[15]!) : undefined
  if (!(period >= 30 && anchor > -Infinity) || !/^[0-9a-z]{3}$/.test(shares) || window === undefined) return undefined
  const [missed, off, strays] = Array.from(shares, (one) => Number.parseInt(one, base)) as [number, number, number]
  return { period, anchor, window, missed: missed / 35, off: off / 35, strays }
}
