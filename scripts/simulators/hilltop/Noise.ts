/**
 * Chance that can be read at any index: `hash01(key, 8_640)` costs a few integer operations and needs nothing before it.
 *
 * This is what makes a series of any length a pure function of its seed. `SeededRandom` draws in order, which is right
 * for making a council once and wrong for the millionth value of a series.
 */
import { seeded } from "../SeededRandom.ts"
import type { SeedKey } from "../SeededRandom.ts"

/** A 32-bit key for the functions below, drawn once per series. */
export const noiseKey = (seed: SeedKey, ...keys: ReadonlyArray<SeedKey>): number =>
  Math.floor(seeded(seed, ...keys).next() * 4_294_967_296) | 0

/** The number in [0, 1) that belongs to this key and index. Murmur3's finaliser, applied to both in turn. */
export const hash01 = (key: number, index: number): number => {
  let h = Math.imul(key ^ index, 0x85eb_ca6b)
  // Indices above 32 bits (seconds since 1970 in long series) keep their upper half.
  h = Math.imul(h ^ (h >>> 15) ^ Math.floor(index / 4_294_967_296), 0xc2b2_ae35)
  h = Math.imul(h ^ (h >>> 13) ^ key, 0x27d4_eb2f)
  return ((h ^ (h >>> 16)) >>> 0) / 4_294_967_296
}

/** A curve in [0, 1) without corners that wanders once per unit of x. */
export const smooth = (key: number, x: number): number => {
  const left = Math.floor(x)
  const f = x - left
  const ease = f * f * (3 - 2 * f)
  return hash01(key, left) * (1 - ease) + hash01(key, left + 1) * ease
}

/** Roughly normal, mean 0 and deviation 1: the sum of three uniform numbers, so never beyond ±3. */
export const normal01 = (key: number, index: number): number =>
  (hash01(key, index) + hash01(key + 1, index) + hash01(key + 2, index) - 1.5) * 2
