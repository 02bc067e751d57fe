import { councilMix, councilWorld } from "./CouncilWorld.ts"
import { simulate, tasksOf } from "./simulate.ts"
import { policyRule } from "./policyRule.ts"
import { clairvoyant } from "./clairvoyant.ts"
import { classes } from "./World.ts"
const [seed, rates, sites] = [
  Number(process.argv[2] ?? 1),
  (process.argv[3] ?? "59,19.6,5.9").split(",").map(Number),
  Number(process.argv[4] ?? 120)
]
const world = councilWorld(seed, {
  sites,
  days: Number(process.env.DAYS ?? 50),
  ...(process.argv[5] ? { mix: { ...councilMix, tenDays: true } } : {})
})
const tasks = tasksOf(world)
for (const rate of rates) {
  const t = performance.now()
  const rule = policyRule(tasks, seed, rate)
  const s = simulate(tasks, seed, rule)
  console.log(
    "rate",
    rate,
    s.requestsADay.toFixed(2),
    "; mean",
    (s.all.mean / 60).toFixed(2),
    "without",
    (s.withoutOutages.mean / 60).toFixed(2),
    "bound",
    (clairvoyant(world, rate).mean / 60).toFixed(2),
    "empty",
    s.emptyShare.toFixed(3),
    "by series h",
    (s.meanBySeries / 3600).toFixed(2),
    "p95 min",
    (s.all.quantile(0.95) / 60).toFixed(1),
    "corr d",
    (s.corrections.mean / 86400).toFixed(1),
    "long h mean",
    (s.longOutages.mean / 3600).toFixed(1),
    "p95",
    (s.longOutages.quantile(0.95) / 3600).toFixed(1),
    JSON.stringify(s.requests),
    "price",
    rule.server().price.toFixed(0),
    ((performance.now() - t) / 1000).toFixed(1) + " s",
    (process.cpuUsage().user / 1e6).toFixed(1) + " s cpu"
  )
  console.log(
    classes
      .map(
        (c, i) =>
          `    ${c}: ${(s.byClass[i]!.mean / 60).toFixed(1)} min (${((100 * s.byClass[i]!.rows) / s.all.rows).toFixed(0)} % of values, ${(s.requestsByClass[i]! / s.series / s.days).toFixed(2)} req, ${((100 * s.emptyByClass[i]!) / Math.max(1, s.requestsByClass[i]!)).toFixed(0)}% empty); share of delay ${((100 * s.byClass[i]!.seconds) / s.all.seconds).toFixed(0)} %`
      )
      .join("\n")
  )
  if (process.argv[6])
    for (const id of process.argv[6].split(",").map(Number)) console.log(id, world.series[id]!.kind, rule.keptOf(id))
}
