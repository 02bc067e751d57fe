import { councilWorld } from "./CouncilWorld.ts"
import { simulate, tasksOf } from "./simulate.ts"
import { policyRule } from "./policyRule.ts"
import { parseSeries } from "../../../src/crawl/refresh/SeriesState.ts"
import { describeSeries } from "../../../src/crawl/refresh/describeSeries.ts"
const kind = process.argv[4]
const world = councilWorld(1, { sites: Number(process.argv[2]), days: 50 })
const tasks = tasksOf(world)
const rule = policyRule(tasks, 1, Number(process.argv[3]))
const next = new Int32Array(world.series.length)
const big: Array<[number, string]> = []
simulate(tasks, 1, {
  after: (seen, wake) => {
    const before = seen.task < tasks.lists ? rule.keptOf(seen.task) : undefined
    const due = rule.after(seen, wake)
    if (seen.task < tasks.lists && world.series[seen.task]!.kind === kind) {
      const d = world.series[seen.task]!.deliveries
      let i = next[seen.task]!,
        sum = 0,
        worst = 0,
        rows = 0,
        out = 0
      while (i < d.at.length && d.at[i]! <= seen.at) {
        sum += d.rows[i]! * (seen.at - d.at[i]!)
        worst = Math.max(worst, seen.at - d.at[i]!)
        rows += d.rows[i]!
        out = Math.max(out, d.outageHours[i]!)
        i++
      }
      next[seen.task] = i
      if (seen.at > world.measuredFrom && before)
        big.push([
          sum,
          `${seen.task} day ${(seen.at / 86400).toFixed(3)} rows ${rows} waited ${(worst / 60).toFixed(0)} min outage ${out} h | before: ${describeSeries(parseSeries(before)!, { due: 0, why: "overdue" }, false)} miss ${parseSeries(before)!.clock?.missed.toFixed(2)} | ${before.slice(0, 60)}`
        ])
    }
    return due
  }
})
const total = big.reduce((a, b) => a + b[0], 0)
big.sort((a, b) => b[0] - a[0])
let acc = 0
for (const [s, t] of big.slice(0, 40)) {
  acc += s
  console.log(((100 * s) / total).toFixed(1), ((100 * acc) / total).toFixed(0), t)
}
