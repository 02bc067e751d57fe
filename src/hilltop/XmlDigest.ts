/**
 * What an XML document says, whatever it looks like: a digest that white space, the order of attributes, entity references
 * and comments do not change.
 *
 * `Agency`, `Version` and `CRC` directly under the root are left out: they tell of the server and of the file as a whole,
 * and a server that was updated has not changed its data.
 */
import { TextDigest } from "./TextDigest.ts"
import type { XmlHandler } from "./XmlScanner.ts"

const leftOut: ReadonlySet<string> = new Set(["Agency", "Version", "CRC"])

/** Codes no text begins with, since a length goes before every text. */
const OPEN = -1
const CLOSE = -2
const TEXT = -3

const noKeys: ReadonlyArray<string> = []

/** Of the attributes of an element, of which there mostly are none. */
export const sortedKeys = (attributes: Readonly<Record<string, string>>): ReadonlyArray<string> => {
  for (const _ in attributes) return Object.keys(attributes).sort()
  return noKeys
}

/** Hears a scan; with `unordered` the order of what stands directly under the root makes no difference. */
export class XmlDigest implements XmlHandler {
  readonly #unordered: boolean
  readonly #whole = new TextDigest()
  #part = this.#whole
  /** The lanes of all parts, added up: a sum knows no order, and takes no room. */
  #high = 0
  #low = 0
  #pending = ""
  #depth = 0
  #skipping = false

  constructor({ unordered = false }: { readonly unordered?: boolean } = {}) {
    this.#unordered = unordered
  }

  open(name: string, attributes: Readonly<Record<string, string>>): void {
    this.#flush()
    this.#depth++
    if (this.#depth === 2) {
      this.#skipping = leftOut.has(name)
      if (this.#unordered) this.#part = new TextDigest()
    }
    if (this.#skipping) return
    this.#part.number(OPEN)
    this.#part.text(name)
    for (const key of sortedKeys(attributes)) {
      this.#part.text(key)
      this.#part.text(attributes[key]!)
    }
  }

  text(piece: string): void {
    if (this.#pending !== "" || piece.trim() !== "") this.#pending += piece
  }

  close(): void {
    this.#flush()
    if (!this.#skipping) this.#part.number(CLOSE)
    if (this.#depth === 2) {
      if (this.#unordered && !this.#skipping) {
        this.#high = (this.#high + this.#part.high) | 0
        this.#low = (this.#low + this.#part.low) | 0
      }
      this.#part = this.#whole
      this.#skipping = false
    }
    this.#depth--
  }

  /** 16 hexadecimal digits for the document, once all of it was heard. */
  finish(): string {
    if (this.#unordered) {
      this.#whole.number(this.#high)
      this.#whole.number(this.#low)
    }
    return this.#whole.hex
  }

  #flush(): void {
    const trimmed = this.#pending.trim()
    this.#pending = ""
    if (trimmed === "" || this.#skipping) return
    this.#part.number(TEXT)
    this.#part.text(trimmed)
  }
}
