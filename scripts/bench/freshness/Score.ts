/** What a policy is judged by: delays of values from availability to capture, by class and by series, and requests. */
import { classes, type World } from "./SimulatedWorld.ts"

/** Bounds of delay in seconds for percentiles: a twentieth apart, from 1 s to 100 days. */
const bin = (seconds: number) => Math.min(399, Math.max(0, Math.floor(Math.log(Math.max(1, seconds)) * 24)))
const ofBin = (index: number) => Math.exp((index + 0.5) / 24)

export class Delays {
  rows = 0
  seconds = 0
  worst = 0
  readonly bins = new Float64Array(400)

  add(rows: number, seconds: number): void {
    this.rows += rows
    this.seconds += rows * seconds
    if (seconds > this.worst) this.worst = seconds
    this.bins[bin(seconds)]! += rows
  }
  get mean(): number {
    return this.rows === 0 ? 0 : this.seconds / this.rows
  }
  /** The share that waited no longer; NaN when there was none. */
  shareWithin(seconds: number): number {
    let sum = 0
    for (let i = 0; i <= bin(seconds); i++) sum += this.bins[i]!
    return sum / this.rows
  }
  quantile(share: number): number {
    let left = share * this.rows
    for (let i = 0; i < 400; i++) if ((left -= this.bins[i]!) <= 0) return ofBin(i)
    return this.worst
  }
}

export class Score {
  readonly all = new Delays()
  readonly withoutOutages = new Delays()
  readonly byClass = classes.map(() => new Delays())
  readonly longOutages = new Delays()
  readonly corrections = new Delays()
  readonly rowsOf: Float64Array
  readonly secondsOf: Float64Array
  staleSeconds = 0
  requests = { latest: 0, lists: 0, months: 0 }
  empty = 0
  emptyLists = 0
  emptyMonths = 0
  readonly emptyByClass = classes.map(() => 0)
  readonly requestsByClass = classes.map(() => 0)
  readonly series: number
  readonly days: number

  constructor(world: World) {
    this.series = world.series.length
    this.days = world.days - world.measuredFrom / 86_400
    this.rowsOf = new Float64Array(this.series)
    this.secondsOf = new Float64Array(this.series)
  }

  /** `outage`: hours of the outage that it waited with, 0 for none; `ended`: of the one that it ended itself. */
  delivered(series: number, kind: number, rows: number, seconds: number, outage: number, ended: number): void {
    this.all.add(rows, seconds)
    if (outage === 0) this.withoutOutages.add(rows, seconds)
    if (ended >= 168) this.longOutages.add(1, seconds)
    this.byClass[kind]!.add(rows, seconds)
    this.rowsOf[series]! += rows
    this.secondsOf[series]! += rows * seconds
  }

  get requestsADay(): number {
    return (this.requests.latest + this.requests.lists + this.requests.months) / this.series / this.days
  }
  /** Of all requests, those that found nothing. */
  get emptyShare(): number {
    return this.empty / Math.max(1, this.requests.latest + this.requests.lists + this.requests.months)
  }
  /** Mean over series that delivered anything. */
  get meanBySeries(): number {
    let sum = 0
    let count = 0
    for (let i = 0; i < this.series; i++) {
      if (this.rowsOf[i] === 0) continue
      sum += this.secondsOf[i]! / this.rowsOf[i]!
      count++
    }
    return count === 0 ? 0 : sum / count
  }
  /** Share of time at which nothing newer than the copy was available. */
  get freshness(): number {
    return 1 - this.staleSeconds / (this.series * this.days * 86_400)
  }
}
