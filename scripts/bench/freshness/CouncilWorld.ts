/**
 * A regional council: 600 sites of five series, calling in every 5 minutes to every month, with outages, back-fill, stragglers,
 * laboratories, dead gauges, corrections of old months, and a change to daylight saving on the 27th day.
 *
 * Its numbers are those of public servers where any are known (see docs/freshness.md); they were set before the policy was
 * tuned, by the requests and delays of the original's rules, and not touched since.
 */
import { SeededChance } from "./SeededChance.ts"
import {
  type Correction,
  daylightSavingFrom,
  DeliveriesBuilder,
  type SeriesClass,
  type World,
  type WorldSeries
} from "./CouncilSeries.ts"

const minute = 60
const hour = 3600
const day = 86_400

/** Seconds by which people's clocks are ahead of NZST. */
const summer = (t: number) => (t >= daylightSavingFrom ? hour : 0)

interface Outage {
  readonly from: number
  readonly to: number
  readonly backFilled: boolean
}

const outages = (chance: SeededChance, every: number, until: number, backFilled: number): Array<Outage> => {
  const list: Array<Outage> = []
  for (let t = chance.exponential(every); t < until; t += chance.exponential(every)) {
    const length = Math.min(20 * day, chance.lognormal(8 * hour, 1.5))
    list.push({ from: t, to: t + length, backFilled: chance.next() < backFilled })
    t += length
  }
  return list
}

/** Of the kinds of sites, how many of each hundred. */
export interface Mix {
  readonly sites: Readonly<Record<Exclude<SeriesClass, "dead">, number>>
  /** Sites have an outage this often, in days, and each series of its own. */
  readonly outageEvery: number
  readonly seriesOutageEvery: number
  /** A ten-day outage for each site within the measured time. */
  readonly tenDays: boolean
}

export const councilMix: Mix = {
  sites: {
    "every 5 min": 8.5,
    "every 15 min": 11,
    hourly: 15,
    batches: 8,
    daily: 12,
    weekly: 8,
    laboratory: 23,
    "by chance": 14.5
  },
  outageEvery: 60,
  seriesOutageEvery: 180,
  tenDays: false
}

export const councilWorld = (
  seed: number,
  { days = 75, measuredFromDay = 15, mix = councilMix, sites = 600 } = {} as {
    sites?: number
    days?: number
    measuredFromDay?: number
    mix?: Mix
  }
): World => {
  const chance = new SeededChance(seed)
  const until = days * day
  const series: Array<WorldSeries> = []
  const corrections: Array<Correction> = []
  const serverOutages: Array<Outage> = []
  for (let t = chance.exponential(30 * day); t < until; t += chance.exponential(30 * day)) {
    serverOutages.push({ from: t, to: t + chance.between(1, 9) * hour, backFilled: true })
  }
  // Kinds by quota, so that a small world has the same mix.
  const kinds: Array<Exclude<SeriesClass, "dead">> = []
  const total = Object.values(mix.sites).reduce((a, b) => a + b, 0)
  let share = 0
  for (const [kind, weight] of Object.entries(mix.sites)) {
    share += weight
    while (kinds.length < Math.round((share / total) * sites)) kinds.push(kind as Exclude<SeriesClass, "dead">)
  }
  for (const [site, kind] of kinds.entries()) {
    const own = outages(chance, mix.outageEvery * day, until, 0.8)
    if (mix.tenDays) {
      const from = chance.between(measuredFromDay + 3, days - 15) * day
      own.push({ from, to: from + 10 * day, backFilled: chance.next() < 0.8 })
    }
    const siteOutages = [...serverOutages, ...own]
    const calls = callsOf(chance, kind, until)
    const months = 6 + Math.floor(chance.exponential(18))
    const first = series.length
    for (let n = 0; n < 5; n++) {
      // The last series of each site is of another kind: samples are taken and gauges are given up everywhere.
      const drawn = chance.next()
      const ofKind: SeriesClass = n < 4 ? kind : drawn < 0.45 ? "dead" : drawn < 0.8 ? "laboratory" : kind
      const all = [...siteOutages, ...outages(chance, mix.seriesOutageEvery * day, until, 0.3)]
      const made =
        ofKind === kind
          ? deliver(chance, calls, n, all, until)
          : ofKind === "dead"
            ? dead(chance, until)
            : deliver(chance, callsOf(chance, "laboratory", until), n, [], until)
      series.push({ site, kind: ofKind, months, ...made })
    }
    correct(chance, corrections, first, series.length, months, until)
  }
  corrections.sort((a, b) => a.at - b.at)
  return { days, measuredFrom: measuredFromDay * day, sites, series, corrections }
}

/** When a site calls in, up to which time its rows go, and how many there are. */
interface Calls {
  readonly step: number
  readonly list: ReadonlyArray<readonly [at: number, newest: number, rows: number]>
  /** Seconds between the first and the last series of a call in the server's import. */
  readonly importing: number
}

