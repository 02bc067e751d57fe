/**
 * Finds the period of a series' deliveries from the times of newest rows alone: the distance of two is a multiple of the period,
 * however many deliveries lay between, so the longest candidate that explains nearly all distances is the period.
 *
 * Looks at random moments make that work; looks that wait for each fourth delivery would find four periods for one.
 */
const minute = 60
const hour = 3600
const day = 86_400

/** The step of the series comes first. */
const candidates: ReadonlyArray<number> = [
  ...[5, 10, 15, 20, 30].map((n) => n * minute),
  ...[1, 2, 3, 4, 6, 8, 12].map((n) => n * hour),
  day,
  7 * day
]

export const candidateCount = candidates.length + 1
export const candidate = (index: number, step: number): number => (index === 0 ? step : candidates[index - 1]!)

/** Distances that must have been seen before a period is believed. */
const enough = 5
const convincing = 0.8

export const noFits: ReadonlyArray<number> = new Array<number>(candidateCount).fill(0.5)

/** How well the candidates explain the gaps, with one more of them. */
export const withGap = (
  fits: ReadonlyArray<number>,
  seen: number,
  gap: number,
  step: number
): ReadonlyArray<number> => {
  const rate = 1 / Math.min(seen + 2, 10)
  return fits.map((fit, index) => {
    const period = candidate(index, step)
    const off = Math.abs(gap - Math.max(1, Math.round(gap / period)) * period)
    return fit + rate * ((off <= 0.1 * period ? 1 : 0) - fit)
  })
}

/** The period, where one is convincing; those up to `above` have failed, and none is shorter than the step. */
export const foundPeriod = (
  fits: ReadonlyArray<number>,
  seen: number,
  step: number,
  above: number
): number | undefined => {
  if (seen < enough) return undefined
  let longest: number | undefined
  for (let index = 0; index < candidateCount; index++) {
    const period = candidate(index, step)
    if (period < 0.9 * step || period <= above || period < 30 || fits[index]! < convincing) continue
    if (longest === undefined || period > longest) longest = period
  }
  return longest
}
