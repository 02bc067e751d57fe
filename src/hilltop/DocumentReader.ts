/**
 * How one kind of Hilltop document is read from a stream of elements, in one pass and without a tree.
 *
 * A reader sees depths instead of a path (the root is 1): every document is at most five deep and no name means two things
 * at one depth. It never throws; what is wrong with the document it tells in the end.
 */
import type { Result } from "effect"
import type { PlainRow } from "./XmlScanner.ts"

export interface DocumentReader<A> {
  readonly open: (name: string, attributes: Readonly<Record<string, string>>, depth: number) => void
  /** An element without elements in it, with its text, trimmed; called before its `close`. */
  readonly leaf: (name: string, text: string, depth: number) => void
  readonly close: (name: string, depth: number) => void
  /** What is in an element that was just opened, and its end: see `XmlHandler`. Whether it was taken; else its parts are told. */
  readonly row?: (row: PlainRow, depth: number) => boolean
  /** The document, or what is missing in it. Called once, after the last `close`. */
  readonly finish: () => Result.Result<A, string>
}

/** A whole number as `NumItems` and the like have it; anything else is `undefined`. */
export const wholeNumber = (text: string | undefined): number | undefined =>
  text !== undefined && /^-?\d{1,9}$/.test(text) ? Number(text) : undefined
