/** The tables of a comparison in Markdown, as docs/freshness.md has them. */
import { type Interval, over, rates, type Row, type RuleName, ruleNames } from "./Comparison.ts"
import { classes } from "./SimulatedWorld.ts"

const short = (value: number): string =>
  Number.isNaN(value) ? "–" : value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2)
const cell = ({ half, mean }: Interval): string => (half > 0 ? `${short(mean)} ± ${short(half)}` : short(mean))
const line = (cells: ReadonlyArray<string>) => `| ${cells.join(" | ")} |`

const measures: ReadonlyArray<readonly [string, (row: Row) => number]> = [
  ["requests", (row) => row.requests],
  ["delay, min", (row) => row.mean],
  ["without outages, min", (row) => row.withoutOutages],
  ["95th percentile, min", (row) => row.p95],
  ["worst, days", (row) => row.worst / 1440],
  ["by series, h", (row) => row.bySeries / 60],
  ["fresh, %", (row) => 100 * row.freshness],
  ["found nothing, %", (row) => 100 * row.empty],
  ["correction waited, days", (row) => row.corrections],
  ["long outage's end within 6 h, %", (row) => 100 * row.within6h]
]

export const tellComparison = (rows: ReadonlyArray<Row>): string => {
  const all = rates.flatMap((rate) =>
    ruleNames.map((rule) => line([String(rate), rule, ...measures.map(([, of]) => cell(over(rows, rate, rule, of)))]))
  )
  const fixed: ReadonlyArray<RuleName> = ["original", "before", "policy"]
  const byClass = rates.flatMap((rate) =>
    fixed.map((rule) =>
      line([
        String(rate),
        rule,
        ...classes.map((_, index) => short(over(rows, rate, rule, (row) => row.byClass[index]!).mean))
      ])
    )
  )
  const rule = (n: number) => line(Array.from({ length: n }, () => "---"))
  return [
    line(["requests allowed", "rules", ...measures.map(([name]) => name)]),
    rule(measures.length + 2),
    ...all,
    "",
    "Mean delay in minutes by class:",
    "",
    line(["requests allowed", "rules", ...classes]),
    rule(classes.length + 2),
    ...byClass
  ].join("\n")
}
