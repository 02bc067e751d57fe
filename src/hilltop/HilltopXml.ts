/**
 * Turns the text of an answer into the document that was asked for, or says why it is not that document.
 *
 * An error document wins over everything but malformed XML: its root differs from that of a good answer, so a wrong root
 * alone says nothing. Anything that is not XML is told apart before it is scanned, because "disallowed character in tag
 * name" helps nobody who is looking at a web server's error page.
 */
import { Effect, Result } from "effect"
import { type DataOptions, dataReader } from "./DataXml.ts"
import type { DocumentReader } from "./DocumentReader.ts"
import {
  type DataDocument,
  HilltopErrorDocument,
  HilltopParseError,
  type MeasurementList,
  type SiteList
} from "./HilltopDocument.ts"
import { measurementListReader } from "./MeasurementListXml.ts"
import { siteListReader } from "./SiteListXml.ts"
import { noAttributes, tellApart, tellCells, type XmlHandler, XmlScanner } from "./XmlScanner.ts"

/** Error texts are kept in a task's history. */
const LONGEST_MESSAGE = 500

/** Characters. Ten times what the topic takes; far below the longest text there can be. */
const LONGEST_DOCUMENT = 100_000_000

const HTML = "an HTML page where XML was expected"

/** What the text is, when its beginning shows that it is no XML. */
const notXml = (text: string): string | undefined => {
  if (text === "") return "an empty answer"
  const start = text.slice(0, 1000).trimStart()
  if (start === "") return undefined
  if (/^<(?:!doctype\s+)?html\b/i.test(start)) return HTML
  if (/^[{[]/.test(start)) return "JSON where XML was expected"
  return start.startsWith("<") ? undefined : "plain text where XML was expected"
}

/** `Error` wherever it stands, what other services of the server say instead (OWS, WFS), and a bare `e` as the root. */
const ERROR = /^(?:\w+:)?(?:error|(?:service)?exception(?:report|text)?)$/i

const isError = (name: string, depth: number): boolean => ERROR.test(name) || (depth === 1 && name === "e")

/** Characters before a document, and behind it: there is no end to a text of nothing else. */
const MOST_AROUND = 65_536

/** White space, byte order marks, and the NULs and end marks of files. */
const isAround = (code: number): boolean => code <= 32 || code === 0xa0 || code === 0xfeff

const GREATER = 62
/** What XML allows behind a document. */
const isSpace = (code: number): boolean => code === 10 || code === 13 || code === 32 || code === 9

/**
 * Where the document begins and ends in its text; what stands around it is nobody's. A line end behind it may stay: a tenth of the
 * time of a parse is saved where the text need not be cut, since a string that is a part of another one is read more slowly.
 */
const bounds = (text: string): readonly [from: number, until: number] => {
  let [from, until] = [0, text.length]
  const [last, first] = [Math.min(MOST_AROUND, until), Math.max(0, until - MOST_AROUND)]
  while (from < last && isAround(text.charCodeAt(from))) from++
  while (until > from && until > first && isAround(text.charCodeAt(until - 1))) until--
  if (text.charCodeAt(until - 1) !== GREATER) return [from, until]
  let end = until
  while (end < text.length && isSpace(text.charCodeAt(end))) end++
  return [from, end === text.length ? end : until]
}

/** Feeds a reader, and notes what concerns every kind of document: its root, and an `Error` in it. */
class Walk implements XmlHandler {
  root = ""
  error: string | undefined
  /** Of an exception that may have no text. */
  code = ""
  readonly open: XmlHandler["open"]
  readonly text: XmlHandler["text"]
  readonly close: XmlHandler["close"]
  readonly cell: NonNullable<XmlHandler["cell"]>
  readonly row: NonNullable<XmlHandler["row"]>

  constructor(reader: DocumentReader<unknown>) {
    let depth = 0
    let text = ""
    let isLeaf = false
    let errorDepth = 0
    this.open = (name, attributes) => {
      depth++
      text = ""
      isLeaf = true
      if (depth === 1) this.root = name
      // Nearly every name is that of a cell, and shorter than any of those.
      if ((depth === 1 || name.length >= 5) && isError(name, depth)) {
        if (errorDepth === 0) errorDepth = depth
        this.error ??= ""
        this.code ||= attributes["exceptionCode"] ?? attributes["code"] ?? ""
      }
      reader.open(name, attributes, depth)
    }
    this.text = (piece) => {
      if (isLeaf) text = text === "" ? piece : text + piece
      if (errorDepth > 0) this.error += piece
    }
    this.close = (name) => {
      if (isLeaf) {
        isLeaf = false
        reader.leaf(name, text.trim(), depth)
      }
      reader.close(name, depth)
      if (errorDepth === depth) errorDepth = 0
      depth--
    }
    this.cell = (name, piece) => {
      if (errorDepth > 0 || name.length >= 5) return tellApart(this, name, piece)
      depth++
      isLeaf = false
      reader.open(name, noAttributes, depth)
      reader.leaf(name, piece.trim(), depth)
      reader.close(name, depth)
      depth--
    }
    this.row = (row) => {
      if (errorDepth > 0 || row.name.length >= 5 || !reader.row?.(row, depth)) return tellCells(this, row)
      isLeaf = false
      depth--
    }
  }
}

/** One scan that two handlers hear. */
const both = (first: XmlHandler, second: XmlHandler): XmlHandler => ({
  open: (name, attributes) => {
    first.open(name, attributes)
    second.open(name, attributes)
  },
  text: (piece) => {
    first.text(piece)
    second.text(piece)
  },
  close: (name) => {
    first.close(name)
    second.close(name)
  },
  cell: (name, text) => {
    if (first.cell === undefined) tellApart(first, name, text)
    else first.cell(name, text)
    if (second.cell === undefined) tellApart(second, name, text)
    else second.cell(name, text)
  },
  row: (row) => {
    if (first.row === undefined) tellCells(first, row)
    else first.row(row)
    if (second.row === undefined) tellCells(second, row)
    else second.row(row)
  }
})

const read = Effect.fnUntraced(function* <A>(
  text: string,
  root: string,
  reader: DocumentReader<A>,
  listener: XmlHandler | undefined
) {
  if (text.length > LONGEST_DOCUMENT) {
    return yield* new HilltopParseError({ message: `a document of more than ${LONGEST_DOCUMENT} characters` })
  }
  const [from, until] = bounds(text)
  const document = text.slice(from, until)
  const prose = notXml(document)
  if (prose !== undefined) return yield* new HilltopParseError({ message: prose })
  const scanner = yield* XmlScanner
  const walk = new Walk(reader)
  yield* scanner.scan(document, listener === undefined ? walk : both(walk, listener)).pipe(
    Effect.mapError(({ message, line }) => {
      const where = line === undefined ? "" : ` at line ${line + text.slice(0, from).split(/\r\n?|\n/).length - 1}`
      return new HilltopParseError({
        message: /^html$/i.test(walk.root) ? HTML : `not well-formed XML${where}: ${message}`
      })
    })
  )
  if (/^html$/i.test(walk.root)) return yield* new HilltopParseError({ message: HTML })
  if (walk.error !== undefined) {
    const message = (walk.error.trim() || walk.code).replaceAll(/\s+/g, " ").slice(0, LONGEST_MESSAGE)
    return yield* new HilltopErrorDocument({ message: message === "" ? "an Error without a text" : message })
  }
  if (walk.root !== root) {
    const found = walk.root.slice(0, 40)
    return yield* new HilltopParseError({ message: `a <${found}> document where <${root}> was expected` })
  }
  return yield* Result.match(reader.finish(), {
    onSuccess: (document) => Effect.succeed(document),
    onFailure: (message) => Effect.fail(new HilltopParseError({ message: `a <${root}> document with ${message}` }))
  })
})

type Parsed<A> = Effect.Effect<A, HilltopErrorDocument | HilltopParseError, XmlScanner>

/** The answer to a SITES_LIST request. A `listener` hears the same scan; what it heard counts when this succeeds. */
export const parseSiteList: (text: string, listener?: XmlHandler) => Parsed<SiteList> = Effect.fn(
  "HilltopXml.parseSiteList"
)((text, listener) => read(text, "HilltopServer", siteListReader(), listener))

/** The answer to a MEASUREMENTS_LIST request. */
export const parseMeasurementList: (text: string, listener?: XmlHandler) => Parsed<MeasurementList> = Effect.fn(
  "HilltopXml.parseMeasurementList"
)((text, listener) => read(text, "HilltopServer", measurementListReader(), listener))

/** The answer to a MEASUREMENT_DATA request; every series in it, with the rows of one item each. */
export const parseData: (text: string, options?: DataOptions, listener?: XmlHandler) => Parsed<DataDocument> =
  Effect.fn("HilltopXml.parseData")((text, options = {}, listener) =>
    read(text, "Hilltop", dataReader(options), listener)
  )
