/**
 * The bound: who knows every arrival, and asks at arrivals alone, chosen to minimise delays plus `price` for each request. For one
 * price that is exact, series by series; the price is found by bisection so that all requests together are as many as allowed.
 * It asks for no list, no month and no empty answer, so nobody can be better, and nobody can be as good.
 */
import type { World } from "./CouncilSeries.ts"

export interface Bound {
  /** Seconds, by value. */
  readonly mean: number
  readonly requestsADay: number
  readonly price: number
}

/** Least cost by the convex hull of lines: f(j) = price + min over i of f(i) + (sum over i < d ≤ j of rows(d) · (at(j) − at(d))). */
const looksFor = (at: Int32Array, rows: Uint16Array, from: number, price: number) => {
  const n = at.length - from
  const slope = new Float64Array(n + 1)
  const height = new Float64Array(n + 1)
  const looks = new Int32Array(n + 1)
  const delay = new Float64Array(n + 1)
  const hull = new Int32Array(n + 1)
  let head = 0
  let size = 0
  let rowsSoFar = 0
  let weighed = 0
  let cost = 0
  const crosses = (a: number, b: number) => (height[b]! - height[a]!) / (slope[a]! - slope[b]!)
  // Line i: value at x is height + slope · x with slope −rows before, height f(i) + Σ rows·at before.
  slope[0] = 0
  height[0] = 0
  hull[size++] = 0
  for (let j = 1; j <= n; j++) {
    const x = at[from + j - 1]! - at[from]!
    rowsSoFar += rows[from + j - 1]!
    weighed += rows[from + j - 1]! * x
    while (size - head > 1) {
      const a = hull[head]!
      const b = hull[head + 1]!
      if (height[b]! + slope[b]! * x <= height[a]! + slope[a]! * x) head++
      else break
    }
    const best = hull[head]!
    const segment = height[best]! + slope[best]! * x
    cost = price + segment + rowsSoFar * x - weighed
    looks[j] = looks[best]! + 1
    delay[j] = cost - price * looks[j]!
    slope[j] = -rowsSoFar
    height[j] = cost + weighed
    while (size - head > 1 && crosses(hull[size - 2]!, hull[size - 1]!) >= crosses(hull[size - 1]!, j)) size--
    hull[size++] = j
  }
  return { looks: looks[n]!, delay: delay[n]! }
}

export const clairvoyant = (world: World, requestsADay: number): Bound => {
  const days = world.days - world.measuredFrom / 86_400
  const allowed = requestsADay * world.series.length * days
  let rowsInAll = 0
  const firsts = world.series.map(({ deliveries }) => {
    let from = 0
    while (from < deliveries.at.length && deliveries.at[from]! < world.measuredFrom) from++
    for (let i = from; i < deliveries.at.length; i++) rowsInAll += deliveries.rows[i]!
    return from
  })
  const at = (price: number) => {
    let looks = 0
    let delay = 0
    for (const [i, { deliveries }] of world.series.entries()) {
      if (deliveries.at.length === firsts[i]) continue
      const one = looksFor(deliveries.at, deliveries.rows, firsts[i]!, price)
      looks += one.looks
      delay += one.delay
    }
    return { looks, delay }
  }
  let low = 0
  let high = 1e7
  let result = at(0)
  if (result.looks > allowed) {
    for (let n = 0; n < 24; n++) {
      const price = low === 0 ? high / 1000 : Math.sqrt(low * high)
      const one = at(price)
      if (one.looks > allowed) low = price
      else {
        high = price
        result = one
      }
      if (low > 0 && high / low < 1.002) break
    }
  } else high = 0
  return { mean: result.delay / rowsInAll, requestsADay: result.looks / world.series.length / days, price: high }
}
