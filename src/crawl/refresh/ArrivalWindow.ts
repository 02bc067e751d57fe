/**
 * How late the deliveries of a series are: a histogram of sixteen bins over the lag, learnt from intervals.
 *
 * No arrival is ever seen: a look tells that it came after the look before. Each such interval adds its share to the bins that it
 * covers, divided among them as what is known divides it (the self-consistent estimate for interval-censored times), and what is old
 * counts less. So a wide interval changes nothing that narrow ones have taught, unless it contradicts it.
 */
export const bins = 16

export interface ArrivalWindow {
  /** Seconds after the place on the grid at which the first bin begins; may be negative. */
  readonly from: number
  /** Seconds of a bin. */
  readonly width: number
  /** Adds up to one. */
  readonly mass: Float64Array
  /** How much arrivals taught it: nothing where it was sure of the whole interval; beyond `memory` they replace older ones. */
  readonly seen: number
}

const memory = 24
/** No bin is narrower: looks are not made to the second. */
const narrowest = 4
/** What the bins share among them whatever was seen. */
const leak = 0.01

export const uniformWindow = (from: number, to: number): ArrivalWindow => ({
  from: Math.round(from),
  width: Math.max(narrowest, Math.ceil((to - from) / bins)),
  mass: new Float64Array(bins).fill(1 / bins),
  seen: 0
})

export const windowEnd = ({ from, width }: ArrivalWindow): number => from + width * bins

/** The share of a bin that lies in an interval. */
const covered = (window: ArrivalWindow, bin: number, low: number, high: number): number => {
  const start = window.from + bin * window.width
  return Math.max(0, Math.min(high, start + window.width) - Math.max(low, start)) / window.width
}

/** How much is known to come between two lags. */
export const massBetween = (window: ArrivalWindow, low: number, high: number): number => {
  let sum = 0
  for (let i = 0; i < bins; i++) sum += window.mass[i]! * covered(window, i, low, high)
  return sum
}

/** The lag by which a share of arrivals has come. */
export const quantile = (window: ArrivalWindow, share: number): number => {
  let sum = 0
  for (let i = 0; i < bins; i++) {
    const mass = window.mass[i]!
    if (sum + mass >= share) return window.from + window.width * (i + (mass > 0 ? (share - sum) / mass : 0))
    sum += mass
  }
  return windowEnd(window)
}

/** With one more arrival, that came after `low` and by `high` (which may be Infinity, when it had not come at `low`). */
export const learnArrival = (window: ArrivalWindow, low: number, high: number): ArrivalWindow => {
  const wide = widened(window, low, high)
  const inside = massBetween(wide, low, high)
  // Not foreseen at all: the world has changed, and what was known counts for less.
  const surprise = inside < 0.03
  // Faster than an average at first, since what it begins with is only a guess.
  const rate = Math.max(surprise ? 0.2 : 0, 1 / memory, 1.6 / (wide.seen + 2.2))
  const mass = new Float64Array(bins)
  const parts = new Float64Array(bins)
  let sum = 0
  for (let i = 0; i < bins; i++) {
    const part = covered(wide, i, low, high)
    parts[i] = part * (surprise ? 1 : wide.mass[i]!)
    sum += parts[i]!
  }
  if (sum === 0) return wide
  for (let i = 0; i < bins; i++) {
    mass[i] = (1 - leak * rate) * ((1 - rate) * wide.mass[i]! + (rate * parts[i]!) / sum) + (leak * rate) / bins
  }
  return narrowed({ ...wide, mass, seen: Math.min(memory, wide.seen + Math.max(0, 1 - inside)) })
}

/** Twice as wide, as often as it takes to reach an interval. */
const widened = (window: ArrivalWindow, low: number, high: number): ArrivalWindow => {
  let one = window
  for (let n = 0; n < 24; n++) {
    const before = high <= one.from
    if (!before && low < windowEnd(one)) break
    const mass = new Float64Array(bins)
    const shift = before ? bins / 2 : 0
    for (let i = 0; i < bins; i++) mass[shift + (i >> 1)]! += one.mass[i]!
    one = { from: before ? one.from - one.width * bins : one.from, width: one.width * 2, mass, seen: one.seen }
  }
  return one
}

/** Half as wide where nearly all lies within half of it. */
const narrowed = (window: ArrivalWindow): ArrivalWindow => {
  if (window.width < 2 * narrowest || window.seen < 2) return window
  const half = bins / 2
  let within = 0
  for (let i = 0; i < half; i++) within += window.mass[i]!
  let best = 0
  let most = within
  for (let i = 1; i <= half; i++) {
    within += window.mass[i + half - 1]! - window.mass[i - 1]!
    if (within > most) {
      most = within
      best = i
    }
  }
  if (most < 0.95) return window
  const width = Math.floor(window.width / 2)
  const mass = new Float64Array(bins)
  for (let i = 0; i < bins; i++) mass[i] = window.mass[best + (i >> 1)]! / 2 / most
  return { from: window.from + best * window.width, width, mass, seen: window.seen }
}

const base = 36
const most = base * base - 1
const lagLength = 6

/** Characters of a window as text. */
export const windowLength = 2 * lagLength + 2 + 2 * bins

const padded = (value: number, length: number): string => value.toString(base).padStart(length, "0")

/** Lags are counted from 34 years before their place on the grid, so that none is negative. */
const lagZero = base ** lagLength / 2

export const formatWindow = ({ from, mass, seen, width }: ArrivalWindow): string => {
  let text =
    padded(Math.round(from) + lagZero, lagLength) +
    padded(width, lagLength) +
    padded(Math.round(Math.min(memory, seen) * 50), 2)
  for (let i = 0; i < bins; i++) text += padded(Math.round(mass[i]! * most), 2)
  return text
}

export const parseWindow = (text: string): ArrivalWindow | undefined => {
  if (text.length !== windowLength || !/^[0-9a-z]+$/.test(text)) return undefined
  const from = Number.parseInt(text.slice(0, lagLength), base) - lagZero
  const width = Number.parseInt(text.slice(lagLength, 2 * lagLength), base)
  const seen = Number.parseInt(text.slice(2 * lagLength, 2 * lagLength + 2), base) / 50
  const mass = new Float64Array(bins)
  let sum = 0
  for (let i = 0; i < bins; i++) {
    const start = 2 * lagLength + 2 + 2 * i
    mass[i] = Number.parseInt(text.slice(start, start + 2), base)
    sum += mass[i]!
  }
  if (!(width >= narrowest && width <= 100 * 86_400 && sum > 0)) return undefined
  for (let i = 0; i < bins; i++) mass[i]! /= sum
  return { from, width, mass, seen }
}
