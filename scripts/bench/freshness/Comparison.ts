/** Scores of all rules over seeds, as means with 95 % intervals. */
import { clairvoyant } from "./clairvoyant.ts"
import { originalRules, stepRules } from "./fixedRules.ts"
import { policyRule } from "./policyRule.ts"
import type { Score } from "./Score.ts"
import { type Rule, simulate, type Tasks, tasksOf } from "./simulate.ts"
import { classes, type World } from "./SimulatedWorld.ts"

/** Requests a series and day: what the original makes at its own intervals, a third, a tenth. */
export const rates = [59, 19.6, 5.9] as const

export const ruleNames = ["original", "before", "policy", "clairvoyant"] as const
export type RuleName = (typeof ruleNames)[number]

/** Of one seed, rate and rule; delays in minutes. */
export interface Row {
  readonly seed: number
  readonly rate: number
  readonly rule: RuleName
  readonly requests: number
  readonly empty: number
  readonly mean: number
  readonly withoutOutages: number
  readonly bySeries: number
  readonly p95: number
  readonly worst: number
  readonly freshness: number
  /** Days until a correction of an old month was found, or that it had waited at the end. */
  readonly corrections: number
  /** Shares of outages of a week and more whose end was noticed within 2 and 6 hours; NaN when there was none. */
  readonly within2h: number
  readonly within6h: number
  readonly byClass: ReadonlyArray<number>
}

const rowOf = (seed: number, rate: number, rule: RuleName, score: Score): Row => ({
  seed,
  rate,
  rule,
  requests: score.requestsADay,
  empty: score.emptyShare,
  mean: score.all.mean / 60,
  withoutOutages: score.withoutOutages.mean / 60,
  bySeries: score.meanBySeries / 60,
  p95: score.all.quantile(0.95) / 60,
  worst: score.all.worst / 60,
  freshness: score.freshness,
  corrections: score.corrections.mean / 86_400,
  within2h: score.longOutages.shareWithin(2 * 3600),
  within6h: score.longOutages.shareWithin(6 * 3600),
  byClass: score.byClass.map((one) => (one.rows === 0 ? Number.NaN : one.mean / 60))
})

/** The stretch of intervals at which fixed rules make so many requests, found in three tries: requests go almost as its inverse. */
const stretched = (
  tasks: Tasks,
  seed: number,
  rate: number,
  rules: (tasks: Tasks, seed: number, stretch: number) => Rule
): Score => {
  let stretch = 1
  let score = simulate(tasks, seed, rules(tasks, seed, stretch))
  // At the first of the rates they make the requests that they make.
  if (rate === rates[0]) return score
  for (let n = 0; n < 3; n++) {
    if (Math.abs(score.requestsADay / rate - 1) <= 0.03) break
    stretch *= score.requestsADay / rate
    score = simulate(tasks, seed, rules(tasks, seed, stretch))
  }
  return score
}

export const compare = (world: World, seed: number): ReadonlyArray<Row> => {
  const tasks = tasksOf(world)
  return rates.flatMap((rate) => {
    const bound = clairvoyant(world, rate)
    return [
      rowOf(seed, rate, "original", stretched(tasks, seed, rate, originalRules)),
      rowOf(seed, rate, "before", stretched(tasks, seed, rate, stepRules)),
      rowOf(seed, rate, "policy", simulate(tasks, seed, policyRule(tasks, seed, rate))),
      {
        seed,
        rate,
        rule: "clairvoyant",
        requests: bound.requestsADay,
        empty: 0,
        mean: bound.mean / 60,
        withoutOutages: bound.mean / 60,
        bySeries: Number.NaN,
        p95: Number.NaN,
        worst: Number.NaN,
        freshness: Number.NaN,
        corrections: Number.NaN,
        within2h: Number.NaN,
        within6h: Number.NaN,
        byClass: classes.map(() => Number.NaN)
      }
    ]
  })
}

export interface Interval {
  readonly mean: number
  /** Half of the 95 % interval; 0 for one seed. */
  readonly half: number
}

/** Student's t for 97.5 % by degrees of freedom, to 30; beyond, that of the normal distribution. */
const student = [
  12.71, 4.3, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23, 2.2, 2.18, 2.16, 2.14, 2.13, 2.12, 2.11, 2.1, 2.09, 2.09,
  2.08, 2.07, 2.07, 2.06, 2.06, 2.06, 2.05, 2.05, 2.05, 2.04
]

export const interval = (values: ReadonlyArray<number>): Interval => {
  const known = values.filter((value) => !Number.isNaN(value))
  const mean = known.reduce((a, b) => a + b, 0) / known.length
  if (known.length < 2) return { mean, half: 0 }
  const variance = known.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (known.length - 1)
  return { mean, half: (student[known.length - 2] ?? 1.96) * Math.sqrt(variance / known.length) }
}

export const over = (rows: ReadonlyArray<Row>, rate: number, rule: RuleName, of: (row: Row) => number): Interval =>
  interval(rows.filter((row) => row.rate === rate && row.rule === rule).map(of))
