/**
 * XmlScanner over `saxes`, the fastest of ten parsers measured that refuse all that is not well-formed (5 MB in 100 ms; libxml2
 * in WebAssembly 280, parse-xml 520).
 *
 * Plain rows are told past it (see `plainRows`): the whole crawl, from byte to stored row, takes a seventh less processor time
 * for it. saxes itself never stops at a fault when it has an error handler, and hands on data that its own documentation calls
 * unsafe. Here the first fault is thrown out of the parser, and the parser is dropped with it.
 */
import { Effect, Layer } from "effect"
import {
  CHUNK_LENGTH,
  LONGEST_TOKEN,
  MAX_DEPTH,
  type XmlHandler,
  XmlMalformed,
  XmlScanner
} from "../../src/hilltop/XmlScanner.ts"
import { LenientSaxesParser, withoutForbidden } from "./LenientSaxesParser.ts"
import { codesOf, rowTag, tellPlainRows } from "./plainRows.ts"

/**
 * Characters fed to the parser after a try at plain rows that was in vain, twice as many after each more in a row: where
 * one row is unusual the next may well be plain, but where all are unusual no more than one try in a piece is wasted.
 */
const LEAST_WAIT = 128

const lineEnds = /\r\n?|\n/g

class Scan {
  readonly #parser = new LenientSaxesParser()
  readonly #text: string
  readonly #handler: XmlHandler
  readonly #pastParser: boolean
  /** What was told past the parser: where it began and ended, in turn. */
  readonly #told: Array<number> = []
  #depth = 0
  /** Where plain rows are tried again at the earliest. */
  #tryFrom = 0
  /** Characters to wait when the next try is in vain. */
  #wait = LEAST_WAIT
  /** Characters since anything came to its end. */
  #pending = 0

  constructor(text: string, handler: XmlHandler, pastParser: boolean) {
    this.#pastParser = pastParser
    this.#text = text
    this.#handler = handler
    this.#parser.on("error", (error) => this.#refuse(error.message.replace(/\.$/, "")))
    this.#parser.on("doctype", () => this.#refuse("a document type declaration is not allowed"))
    this.#parser.on("opentag", (tag) => {
      this.#depth++
      if (this.#depth > MAX_DEPTH) this.#refuse(`elements are nested more than ${MAX_DEPTH} deep`)
      this.#pending = 0
      handler.open(tag.name, tag.attributes)
    })
    this.#parser.on("closetag", (tag) => {
      this.#depth--
      this.#pending = 0
      handler.close(tag.name)
    })
    this.#parser.on("text", (text) => handler.text(text))
    this.#parser.on("cdata", (text) => handler.text(text))
    // No more than seven in all: an eighth makes V8 keep the parser as a dictionary, which is six times slower.
  }

  /** Scans from `at` to `end`, or not far beyond; where it came to. */
  piece(from: number, end: number): number {
    let at = from
    if (this.#pastParser) {
      const piece = this.#text.slice(from, end)
      let codes: Uint8Array | undefined
      for (;;) {
        const found = piece.indexOf(rowTag, Math.max(at, this.#tryFrom) - from)
        if (found < 0) break
        codes ??= codesOf(piece)
        const inside = from + found + rowTag.length
        const next = this.#opens(at, from + found)
          ? from + tellPlainRows(piece, codes, inside - from, this.#handler)
          : inside
        at = next
        if (next > inside) {
          this.#told.push(inside, next)
          this.#wait = LEAST_WAIT
        } else {
          this.#tryFrom = next + this.#wait
          this.#wait = Math.min(2 * this.#wait, CHUNK_LENGTH)
        }
      }
    }
    if (at < end) this.#parser.write(withoutForbidden(this.#text.slice(at, end)))
    this.#pending += end - from
    if (this.#pending > LONGEST_TOKEN + CHUNK_LENGTH)
      this.#refuse(`something is longer than ${LONGEST_TOKEN} characters`)
    return Math.max(at, end)
  }

  close(): void {
    this.#parser.close()
  }

  line(): number {
    let line = this.#parser.line
    for (let at = 0; at < this.#told.length; at += 2) {
      line += this.#text.slice(this.#told[at], this.#told[at + 1]).match(lineEnds)?.length ?? 0
    }
    return line
  }

  /**
   * Feeds everything before the tag, then the tag alone: only if just that opens an element is it the start tag that it
   * looks like, and not a part of a comment, of CDATA or of another tag.
   */
  #opens(from: number, at: number): boolean {
    if (from < at) this.#parser.write(withoutForbidden(this.#text.slice(from, at)))
    const depth = this.#depth
    this.#parser.write(rowTag)
    return this.#depth > depth
  }

  #refuse(message: string): never {
    throw new XmlMalformed({ message, line: this.line() })
  }
}

/** Only our own fault is a failure; anything else thrown in there stays a defect, of the handler or of saxes. */
const step = <A>(run: () => A): Effect.Effect<A, XmlMalformed> =>
  Effect.sync(run).pipe(
    Effect.catchDefect((thrown) => (thrown instanceof XmlMalformed ? Effect.fail(thrown) : Effect.die(thrown)))
  )

const scan = Effect.fnUntraced(function* (text: string, handler: XmlHandler, pastParser: boolean) {
  const parser = new Scan(text, handler, pastParser)
  for (let at = 0; at < text.length;) {
    if (at > 0) yield* Effect.yieldNow
    const from = at
    at = yield* step(() => parser.piece(from, Math.min(from + CHUNK_LENGTH, text.length)))
  }
  yield* step(() => parser.close()).pipe(
    Effect.mapError(({ message }) => new XmlMalformed({ message: `it breaks off: ${message}`, line: parser.line() }))
  )
})

export const SaxesXmlScanner: Layer.Layer<XmlScanner> = Layer.succeed(
  XmlScanner,
  XmlScanner.of({ scan: (text, handler) => scan(text, handler, true) })
)

/** Every element goes through the parser: what rows that are told without it are held against. */
export const ParserAlone: Layer.Layer<XmlScanner> = Layer.succeed(
  XmlScanner,
  XmlScanner.of({ scan: (text, handler) => scan(text, handler, false) })
)
