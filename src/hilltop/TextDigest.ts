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

  /** As new. */
  restart(): void {
    this.#a = 0x2f0b4c47
    this.#b = 0x5bd1e995
  }

  number(n: number): void {
    this.#a = mix(this.#a, n | 0, 0xcc9e2d51, 0x1b873593)
    this.#b = mix(this.#b, n | 0, 0x239b961b, 0xab0e9789)
  }

  /** The length goes in first, so that where one text ends and the next begins is part of what is told apart. */
  text(text: string): void {
    const { length } = text
    let a = mix(this.#a, length, 0xcc9e2d51, 0x1b873593)
    let b = mix(this.#b, length, 0x239b961b, 0xab0e9789)
    for (let i = 0; i < length; i += 2) {
      const n = text.charCodeAt(i) | (i + 1 < length ? text.charCodeAt(i + 1) << 16 : 0)
      a = mix(a, n, 0xcc9e2d51, 0x1b873593)
      b = mix(b, n, 0x239b961b, 0xab0e9789)
    }
    this.#a = a
    this.#b = b
  }

  /** As the text that these codes of ASCII characters stand for. */
  part(codes: Uint8Array, from: number, until: number): void {
    const length = until - from
    let a = mix(this.#a, length, 0xcc9e2d51, 0x1b873593)
    let b = mix(this.#b, length, 0x239b961b, 0xab0e9789)
    for (let i = from; i < until; i += 2) {
      const n = codes[i]! | (i + 1 < until ? codes[i + 1]! << 16 : 0)
      a = mix(a, n, 0xcc9e2d51, 0x1b873593)
      b = mix(b, n, 0x239b961b, 0xab0e9789)
    }
    this.#a = a
    this.#b = b
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

const hexOf = (lane: number): string => (lane >>> 0).toString(16).padStart(8, "0")

export const digestOfText = (text: string): string => {
  const digest = new TextDigest()
  digest.text(text)
  return digest.hex
}
