/**
 * 64 bits that stand for a text: two lanes of murmur3 over pairs of characters, some 2 ns a character.
 *
 * For telling apart what came at different times from the same server, where nobody gains by a collision: a difference that
 * goes unnoticed is one in 10^19. Lanes are kept as 32-bit integers, since a document may have 400,000 rows.
 */

const rotate = (n: number, bits: number): number => (n << bits) | (n >>> (32 - bits))
const mix = (hash: number, n: number, c1: number, c2: number): number =>
  (Math.imul(rotate(hash ^ Math.imul(rotate(Math.imul(n, c1), 15), c2), 13), 5) + 0xe6546b64) | 0
const finish = (hash: number): number => {
  const h = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  const g = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return (g ^ (g >>> 16)) | 0
}

export class TextDigest {
  #a = 0x2f0b4c47
  #b = 0x5bd1e995

  number(n: number): void {
    this.#a = mix(this.#a, n | 0, 0xcc9e2d51, 0x1b873593)
    this.#b = mix(this.#b, n | 0, 0x239b961b, 0xab0e9789)
  }

  /** The length goes in first, so that where one text ends and the next begins is part of what is told apart. */
  text(text: string): void {
    const { length } = text
    this.number(length)
    for (let i = 0; i < length; i += 2) {
      this.number(text.charCodeAt(i) | (i + 1 < length ? text.charCodeAt(i + 1) << 16 : 0))
    }
  }

  /** The two lanes as they are now; more may follow. */
  get high(): number {
    return finish(this.#a)
  }
  get low(): number {
    return finish(this.#b)
  }

  /** 16 hexadecimal digits. */
  get hex(): string {
    return hexOf(this.high) + hexOf(this.low)
  }
}

/**
 * The lanes for `text` from `from` up to `until`, written into `high` and `low` at `index`: a fifth of the cost of a digest of
 * its own, for the rows of a large document. Four characters go in at a time, unless one of them is beyond Latin-1. Tells
 * whether there is white space among them.
 */
export const digestRange = (
  text: string,
  range: { readonly from: number; readonly until: number; readonly seed: number },
  lanes: { readonly high: Int32Array; readonly low: Int32Array },
  index: number
): boolean => {
  const { from, seed, until } = range
  let a = 0x2f0b4c47 ^ seed
  let b = (0x5bd1e995 ^ (until - from)) | 0
  let all = 0
  let white = 0
  let i = from
  for (; i + 3 < until; i += 4) {
    const c0 = text.charCodeAt(i)
    const c1 = text.charCodeAt(i + 1)
    const c2 = text.charCodeAt(i + 2)
    const c3 = text.charCodeAt(i + 3)
    all |= c0 | c1 | c2 | c3
    const n = c0 | (c1 << 8) | (c2 << 16) | (c3 << 24)
    // The highest bit of a byte that is less than `!`; a borrow only makes more of what is there.
    white |= (n - 0x21212121) & ~n & 0x80808080
    a = mix(a, n, 0xcc9e2d51, 0x1b873593)
    b = mix(b, n, 0x239b961b, 0xab0e9789)
  }
  for (; i < until; i++) {
    const c = text.charCodeAt(i)
    all |= c
    if (c < 33) white = 1
    a = mix(a, c, 0xcc9e2d51, 0x1b873593)
    b = mix(b, c, 0x239b961b, 0xab0e9789)
  }
  if (all > 255) {
    const digest = new TextDigest()
    digest.number(seed)
    digest.text(text.slice(from, until))
    a = digest.high
    b = digest.low
  }
  lanes.high[index] = finish(a)
  lanes.low[index] = finish(b)
  return all > 255 ? /\s/.test(text.slice(from, until)) : white !== 0
}

const hexOf = (lane: number): string => (lane >>> 0).toString(16).padStart(8, "0")

export const digestOfText = (text: string): string => {
  const digest = new TextDigest()
  digest.text(text)
  return digest.hex
}
