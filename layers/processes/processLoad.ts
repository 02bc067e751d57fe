/**
 * How busy this process was since it was last asked.
 */
import { performance } from "node:perf_hooks"
import type { ProcessLoad } from "../../src/running/processDemand.ts"

/** Each call tells of the time since the one before. */
export const makeProcessLoad = (): (() => ProcessLoad) => {
  let loopBefore = performance.eventLoopUtilization()
  let usedBefore = process.cpuUsage()
  let at = performance.now()
  return () => {
    const [loop, used, now] = [performance.eventLoopUtilization(), process.cpuUsage(), performance.now()]
    const micros = used.user + used.system - usedBefore.user - usedBefore.system
    const load = {
      loop: performance.eventLoopUtilization(loop, loopBefore).utilization,
      processor: now > at ? micros / 1_000 / (now - at) : 0
    }
    loopBefore = loop
    usedBefore = used
    at = now
    return load
  }
}
