/**
 * A world and a rule, looked at in order of due times. The rule is asked after every request when that task is to be asked again;
 * it may bring other tasks forward.
 */
import { DueHeap } from "./DueHeap.ts"
import { Score } from "./Score.ts"
import type { ServerQueue } from "./ServerQueue.ts"
import { SeededChance } from "./SeededChance.ts"
import { classes, type World } from "./SimulatedWorld.ts"

/** What a request saw; one object, used again for every request. Times are seconds from the world's start. */
export interface Seen {
  task: number
  at: number
  /** Rows that are new; of a list, series that it shows to have moved. */
  added: number
  revised: boolean
  newest: number | undefined
}

export interface Tasks {
  readonly world: World
  /** Tasks 0 … series − 1 are LATEST tasks; then come the sites' lists, then months. */
  readonly lists: number
  readonly months: number
  readonly seriesOfMonth: Int32Array
  readonly monthOf: Int32Array
  /** The first month's task of each series; its months follow, youngest first. */
  readonly firstMonth: Int32Array
  readonly seriesOfSite: ReadonlyArray<ReadonlyArray<number>>
}

export interface Rule {
  /** Seconds from the world's start at which the task is due again: later than `seen.at`. */
  readonly after: (seen: Seen, wake: (task: number, at: number) => void) => number
}

export const tasksOf = (world: World): Tasks => {
  const lists = world.series.length
  const months = lists + world.sites
  const firstMonth = new Int32Array(world.series.length)
  const seriesOfMonth: Array<number> = []
  const monthOf: Array<number> = []
  const seriesOfSite: Array<Array<number>> = Array.from({ length: world.sites }, () => [])
  for (const [index, one] of world.series.entries()) {
    firstMonth[index] = months + seriesOfMonth.length
    seriesOfSite[one.site]!.push(index)
    for (let month = 1; month <= one.months; month++) {
      seriesOfMonth.push(index)
      monthOf.push(month)
    }
  }
  return {
    world,
    lists,
    months,
    seriesOfMonth: Int32Array.from(seriesOfMonth),
    monthOf: Int32Array.from(monthOf),
    firstMonth,
    seriesOfSite
  }
}

/** How the requests of a simulation are made. */
export interface Circumstances {
  /** As a crawl begins: the sites' lists at once, all else when its list has been read. Unless said, first fetches are spread out. */
  readonly fromLists?: boolean | undefined
  /** Time goes on in steps of so many seconds, and what is due within one is asked at its end. */
  readonly step?: number | undefined
  /** Requests a second; without a limit, whatever is due is asked at once. */
  readonly server?: ServerQueue | undefined
}

