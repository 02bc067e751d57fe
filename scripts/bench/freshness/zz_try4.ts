import { councilWorld } from "./CouncilWorld.ts"
import { simulate, tasksOf } from "./simulate.ts"
import { policyRule } from "./policyRule.ts"
import { leaders } from "../../../src/crawl/RefreshPolicy.ts"
import { parseSeries } from "../../../src/crawl/refresh/SeriesState.ts"
import { quantile } from "../../../src/crawl/refresh/ArrivalWindow.ts"
const world = councilWorld(1, { sites: Number(process.argv[2]), days: 30 })
const tasks = tasksOf(world)
const rule = policyRule(tasks, 1, Number(process.argv[3]))
simulate(tasks, 1, rule)
for (let site = 0; site < world.sites; site++) {
  const m = leaders(tasks.seriesOfSite[site]!.map((id) => ({ id, kept: rule.keptOf(id) })))
  console.log(
    site,
    tasks.seriesOfSite[site]!.map((id) => {
      const s = parseSeries(rule.keptOf(id))!
      const c = s.clock
      return `${world.series[id]!.kind}:${m.get(id) ?? "-"}:${c ? (c.period / 60).toFixed(0) + "/" + (quantile(c.window, 0.05) / 60).toFixed(1) + "–" + (quantile(c.window, 0.5) / 60).toFixed(1) + "–" + (quantile(c.window, 0.95) / 60).toFixed(1) + "/m" + c.missed.toFixed(1) + "/o" + c.off.toFixed(1) + "/n" + c.window.seen : "none " + s.gaps + ">" + s.above / 60}`
    }).join("  ")
  )
}
