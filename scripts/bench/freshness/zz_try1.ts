import { councilWorld } from "/work/wt/policy/scripts/bench/freshness/CouncilWorld.ts"
import { simulate, tasksOf } from "/work/wt/policy/scripts/bench/freshness/simulate.ts"
import { originalRules, stepRules } from "/work/wt/policy/scripts/bench/freshness/fixedRules.ts"
import { clairvoyant } from "/work/wt/policy/scripts/bench/freshness/clairvoyant.ts"
import { classes } from "/work/wt/policy/scripts/bench/freshness/World.ts"
const seeds = Number(process.argv[2] ?? 2)
for (let seed = 1; seed <= seeds; seed++) {
  let t = performance.now()
  const world = councilWorld(seed, { sites: Number(process.argv[3] ?? 120) })
  const n = world.series.reduce((s, x) => s + x.deliveries.at.length, 0) / world.series.length / world.days
  console.log(
    "world",
    seed,
    "series",
    world.series.length,
    "deliveries a day",
    n.toFixed(1),
    "corrections",
    world.corrections.length,
    ((performance.now() - t) / 1000).toFixed(1) + " s"
  )
  const tasks = tasksOf(world)
  for (const [name, rule] of [
    ["original", originalRules],
    ["today", stepRules]
  ] as const) {
    t = performance.now()
    const s = simulate(tasks, seed, rule(tasks, seed, 1))
    console.log(
      name,
      s.requestsADay.toFixed(1),
      "a day; mean",
      (s.all.mean / 60).toFixed(2),
      "without",
      (s.withoutOutages.mean / 60).toFixed(2),
      "empty",
      s.emptyShare.toFixed(3),
      "by series h",
      (s.meanBySeries / 3600).toFixed(1),
      "corr d",
      (s.corrections.mean / 86400).toFixed(1),
      "long h",
      (s.longOutages.mean / 3600).toFixed(1),
      s.requests,
      ((performance.now() - t) / 1000).toFixed(1) + " s"
    )
    console.log(
      "   ",
      classes
        .map(
          (c, i) =>
            `${c} ${(s.byClass[i]!.mean / 60).toFixed(1)} (${((100 * s.byClass[i]!.rows) / s.all.rows).toFixed(0)} % of values, ${(s.requestsByClass[i]! / s.series / s.days).toFixed(1)} req, ${((100 * s.emptyByClass[i]!) / Math.max(1, s.requestsByClass[i]!)).toFixed(0)}% empty)`
        )
        .join("; ")
    )
  }
  for (const r of [59, 19.6, 5.9]) {
    t = performance.now()
    const b = clairvoyant(world, r)
    console.log(
      "bound",
      r,
      (b.mean / 60).toFixed(2),
      b.requestsADay.toFixed(1),
      "price",
      b.price.toFixed(0),
      ((performance.now() - t) / 1000).toFixed(1) + " s"
    )
  }
}
