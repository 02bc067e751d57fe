/** The production policy as a rule of the simulator: what the service keeps in its rows is kept here in arrays. */
import {
  afterLooks,
  chanceOf,
  decide,
  decideSeries,
  leaders,
  type Lesson,
  type ServerKnowledge,
  unknownServer
} from "../../../src/crawl/RefreshPolicy.ts"
import { formatSeries, parseSeries, type SeriesState } from "../../../src/crawl/refresh/SeriesState.ts"
import { type Rule, type Seen, type Tasks } from "./simulate.ts"
import { worldStart } from "./CouncilSeries.ts"

const month = 30.44 * 86_400

export interface PolicyRule extends Rule {
  readonly server: () => ServerKnowledge
  readonly keptOf: (task: number) => string | undefined
}

/** With `requestsADay` of each series; undefined: no wish. */
export const policyRule = (tasks: Tasks, seed: number, requestsADay: number | undefined): PolicyRule => {
  const { firstMonth, lists, monthOf, months, seriesOfMonth, seriesOfSite, world } = tasks
  const { series } = world
  const kept: Array<string | undefined> = Array.from({ length: months + monthOf.length })
  const follows = new Int32Array(series.length).fill(-1)
  const followers = series.map((): Array<number> => [])
  const allowed = requestsADay === undefined ? undefined : requestsADay * series.length
  let server = unknownServer
  let lessons: Array<Lesson> = []
  let settledAt = 0
  const instant = (seconds: number) => worldStart + seconds * 1000

  const lead = (site: number) => {
    const members = seriesOfSite[site]!
    for (const id of members) followers[id]!.length = 0
    for (const [id, leader] of leaders(
      members.map((id) => ({ id, kept: keptOf(id), follows: follows[id]! < 0 ? undefined : follows[id] }))
    )) {
      follows[id] = leader ?? -1
      if (leader !== undefined) followers[leader]!.push(id)
    }
  }
  const lookOf = ({ added, at, newest, revised, task }: Seen) => {
    const common = { at: instant(at), added, revised }
    if (task < lists) {
      return {
        ...common,
        requestType: "MEASUREMENT_DATA_LATEST",
        newest: instant(newest!),
        step: series[task]!.step * 1000,
        follows: follows[task]! >= 0,
        followers: followers[task]!.length
      } as const
    }
    if (task < months) {
      const siblings = seriesOfSite[task - lists]!.map((id) => ({ id, kept: keptOf(id), to: listedTo(id, at) }))
      return { ...common, requestType: "MEASUREMENTS_LIST", siblings } as const
    }
    const from = instant(-monthOf[task - months]! * month)
    return { ...common, requestType: "MEASUREMENT_DATA", period: { from, to: from + month * 1000 } } as const
  }
  const listedTo = (id: number, at: number) => {
    const { at: times, newest } = series[id]!.deliveries
    let low = 0
    let high = times.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (times[middle]! <= at) low = middle + 1
      else high = middle
    }
    return low === 0 ? instant(-series[id]!.step) : instant(newest[low - 1]!)
  }

  // As text, as the service keeps it, each twentieth time: that is nine tenths of the work, and loses nothing that matters.
  const states: Array<SeriesState | undefined> = Array.from({ length: series.length })
  const latest = (task: number, seen: Seen) => {
    const look = lookOf(seen)
    const state =
      counter++ % 20 === 0 && states[task] !== undefined ? parseSeries(formatSeries(states[task])) : states[task]
    const decision = decideSeries(state, look, server, chanceOf(seed * 100_003 + task, look.at))
    states[task] = decision.state
    return decision
  }
  let counter = 0
  const other = (task: number, seen: Seen) => {
    const decision = decide(kept[task], lookOf(seen), server, seed * 100_003 + task)
    kept[task] = decision.kept
    return decision
  }
  const keptOf = (task: number) => (states[task] === undefined ? undefined : formatSeries(states[task]))

  return {
    server: () => server,
    keptOf,
    after: (seen, wake) => {
      const { at, task } = seen
      const decision = task < lists ? latest(task, seen) : other(task, seen)
      lessons.push(decision.lesson)
      if (at - settledAt >= 900) {
        server = afterLooks(server, lessons, allowed, instant(at))
        lessons = []
        settledAt = at
      }
      for (const one of decision.wake) {
        const when = Math.max(at + 0.001, (one.at - worldStart) / 1000)
        if (one.which === "followers") for (const id of followers[task]!) wake(id, when)
        else if (one.which === "tasks") for (const id of one.ids) wake(id, when)
        else if (one.which === "sameMonth") {
          const index = task - months
          for (const id of seriesOfSite[series[seriesOfMonth[index]!]!.site]!) {
            if (monthOf[index]! <= series[id]!.months) wake(firstMonth[id]! + monthOf[index]! - 1, when)
          }
        }
      }
      if (task >= lists && task < months) lead(task - lists)
      return (decision.due - worldStart) / 1000
    }
  }
}
