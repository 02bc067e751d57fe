/**
 * What becomes available on a simulated server, and when: known to the simulator and the clairvoyant bound alone.
 *
 * Seconds since the world's start, in typed arrays: a council of 3,000 series delivers seven million times in 75 days.
 */

/** Classes of series by how they are delivered; reports are kept by class. */
export const classes = [
  "every 5 min",
  "every 15 min",
  "hourly",
  "batches",
  "daily",
  "weekly",
  "laboratory",
  "by chance",
  "dead"
] as const
export type SeriesClass = (typeof classes)[number]

/** Deliveries of one series, in order of time. */
export interface Deliveries {
  readonly at: Int32Array
  /** Time of the newest row that is there from then on. */
  readonly newest: Int32Array
  readonly rows: Uint16Array
  /** Whether it ended an outage: 0 or the outage's hours. */
  readonly outageHours: Uint16Array
}

export interface WorldSeries {
  readonly site: number
  readonly kind: SeriesClass
  /** Seconds between rows, as a document shows it. */
  readonly step: number
  readonly deliveries: Deliveries
  /** Months of history. */
  readonly months: number
}

/** Values of a month that are over change: of series at a site, at the same moment. */
export interface Correction {
  readonly at: number
  readonly series: number
  /** Months before the world's start; 0 is the month that it starts in. */
  readonly month: number
}

export interface World {
  readonly days: number
  /** From here on delays count; before it is for learning. */
  readonly measuredFrom: number
  readonly sites: number
  readonly series: ReadonlyArray<WorldSeries>
  readonly corrections: ReadonlyArray<Correction>
}

/** The world begins on Monday 2026-08-31 NZST; daylight saving begins 27 days and two hours later. */
export const worldStart = Date.UTC(2026, 7, 30, 12)
export const daylightSavingFrom = 27 * 86_400 + 7_200

export class DeliveriesBuilder {
  #list: Array<readonly [at: number, newest: number, rows: number, outageHours: number]> = []
  add(at: number, newest: number, rows: number, outageHours = 0): void {
    if (rows > 0) this.#list.push([Math.round(at), Math.round(newest), Math.min(65_535, rows), outageHours])
  }
  build(until: number): Deliveries {
    const list = this.#list.filter(([at]) => at >= 0 && at < until).sort((a, b) => a[0] - b[0])
    const at = Int32Array.from(list, (one) => one[0])
    const newest = Int32Array.from(list, (one) => one[1])
    for (let i = 1; i < newest.length; i++) newest[i] = Math.max(newest[i]!, newest[i - 1]!)
    return {
      at,
      newest,
      rows: Uint16Array.from(list, (one) => one[2]),
      outageHours: Uint16Array.from(list, (one) => one[3])
    }
  }
}
