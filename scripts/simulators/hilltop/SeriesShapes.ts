/**
 * What nature does at a simulated site: levels, rain, temperatures, meters, samples, as functions of key and time.
 *
 * Plausible at a glance and cheap to read, not hydrology: a level rises and falls without asking the rain gauge next to
 * it. What does hang together is what a test may compare: flow follows its
 * level, and a meter's volumes add up to its readings until someone corrects one.
 */
import { hash01, normal01, smooth } from "./Noise.ts"
import type { WallTime } from "./WallTime.ts"
import { day, hour } from "./WallTime.ts"

const year = 365.25 * day

/** -1 in the middle of winter (July), 1 in the middle of summer. */
const season = (time: WallTime): number => Math.cos((2 * Math.PI * (time - 15 * day)) / year)

/** -1 at three in the morning, 1 at three in the afternoon. */
const sun = (time: WallTime): number => Math.cos((2 * Math.PI * (time - 15 * hour)) / day)

/** Millimetres. Flat for hours at low flow, then a fresh of a metre or two. */
export const stage = (key: number) => {
  const base = 250 + hash01(key, 0) * 1_100
  return (time: WallTime): number => {
    const fresh = Math.max(0, smooth(key + 1, time / (3.3 * day)) - 0.66)
    return (
      base + 70 * smooth(key + 2, time / (24 * day)) + 14_000 * fresh * fresh + 6 * smooth(key + 3, time / (2 * hour))
    )
  }
}

/** Cubic metres a second for a level in millimetres: a power law above the level at which flow stops. */
export const rating = (key: number) => {
  const still = 120 + hash01(key, 0) * 100
  const width = 2 + hash01(key, 9) * 25
  return (level: number): number => width * (Math.max(0, level - still) / 1_000) ** 1.7
}

/** How often a bucket that holds this many millimetres tips within one slot of five minutes. */
export const tips = (key: number, tip: number) => {
  return (slot: number): number => {
    const wet = smooth(key, (slot * 300) / (17 * hour)) - 0.66
    if (wet <= 0) return 0
    const shower = smooth(key + 1, (slot * 300) / (0.7 * hour))
    return Math.floor(((wet * shower * 5.2) / tip) * (0.4 + hash01(key + 2, slot)))
  }
}

export interface Climate {
  readonly mean: number
  readonly seasonal: number
  readonly daily: number
  readonly weather: number
}

/** Anything that follows the sun by day and year and the weather besides. */
export const climate = (key: number, { daily, mean, seasonal, weather }: Climate) => {
  const shift = (hash01(key, 0) - 0.5) * 1.5 * weather
  return (time: WallTime): number =>
    mean +
    shift +
    seasonal * season(time) +
    daily * sun(time) +
    weather * (smooth(key + 1, time / (2.1 * day)) - 0.5) * 2 +
    0.1 * weather * (hash01(key + 2, Math.floor(time / 60)) - 0.5)
}

/** Degrees, turning slowly, with gusts. */
export const direction =
  (key: number) =>
  (time: WallTime): number =>
    Math.floor(
      (360 + 720 * smooth(key, time / (1.3 * day)) + 40 * (hash01(key + 1, Math.floor(time / 60)) - 0.5)) % 360
    )

/** Cubic metres since the meter was installed. It never runs backwards: its noise moves less than one day's least use. */
export const meter = (key: number) => {
  const perDay = 20 + hash01(key, 0) * 900
  return (dayNumber: number): number => {
    const summer =
      (0.45 * perDay * year * Math.sin((2 * Math.PI * (dayNumber * day - 15 * day)) / year)) / (2 * Math.PI * day)
    return perDay * (dayNumber - 14_000) + summer + 0.5 * perDay * hash01(key + 1, dayNumber)
  }
}

export interface Analyte {
  readonly name: string
  readonly units: string
  readonly typical: number
  /** How widely results scatter: the deviation of their logarithm. */
  readonly spread: number
  readonly detection: number
  readonly most: number | undefined
  readonly digits: number
}

/** A laboratory's result as it is written down: 7 % below detection, 1 % without a result, a few above the scale. */
export const result = (key: number, analyte: Analyte) => {
  return (slot: number, factor: number): string => {
    const chance = hash01(key, slot)
    if (chance < 0.07) return `<${analyte.detection}`
    if (chance > 0.99) return "*"
    const value = analyte.typical * Math.exp(analyte.spread * normal01(key + 1, slot)) * factor
    if (value < analyte.detection) return `<${analyte.detection}`
    if (analyte.most !== undefined && value > analyte.most) return `>${analyte.most}`
    return String(Number(value.toPrecision(analyte.digits)))
  }
}

export const analytes: ReadonlyArray<Analyte> = [
  { name: "Total Phosphorus", units: "g/m3", typical: 0.03, spread: 0.6, detection: 0.002, most: undefined, digits: 2 },
  { name: "Nitrate Nitrogen", units: "g/m3", typical: 0.7, spread: 0.7, detection: 0.01, most: undefined, digits: 3 },
  { name: "E-Coli <CFU>", units: "cfu/100mL", typical: 120, spread: 1.1, detection: 1, most: 2_400, digits: 2 },
  { name: "Turbidity", units: "NTU", typical: 3, spread: 0.8, detection: 0.1, most: undefined, digits: 3 },
  { name: "Dissolved Oxygen", units: "%", typical: 94, spread: 0.08, detection: 0.1, most: undefined, digits: 4 },
  {
    name: "Ammoniacal Nitrogen",
    units: "g/m3",
    typical: 0.02,
    spread: 0.7,
    detection: 0.005,
    most: undefined,
    digits: 2
  },
  { name: "pH (Field)", units: "", typical: 7.4, spread: 0.03, detection: 1, most: undefined, digits: 3 },
  { name: "Suspended Solids", units: "mg/l", typical: 5, spread: 0.8, detection: 0.5, most: undefined, digits: 2 }
]

const codes = [600, 600, 500, 500, 500, 400, 200, 100]

/** The quality code in force: it changes every ten days or so. */
export const qualityCode = (key: number, time: WallTime): number =>
  codes[Math.floor(hash01(key, Math.floor(time / (10 * day))) * codes.length)] ?? 0