const callsOf = (chance: SeededChance, kind: SeriesClass, until: number): Calls => {
  const list: Array<readonly [number, number, number]> = []
  const regular = (period: number, step: number, base: number, jitter: number, stragglers: number) => {
    const phase = Math.floor(chance.between(0, period / step)) * step
    for (let row = phase - period; row < until; row += period) {
      const late = chance.next() < stragglers ? chance.exponential(10 * minute) : 0
      list.push([row + base + jitter * chance.next() + late, row, period / step])
    }
    return { step, list, importing: chance.between(5, 45) }
  }
  switch (kind) {
    case "every 5 min":
      return regular(5 * minute, 5 * minute, chance.between(1, 9) * minute, chance.between(0.5, 3.5) * minute, 0.02)
    case "every 15 min":
      return regular(15 * minute, 15 * minute, chance.between(2, 13) * minute, chance.between(1, 7) * minute, 0.02)
    case "hourly":
      return regular(hour, hour, chance.between(3, 25) * minute, chance.between(1, 12) * minute, 0.02)
    case "batches":
      return regular(
        chance.pick([2, 3]) * hour,
        chance.pick([10, 15]) * minute,
        chance.between(3, 15) * minute,
        chance.between(2, 25) * minute,
        0.05
      )
    case "daily": {
      const step = chance.pick([hour, day, day, day])
      const at = chance.between(1, 9) * hour
      const jitter = chance.between(5, 45) * minute
      let since = -day
      for (let midnight = 0; midnight < until; midnight += day) {
        // Now and then an upload is left out, and the next one brings both days.
        if (chance.next() < 0.04) continue
        const upload = midnight + at + jitter * chance.next() - summer(midnight)
        const newest = Math.floor((upload - 5 * minute) / step) * step
        list.push([upload, newest, (newest - since) / step])
        since = newest
      }
      return { step, list, importing: chance.between(5, 45) }
    }
    case "weekly": {
      const step = day
      const weekday = Math.floor(chance.between(0, 5))
      let since = -7 * day
      for (let week = 0; week < until; week += 7 * day) {
        const late = chance.next() < 0.25 ? Math.floor(chance.between(0, 5 - weekday)) : 0
        const morning = week + (weekday + late) * day
        const newest = morning - (morning % step)
        list.push([morning + chance.between(8.5, 16.5) * hour - summer(week), newest, (newest - since) / step])
        since = newest
      }
      return { step, list, importing: chance.between(10, 600) }
    }
    case "laboratory": {
      const every = chance.pick([14, 28, 28, 28, 84]) * day
      for (let sample = chance.between(-2, 1) * every; sample < until; sample += every * chance.between(0.9, 1.1)) {
        let result = Math.floor((sample + chance.between(10, 35) * day) / day)
        while (result % 7 > 4) result++
        list.push([result * day + chance.between(9, 16.5) * hour - summer(result * day), sample, 1])
      }
      return { step: every, list, importing: chance.between(10, 600) }
    }
    default: {
      // Rain: nothing for hours or days, then a row every few minutes.
      const mean = chance.lognormal(18 * hour, 1)
      for (let t = chance.exponential(mean); t < until; t += chance.exponential(mean)) {
        do {
          list.push([t, t - 10 * minute, 1])
          t += chance.exponential(12 * minute)
        } while (chance.next() < 0.75)
      }
      return { step: 5 * minute, list, importing: 20 }
    }
  }
}

const deliver = (chance: SeededChance, calls: Calls, n: number, all: ReadonlyArray<Outage>, until: number) => {
  const builder = new DeliveriesBuilder()
  const waiting = new Map<Outage, { newest: number; rows: number }>()
  const sorted = all.toSorted((a, b) => a.from - b.from)
  let first = 0
  for (const [call, newest, rows] of calls.list) {
    const at = call + (calls.importing * n) / 4 + chance.between(0, 5)
    while (first < sorted.length && sorted[first]!.to < at - 21 * day) first++
    let during: Outage | undefined
    for (let i = first; i < sorted.length && sorted[i]!.from <= at; i++) {
      const one = sorted[i]!
      if (at < one.to && (during === undefined || one.to > during.to)) during = one
    }
    if (during === undefined) {
      builder.add(at, newest, rows)
      continue
    }
    const before = waiting.get(during)
    if (during.backFilled) waiting.set(during, { newest, rows: (before?.rows ?? 0) + rows })
    else waiting.set(during, { newest, rows: 1 })
  }
  for (const [outage, { newest, rows }] of waiting) {
    const hours = Math.max(1, Math.round((outage.to - outage.from) / hour))
    builder.add(outage.to + (calls.importing * n) / 4, newest, rows, hours)
  }
  return { step: calls.step, deliveries: builder.build(until) }
}

/** One in ten comes back. */
const dead = (chance: SeededChance, until: number) => {
  const builder = new DeliveriesBuilder()
  if (chance.next() < 0.1) {
    for (let row = Math.floor(chance.between(0, 75 * 24)) * hour; row < until; row += hour) {
      builder.add(row + chance.between(8, 14) * minute, row, 1)
    }
  }
  return { step: hour, deliveries: builder.build(until) }
}

/** People go over months that are over, all series of a site on one afternoon: often the last quarter, seldom years back. */
const correct = (
  chance: SeededChance,
  corrections: Array<Correction>,
  first: number,
  end: number,
  months: number,
  until: number
): void => {
  for (let month = 1; month < months; month++) {
    const perMonth = month <= 3 ? 0.25 : month <= 12 ? 0.03 : 0.004
    for (let t = chance.exponential((30 * day) / perMonth); t < until; t += chance.exponential((30 * day) / perMonth)) {
      for (let series = first; series < end; series++) {
        if (chance.next() < 0.7) corrections.push({ at: t + chance.between(0, 4) * hour, series, month })
      }
    }
  }
}
