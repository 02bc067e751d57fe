/**
 * When each point changes: once per period, at a place in it that is shuffled anew every period.
 *
 * Nothing is simulated step by step. The n-th change of any point is computed directly, and so is the list of changes
 * between two moments: its cost is the number of changes in it, not the number of points. Change numbers go below zero,
 * because the world has always been changing.
 */
import { seeded, type SeedKey } from "../SeededRandom.ts"
import { seededPermutation, type SeededPermutation } from "./SeededPermutation.ts"

/** Change 0 of every schedule lies within the period that begins here. */
export const worldOrigin = Date.UTC(2020, 0, 1)

export interface ScheduledChange {
  readonly index: number
  readonly number: number
  readonly at: number
}

export interface ChangeSchedule {
  /** The mean time between two changes of one point, in milliseconds; infinite when nothing ever changes. */
  readonly period: number
  /** When the point has its n-th change; -Infinity for a schedule that never changes anything. */
  readonly timeOf: (index: number, number: number) => number
  /** The number of the point's last change up to and including `time`. */
  readonly numberAt: (index: number, time: number) => number
  /** The changes in [from, to), in order of time. */
  readonly between: (from: number, to: number) => Iterable<ScheduledChange>
}

/** The schedule that `name` names in this world. `period` Infinity means that there is only change 0, long ago. */
export const changeSchedule = (seed: SeedKey, name: string, points: number, period: number): ChangeSchedule => {
  if (!Number.isFinite(period)) {
    return { period, timeOf: () => -Infinity, numberAt: () => 0, between: () => [] }
  }
  const slot = period / points
  const shuffle = (number: number): SeededPermutation => seededPermutation(points, seed, name, number)
  // The jitter lies inside the slot, so the changes stay in the order of their places.
  const timeAt = (number: number, place: number, index: number): number =>
    worldOrigin + (number * points + place + seeded(seed, name, "jitter", index, number).next()) * slot
  const timeOf = (index: number, number: number): number => timeAt(number, shuffle(number).placeOf(index), index)

  return {
    period,
    timeOf,
    numberAt: (index, time) => {
      const number = Math.floor((time - worldOrigin) / period)
      return timeOf(index, number) <= time ? number : number - 1
    },
    between: function* (from, to) {
      let number = NaN
      let permutation: SeededPermutation | undefined
      for (let step = Math.floor((from - worldOrigin) / slot) - 1; worldOrigin + step * slot < to; step++) {
        const stepNumber = Math.floor(step / points)
        if (permutation === undefined || stepNumber !== number) {
          number = stepNumber
          permutation = shuffle(number)
        }
        const place = step - number * points
        const index = permutation.at(place)
        const at = timeAt(number, place, index)
        if (from <= at && at < to) yield { index, number, at }
      }
    }
  }
}
