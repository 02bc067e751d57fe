/** How a crawl begins at a server that takes no more requests than it must: by the production claim's order, simulated. */
import { assert, describe, it } from "@effect/vitest"
import { councilWorld } from "../../../scripts/bench/freshness/CouncilWorld.ts"
import { policyRule } from "../../../scripts/bench/freshness/policyRule.ts"
import { ServerQueue } from "../../../scripts/bench/freshness/ServerQueue.ts"
import { simulate, tasksOf } from "../../../scripts/bench/freshness/simulate.ts"

const day = 86_400

/** When each task was asked first, and the mean delay of values in seconds. */
const begun = (firstFetchesFirst: boolean) => {
  const world = councilWorld(3, { sites: 12, days: 3, measuredFromDay: 0 })
  const tasks = tasksOf(world)
  const perDay = 6 * world.series.length
  const rule = policyRule(tasks, 3, 0.8 * 6)
  const firstAt = new Map<number, number>()
  const score = simulate(
    tasks,
    3,
    {
      after: (seen, wake) => {
        if (!firstAt.has(seen.task)) firstAt.set(seen.task, seen.at)
        return rule.after(seen, wake)
      }
    },
    { fromLists: true, server: new ServerQueue(tasks, perDay / day, firstFetchesFirst) }
  )
  const latest = Array.from(world.series, (_, task) => firstAt.get(task) ?? Infinity)
  const lists = Array.from({ length: world.sites }, (_, site) => firstAt.get(tasks.lists + site) ?? Infinity)
  return { latest, lists, site: world.series.map(({ site }) => site), delay: score.all.mean, requests: firstAt.size }
}

describe("a crawl that begins at a tight server", () => {
  const [byDue, firstFirst] = [begun(false), begun(true)]
  const last = (times: ReadonlyArray<number>) => Math.max(...times)

  it("reads the lists, and what they lead to after them", () => {
    for (const { latest, lists, site } of [byDue, firstFirst])
      for (const [series, at] of latest.entries()) assert.isAbove(at, lists[site[series]!]!)
  })

  it("has all series in four fifths of the time where those never fetched come first, and new values no later", () => {
    assert.isBelow(last(firstFirst.latest), 0.8 * last(byDue.latest))
    assert.isBelow(firstFirst.delay, 1.1 * byDue.delay)
  })
})