export const simulate = (
  tasks: Tasks,
  seed: number,
  rule: Rule,
  { fromLists = false, server, step }: Circumstances = {}
): Score => {
  const { firstMonth, lists, months, seriesOfMonth, seriesOfSite, world } = tasks
  const { measuredFrom, series } = world
  const until = world.days * 86_400
  const chance = new SeededChance(seed)
  const score = new Score(world)
  const heap = new DueHeap(months + seriesOfMonth.length)
  const next = new Int32Array(series.length)
  const kinds = series.map((one) => classes.indexOf(one.kind))
  const newest = new Float64Array(series.length)
  const listed = new Int32Array(series.length)
  for (const [i, one] of series.entries()) newest[i] = -one.step
  const found: Array<Array<number>> = []
  const fetched = new Uint8Array(seriesOfMonth.length)
  // First fetches are spread over the first hours, those of months over 25 days, as a crawl under a budget would.
  for (let task = 0; task < months + seriesOfMonth.length; task++) {
    const spread = chance.between(0, task < lists ? 3_600 : task < months ? 43_200 : 25 * 86_400)
    heap.set(task, !fromLists ? spread : task >= lists && task < months ? 0 : Infinity)
  }
  const leadTo = (site: number, at: number) => {
    for (const one of seriesOfSite[site]!) {
      heap.set(one, at)
      for (let month = 0; month < series[one]!.months; month++) heap.set(firstMonth[one]! + month, at)
    }
  }
  const corrections = world.corrections
  let correction = 0
  const seen: Seen = { task: 0, at: 0, added: 0, revised: false, newest: undefined }
  const listRead = new Uint8Array(world.sites)
  const isBegun = (task: number) => heap.due[task]! < Infinity
  const inStep = (at: number) => (step === undefined ? at : Math.ceil(at / step) * step)
  const wake = (task: number, at: number) => {
    if (at < heap.due[task]! && isBegun(task)) heap.set(task, at)
  }
  for (;;) {
    const due = server === undefined ? undefined : server.next(heap)
    const task = due?.task ?? heap.first
    const at = due?.at ?? inStep(heap.due[task]!)
    if (!(at < until)) break
    while (correction < corrections.length && corrections[correction]!.at <= at) {
      const { at: since, month, series: of } = corrections[correction++]!
      const index = firstMonth[of]! + month - 1 - months
      // Of a month that was never fetched, nobody can tell a correction.
      if (fetched[index] === 1) (found[index] ??= []).push(since)
    }
    const measured = at >= measuredFrom
    seen.task = task
    seen.at = at
    seen.added = 0
    seen.revised = false
    if (task < lists) {
      const { deliveries } = series[task]!
      const { at: times, outageHours, rows } = deliveries
      let i = next[task]!
      if (measured && i < times.length && times[i]! <= at) score.staleSeconds += at - Math.max(measuredFrom, times[i]!)
      let added = 0
      // All that waited because an outage made the rule ask seldom counts to that outage.
      let outage = 0
      for (let j = i; j < times.length && times[j]! <= at; j++) outage = Math.max(outage, outageHours[j]!)
      for (; i < times.length && times[i]! <= at; i++) {
        added += rows[i]!
        if (times[i]! >= measuredFrom)
          score.delivered(task, kinds[task]!, rows[i]!, at - times[i]!, outage, outageHours[i]!)
      }
      if (added > 0) newest[task] = deliveries.newest[i - 1]!
      next[task] = i
      seen.added = added
      seen.newest = newest[task]!
      if (measured) {
        score.requests.latest++
        score.requestsByClass[kinds[task]!]!++
        if (added === 0) {
          score.empty++
          score.emptyByClass[kinds[task]!]!++
        }
      }
    } else if (task < months) {
      seen.newest = undefined
      if (fromLists && listRead[task - lists] === 0) leadTo(task - lists, at)
      listRead[task - lists] = 1
      for (const one of seriesOfSite[task - lists]!) {
        const { at: times } = series[one]!.deliveries
        let i = Math.max(listed[one]!, next[one]!)
        const before = i
        while (i < times.length && times[i]! <= at) i++
        if (i > before) seen.added++
        listed[one] = i
      }
      if (measured) {
        score.requests.lists++
        if (seen.added === 0) {
          score.empty++
          score.emptyLists++
        }
      }
    } else {
      seen.newest = undefined
      fetched[task - months] = 1
      const waiting = found[task - months]
      if (waiting !== undefined && waiting.length > 0) {
        seen.revised = true
        if (measured) for (const since of waiting) score.corrections.add(1, at - Math.max(since, measuredFrom))
        waiting.length = 0
      }
      if (measured) {
        score.requests.months++
        if (!seen.revised) {
          score.empty++
          score.emptyMonths++
        }
      }
    }
    heap.set(task, Math.max(at + 0.001, rule.after(seen, wake)))
  }
  // What nobody captured has waited until now at least.
  for (const [i, one] of series.entries()) {
    const { at: times, outageHours, rows } = one.deliveries
    for (let j = next[i]!; j < times.length; j++) {
      if (times[j]! >= measuredFrom) score.delivered(i, kinds[i]!, rows[j]!, until - times[j]!, 1, outageHours[j]!)
    }
    if (next[i]! < times.length) score.staleSeconds += until - Math.max(measuredFrom, times[next[i]!]!)
  }
  // Those that nobody found count too: else the less a rule looks, the earlier it would seem to find.
  for (const waiting of found)
    for (const since of waiting ?? []) score.corrections.add(1, until - Math.max(since, measuredFrom))
  return score
}
