import { councilWorld } from "./CouncilWorld.ts"
import { simulate, tasksOf } from "./simulate.ts"
import { policyRule } from "./policyRule.ts"
import { parseSeries } from "../../../src/crawl/refresh/SeriesState.ts"
import { describeSeries } from "../../../src/crawl/refresh/describeSeries.ts"
const [seed, rate, sites, id, from] = [
  Number(process.argv[2]),
  Number(process.argv[3]),
  Number(process.argv[4]),
  Number(process.argv[5]),
  Number(process.argv[6])
]
const world = councilWorld(seed, { sites, days: 50 })
const tasks = tasksOf(world)
const rule = policyRule(tasks, seed, rate)
let n = 0
console.log(world.series[id]!.kind)
simulate(tasks, seed, {
  after: (seen, wake) => {
    const due = rule.after(seen, wake)
    if (seen.task === id && seen.at > from * 86400 && n++ < 40) {
      const st = parseSeries(rule.keptOf(id))!
      console.log(
        (seen.at / 86400).toFixed(3),
        "added",
        seen.added,
        "age",
        ((seen.at - seen.newest!) / 60).toFixed(1),
        "next in min",
        ((due - seen.at) / 60).toFixed(1),
        describeSeries(st, { due: due + 1788091200, why: "in step" }, false),
        "price",
        rule.server().price.toFixed(0),
        "n",
        st.deliveries.toFixed(1),
        "gaps",
        st.gaps,
        "miss",
        st.clock?.missed.toFixed(2),
        "off",
        st.clock?.off.toFixed(2),
        st.clock && [st.clock.window.from, st.clock.window.width].join("+")
      )
    }
    return due
  }
})
