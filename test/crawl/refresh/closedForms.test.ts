/** The simulator against what can be computed: polls of a Poisson process, and the square root rule. */
import { assert, describe, it } from "@effect/vitest"
import { decide, unknownServer } from "../../../src/crawl/RefreshPolicy.ts"
import { clairvoyant } from "../../../scripts/bench/freshness/clairvoyant.ts"
import { SeededChance } from "../../../scripts/bench/freshness/SeededChance.ts"
import { simulate, tasksOf } from "../../../scripts/bench/freshness/simulate.ts"
import { DeliveriesBuilder, type World } from "../../../scripts/bench/freshness/CouncilSeries.ts"

const hour = 3600

const poissonWorld = (seed: number, series: number, perHour: number, days: number): World => {
  const chance = new SeededChance(seed)
  return {
    days,
    measuredFrom: 0,
    sites: series,
    corrections: [],
    series: Array.from({ length: series }, (_, site) => {
      const builder = new DeliveriesBuilder()
      const mean = hour / perHour
      for (let t = chance.exponential(mean); t < days * 86_400; t += chance.exponential(mean)) builder.add(t, t, 1)
      return { site, kind: "by chance" as const, step: mean, deliveries: builder.build(days * 86_400), months: 0 }
    })
  }
}

describe("freshness of polls by D·I = 1", () => {
  const world = poissonWorld(5, 400, 1, 60)
  const tasks = tasksOf(world)
  const freshnessOf = (wait: (chance: SeededChance) => number) => {
    const chance = new SeededChance(11)
    const after = ({ at, task }: { at: number; task: number }) => at + (task < tasks.lists ? wait(chance) : 1e9)
    return simulate(tasks, 1, { after }).freshness
  }
  const cases: ReadonlyArray<readonly [string, (chance: SeededChance) => number, number]> = [
    ["at fixed intervals", () => hour, 1 - Math.exp(-1)],
    ["at uniform ones, 0 to 2 I", (chance) => chance.between(0, 2 * hour), 1 - (1 - Math.exp(-2)) / 2],
    ["at exponential ones", (chance) => chance.exponential(hour), 0.5]
  ]
  for (const [name, wait, expected] of cases) {
    it(`${name} is ${expected.toFixed(3)}`, () => {
      assert.closeTo(freshnessOf(wait), expected, 0.003)
    })
  }
})

describe("the clairvoyant", () => {
  it("waits for nothing when it may ask as often as there is news, and is never beaten", () => {
    const world = poissonWorld(2, 50, 1, 20)
    assert.strictEqual(clairvoyant(world, 30).mean, 0)
    const few = clairvoyant(world, 6)
    assert.closeTo(few.requestsADay, 6, 0.2)
    assert.isAbove(few.mean, 0)
    assert.isBelow(few.mean, 2 * hour)
  })
})

describe("a series by chance, D known", () => {
  it("costs within 2 % of the optimum, sqrt(2 price / D) apart", () => {
    const world = poissonWorld(3, 60, 0.5, 120)
    const tasks = tasksOf(world)
    const price = 3600
    const server = { ...unknownServer, price }
    const kept: Array<string | undefined> = []
    const warm = { ...world, measuredFrom: 40 * 86_400 }
    const start = Date.UTC(2026, 0, 1)
    const score = simulate({ ...tasks, world: warm }, 1, {
      after: ({ added, at, newest, task }) => {
        if (task >= tasks.lists) return at + 1e9
        const look = {
          requestType: "MEASUREMENT_DATA_LATEST" as const,
          at: start + at * 1000,
          added,
          revised: false,
          newest: start + newest! * 1000,
          step: 2 * hour * 1000
        }
        const decision = decide(kept[task], look, server, task)
        kept[task] = decision.kept
        return (decision.due - start) / 1000
      }
    })
    const rate = 0.5 / hour
    const best = Math.sqrt(2 * price * rate)
    const perSecond = 1 / (60 * 80 * 86_400)
    const cost = (price * score.requests.latest + score.all.seconds) * perSecond
    assert.isBelow(cost / best, 1.02)
  })
})
