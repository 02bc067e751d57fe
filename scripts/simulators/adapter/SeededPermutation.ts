/**
 * A shuffle of 0 … size-1 that is never stored: both directions are computed, so a million places cost nothing.
 *
 * A Feistel network over the next power of four, walked until it lands inside (at most four steps on average). It is
 * what lets the world answer both "when does point 17 change?" and "who changes this second?" without a scan.
 */
import { seeded, type SeedKey } from "../SeededRandom.ts"

export interface SeededPermutation {
  /** The element at a place. */
  readonly at: (place: number) => number
  /** The place of an element: the inverse of `at`. */
  readonly placeOf: (element: number) => number
}

/** The permutation of 0 … size-1 that this seed and these keys name; `size` is at most 2^30. */
export const seededPermutation = (size: number, seed: SeedKey, ...keys: ReadonlyArray<SeedKey>): SeededPermutation => {
  let halfBits = 1
  while (4 ** halfBits < size) halfBits++
  const mask = 2 ** halfBits - 1
  const random = seeded(seed, "permutation", ...keys)
  const roundKeys = [word(random.next()), word(random.next()), word(random.next()), word(random.next())] as const

  const forward = (element: number): number => {
    let left = element >>> halfBits
    let right = element & mask
    for (const key of roundKeys) [left, right] = [right, left ^ (scramble(right, key) & mask)]
    return ((left << halfBits) | right) >>> 0
  }
  const backward = (element: number): number => {
    let left = element >>> halfBits
    let right = element & mask
    for (let i = roundKeys.length - 1; i >= 0; i--) {
      ;[left, right] = [right ^ (scramble(left, roundKeys[i] ?? 0) & mask), left]
    }
    return ((left << halfBits) | right) >>> 0
  }
  const inside =
    (step: (element: number) => number) =>
    (start: number): number => {
      let element = step(start)
      while (element >= size) element = step(element)
      return element
    }
  return { at: inside(forward), placeOf: inside(backward) }
}

const word = (fraction: number): number => Math.floor(fraction * 4_294_967_296) | 0

/** The finaliser of MurmurHash3: every bit of the input moves about half of the output's. */
const scramble = (value: number, key: number): number => {
  let hash = value ^ key
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}
