/**
 * Scans XML into plain callbacks: what a Hilltop document parser needs of an XML library, and no more.
 *
 * Callbacks are called synchronously, a few hundred thousand times for one document, so they are plain functions: no
 * Effect per element. Forbidden characters and references to them come as U+FFFD, a bare `&` as itself. The scanner gives the event loop back between pieces of `CHUNK_LENGTH` characters (about 1 ms each).
 */
import { Context, type Effect, Schema } from "effect"
import { asciiText } from "./asciiCodes.ts"
import { isoLength } from "./Nzst.ts"

/** The text is not well-formed XML, or holds what no Hilltop document needs and an attacker would send. */
export class XmlMalformed extends Schema.TaggedError<XmlMalformed>()("XmlMalformed", {
  message: Schema.String,
  line: Schema.optionalKey(Schema.Int)
}) {}

/** Entities are resolved; `text` may be called more than once in an element. */
export interface XmlHandler {
  readonly open: (name: string, attributes: Readonly<Record<string, string>>) => void
  readonly text: (text: string) => void
  readonly close: (name: string) => void
  /**
   * An element without attributes that holds this text and nothing else: told in place of its `open`, `text` and `close` where
   * the scanner sees it at once, as it does for nearly every cell of a large document. A handler without it is told the three.
   */
  readonly cell?: (name: string, text: string) => void
  /**
   * All that is in an `E` which was just opened, and its end, where that is a `T` with a time and one more cell: told in place of both
   * cells and of `close`, as nearly every row of a large document is, by their places in the text, so that no text is made of what
   * nobody keeps. A handler without it is told of cells.
   */
  readonly row?: (row: PlainRow) => void
}

/** A row of a time and a value, in the text it stands in; the same object for every row of a scan. */
export interface PlainRow {
  /** Of the text's characters, for as long as the row is told. */
  readonly codes: Uint8Array
  /** Of `2025-01-01T00:05:00`. */
  readonly timeAt: number
  /** As `parseNzst` reads it. */
  readonly time: number
  /** Of the other cell. */
  readonly name: string
  /** Of its text: printable ASCII without spaces, at least one character. */
  readonly from: number
  readonly until: number
}

/** Of an element without any. */
export const noAttributes: Readonly<Record<string, string>> = {}

/** Tells a cell by its three parts. */
export const tellApart = (handler: XmlHandler, name: string, text: string): void => {
  handler.open(name, noAttributes)
  if (text !== "") handler.text(text)
  handler.close(name)
}

/** Tells a row by its cells. */
export const tellCells = (handler: XmlHandler, { codes, from, name, timeAt, until }: PlainRow): void => {
  const [time, value] = [asciiText(codes, timeAt, timeAt + isoLength), asciiText(codes, from, until)]
  if (handler.cell === undefined) {
    tellApart(handler, "T", time)
    tellApart(handler, name, value)
  } else {
    handler.cell("T", time)
    handler.cell(name, value)
  }
  handler.close("E")
}

/** Characters scanned without a pause. */
export const CHUNK_LENGTH = 65_536

/** Characters between the ends of two tags, or a piece more: a name or a text without an end would be kept whole. */
export const LONGEST_TOKEN = 4 * CHUNK_LENGTH

/** Deeper documents are refused: Hilltop's go five deep. */
export const MAX_DEPTH = 64

export class XmlScanner extends Context.Service<
  XmlScanner,
  {
    /**
     * Calls the handler for every element and text, in order, every `open` with its `close`. Fails with `XmlMalformed` at
     * the first fault; a DOCTYPE (entity bombs), more than `MAX_DEPTH` levels and anything longer than `LONGEST_TOKEN` are
     * faults too. What the handler was told up to then is no document. A handler that throws is a defect.
     */
    readonly scan: (text: string, handler: XmlHandler) => Effect.Effect<void, XmlMalformed>
  }
>()("penstock/hilltop/XmlScanner") {}
