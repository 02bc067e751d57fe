/**
 * Chance for the simulated worlds: the same seed and keys give the same numbers on every machine and in every run.
 *
 * It splits: `seeded(seed, "end_user", gsrn)` is a stream of its own, so that one more draw in one place of a world never
 * shifts the numbers of another. It is not Effect's Random on purpose: a world has to be a pure function of its seed,
 * readable at any index in any order, and a million points cannot each keep a generator. Not fit for secrets.
 */

/** What a seed or a key may be. */
export type SeedKey = string | number

/** One stream of chance. Every draw moves it on; two streams made with the same seed and keys draw the same. */
export interface SeededRandom {
  /** The next number in [0, 1), with 32 bits of chance. */
  readonly next: () => number
  /** The next integer in [low, high], both ends included. */
  readonly int: (low: number, high: number) => number
  /** One element of the list, all equally likely. Throws a RangeError on an empty list. */
  readonly pick: <A>(list: ReadonlyArray<A>) => A
  /** True with the given probability: never at 0, always at 1. */
  readonly chance: (probability: number) => boolean
  /** A waiting time, exponentially distributed around the mean: the gaps of events that come at random. */
  readonly exponential: (mean: number) => number
  /** A number from the normal distribution. */
  readonly normal: (mean: number, deviation: number) => number
}

/**
 * The stream of this seed and these keys. The number 7 and the text "7" are the same key, because a seed often comes
 * from a command line.
 */
export const seeded = (seed: SeedKey, ...keys: ReadonlyArray<SeedKey>): SeededRandom => {
  let [a, b, c, d] = state(seed, keys)

  /** sfc32: 128 bits of state, passes PractRand, and a handful of integer operations per draw. */
  const bits = (): number => {
    const sum = (((a + b) | 0) + d) | 0
    d = (d + 1) | 0
    a = b ^ (b >>> 9)
    b = (c + (c << 3)) | 0
    c = ((c << 21) | (c >>> 11)) + sum
    c |= 0
    return sum >>> 0
  }
  // The first draws of sfc32 still show the seed; the authors skip 12 to 15 of them.
  for (let i = 0; i < 12; i++) bits()

  const next = (): number => bits() / 4_294_967_296
  return {
    next,
    int: (low, high) => low + Math.floor(next() * (high - low + 1)),
    pick: (list) => {
      if (list.length === 0) throw new RangeError("Cannot pick from an empty list")
      // The index is below the length, so what is there is an element of the list.
      return list[Math.floor(next() * list.length)] as (typeof list)[number]
    },
    chance: (probability) => next() < probability,
    exponential: (mean) => -mean * Math.log(1 - next()),
    normal: (mean, deviation) =>
      mean + deviation * Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next())
  }
}

/**
 * cyrb128 over the seed and the keys: four 32-bit words. A separator between them keeps ("1", "23") apart from
 * ("12", "3").
 */
const state = (seed: SeedKey, keys: ReadonlyArray<SeedKey>): [number, number, number, number] => {
  let h1 = 1_779_033_703
  let h2 = 3_144_134_277
  let h3 = 1_013_904_242
  let h4 = 2_773_480_762
  const mix = (code: number): void => {
    h1 = h2 ^ Math.imul(h1 ^ code, 597_399_067)
    h2 = h3 ^ Math.imul(h2 ^ code, 2_869_860_233)
    h3 = h4 ^ Math.imul(h3 ^ code, 951_274_213)
    h4 = h1 ^ Math.imul(h4 ^ code, 2_716_044_179)
  }
  const mixText = (text: string): void => {
    for (let i = 0; i < text.length; i++) mix(text.charCodeAt(i))
    mix(0x1f)
  }
  mixText(String(seed))
  for (const key of keys) mixText(String(key))
  h1 = Math.imul(h3 ^ (h1 >>> 18), 597_399_067)
  h2 = Math.imul(h4 ^ (h2 >>> 22), 2_869_860_233)
  h3 = Math.imul(h1 ^ (h3 >>> 17), 951_274_213)
  h4 = Math.imul(h2 ^ (h4 >>> 19), 2_716_044_179)
  const all = h1 ^ h2 ^ h3 ^ h4
  return [all, h2 ^ all, h3 ^ all, h4 ^ all]
}
