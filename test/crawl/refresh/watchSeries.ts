/** A series watched by the policy as the service would, from what it delivers and when. Times are milliseconds. */
import { decide, type Decision, type ServerKnowledge } from "../../../src/crawl/RefreshPolicy.ts"

export interface Delivery {
  readonly at: number
  readonly newest: number
  readonly rows: number
}

export interface Watched {
  readonly looks: number
  readonly empty: number
  /** Of each delivery that was captured, when it came and how long it waited. */
  readonly waited: ReadonlyArray<readonly [at: number, wait: number]>
  readonly last: Decision
}

/** `deliveries` in order of time, `step` the distance of their rows. */
export const watchSeries = (
  deliveries: ReadonlyArray<Delivery>,
  { kept, server, start, step, until }: WatchOptions
): Watched => {
  const waited: Array<readonly [number, number]> = []
  let at = start
  let known = kept
  let next = 0
  let newest: number | undefined
  let looks = 0
  let empty = 0
  for (;;) {
    let added = 0
    for (; next < deliveries.length && deliveries[next]!.at <= at; next++) {
      const one = deliveries[next]!
      added += one.rows
      newest = one.newest
      waited.push([one.at, at - one.at])
    }
    looks++
    if (added === 0) empty++
    const look = { requestType: "MEASUREMENT_DATA_LATEST", at, added, revised: false, newest, step } as const
    const decision = decide(known, look, server, 7)
    if (decision.due >= until) return { looks, empty, waited, last: decision }
    known = decision.kept
    at = decision.due
  }
}

export interface WatchOptions {
  readonly start: number
  readonly until: number
  readonly step: number
  readonly server: ServerKnowledge
  readonly kept?: string | undefined
}

export const mean = (values: ReadonlyArray<number>): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length
