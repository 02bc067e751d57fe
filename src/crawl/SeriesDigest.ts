/**
 * What is kept of a series' document to tell, when it comes again, whether anything is new, corrected or gone.
 *
 * A month is compared as a whole. The latest data are a window that moves on between two fetches: its oldest rows are kept
 * one by one for as far as its edge may move until then, all others as one digest. So the rest of a window that lost its oldest
 * rows can be compared exactly; a row that is gone from further inside is a removed value. How many may go is not asked: where a
 * window begins is for its server to say, and a removal before its first row is for the month to tell. What cannot be proven
 * equal counts as changed. 11 bytes a row in the edge, 100 to 400 rows of it, and 100 bytes beside them.
 */
import { Option, Result, Schema } from "effect"
import * as Base64 from "effect/encoding/Base64"
import { TextDigest } from "../hilltop/TextDigest.ts"
import { type SeriesRows, withGap } from "../hilltop/SeriesRows.ts"

/** Rows of the edge: two lanes of each digest, and the time. */
interface Edge {
  readonly times: ReadonlyArray<number>
  readonly high: ReadonlyArray<number>
  readonly low: ReadonlyArray<number>
}

export type About = Pick<SeriesDigest, "header" | "context" | "closed">

export interface SeriesDigest {
  /** What is said of the series. */
  readonly header: string
  /** For whom it was asked. */
  readonly context: string
  /** Whether the time that was asked for was over, and all that belongs to it had come. */
  readonly closed: boolean
  readonly count: number
  /** Time of the newest row and of the one before it. */
  readonly last: number | undefined
  readonly beforeLast: number | undefined
  readonly gapAtEnd: boolean
  readonly edge: Edge
  /** All rows after the edge. */
  readonly rest: string
}

export interface Change {
  readonly unchanged: boolean
  /** Rows that are newer than all that was known. */
  readonly added: number
  /** Whether anything known before has changed or gone, or may have. */
  readonly revised: boolean
}

/** No clock that is meant to be right is further ahead than one on daylight-saving time. */
const furthestAhead = 2 * 3_600_000
/** A day of a fifteen-minute series, and all that an hourly one may lose while nobody asks. */
const leastEdge = 100
const longestEdge = 400

const digestOf = (rows: SeriesRows, from: number, until: number): string => {
  const digest = new TextDigest()
  for (let i = from; i < until; i++) {
    digest.number(rows.high[i]!)
    digest.number(withGap(rows.low[i]!, rows.gapBefore[i]))
  }
  return digest.hex
}

/** How many rows are no later than `until`. */
export const countUntil = (times: Float64Array, until: number): number => {
  let count = times.length
  while (count > 0 && times[count - 1]! > until) count--
  return count
}

/** Times of the two newest rows, oldest first, but for those after `until`. */
export const newestTimes = ({ times }: SeriesRows, until: number): ReadonlyArray<number> => {
  const count = countUntil(times, until)
  return Array.from(times.subarray(Math.max(0, count - 2), count))
}

/**
 * The digest of `rows`; with `reach`, of a window whose edge may move by so many milliseconds until the next fetch. A row after
 * `until` is none of the newest: its year was mistyped.
 */
export const seriesDigest = (
  rows: SeriesRows,
  { closed, context, header }: About,
  reach?: number | undefined,
  until = Infinity
): SeriesDigest => {
  const newest = newestTimes(rows, until)
  const first = rows.times[0]
  let inEdge = 0
  if (reach !== undefined && first !== undefined) {
    const most = Math.min(rows.count, longestEdge)
    while (inEdge < most && (inEdge < leastEdge || rows.times[inEdge]! <= first + reach)) inEdge++
  }
  return {
    header,
    context,
    closed,
    count: rows.count,
    last: newest.at(-1),
    beforeLast: newest.at(-2),
    gapAtEnd: rows.gapAtEnd,
    edge: {
      times: Array.from(rows.times.subarray(0, inEdge)),
      high: Array.from(rows.high.subarray(0, inEdge)),
      low: Array.from(rows.low.subarray(0, inEdge), (low, i) => withGap(low, rows.gapBefore[i]))
    },
    rest: digestOf(rows, inEdge, rows.count)
  }
}

/** How `rows` differ from what came last; of a window that moves on, of which `windowFrom` is where it begins now. */
export const compareSeries = (
  previous: SeriesDigest,
  rows: SeriesRows,
  { closed, context, header }: About,
  windowFrom?: number | undefined
): Change => {
  const allLeft = previous.last === undefined || previous.last < (windowFrom ?? -Infinity) + furthestAhead
  // A document without rows says nothing of a series, so what it does say makes no difference.
  if (rows.count === 0) return { unchanged: allLeft, added: 0, revised: !allLeft }
  if (previous.count === 0) return { unchanged: false, added: rows.count, revised: false }
  if (header === previous.header && context === previous.context) {
    const lost = lostRows(previous, rows, windowFrom === undefined ? 0 : previous.edge.times.length)
    if (lost !== undefined) {
      const added = rows.count - (previous.count - lost)
      const same = rows.gapAtEnd === previous.gapAtEnd && closed === previous.closed
      return { unchanged: added === 0 && same, added, revised: false }
    }
    if (allLeft) return { unchanged: false, added: rows.count, revised: false }
  }
  const { last = -Infinity } = previous
  return { unchanged: false, added: rows.times.filter((time) => time > last).length, revised: true }
}

/** How many of the oldest rows are gone, `most` at most, if all others are still there and the same; else nothing. */
const lostRows = (previous: SeriesDigest, rows: SeriesRows, most: number): number | undefined => {
  const { count, edge, rest } = previous
  for (let lost = 0; lost <= most && (lost === 0 || lost < count); lost++) {
    if (rows.count < count - lost || !edgeAgrees(lost, edge, rows)) continue
    // Where a window begins, all rows of a time go together.
    if (lost > 0 && edge.times[lost - 1] === rows.times[0]) continue
    if (digestOf(rows, edge.times.length - lost, count - lost) === rest) return lost
  }
  return undefined
}

/** Whether `rows` begin with the edge without its oldest rows. */
const edgeAgrees = (lost: number, edge: Edge, rows: SeriesRows): boolean => {
  for (let i = lost; i < edge.times.length; i++) {
    const at = i - lost
    if (rows.high[at] !== edge.high[i]) return false
    const low = withGap(rows.low[at]!, rows.gapBefore[at])
    // A gap before the first row of a window that moved may have left with the row before it.
    if (low !== edge.low[i] && (at > 0 || lost === 0 || withGap(rows.low[at]!, !rows.gapBefore[at]!) !== edge.low[i])) {
      return false
    }
  }
  return true
}

/** Digests are compared only with those that were made alike. */
const version = 2

const Kept = Schema.fromJsonString(
  Schema.Struct({
    v: Schema.Literal(version),
    header: Schema.String,
    context: Schema.String,
    closed: Schema.optionalKey(Schema.Literal(true)),
    count: Schema.Int,
    last: Schema.optionalKey(Schema.Finite),
    beforeLast: Schema.optionalKey(Schema.Finite),
    gapAtEnd: Schema.optionalKey(Schema.Literal(true)),
    rest: Schema.String,
    first: Schema.optionalKey(Schema.Finite),
    edge: Schema.optionalKey(Schema.String)
  })
)
const decodeKept = Schema.decodeUnknownOption(Kept)

/** As text for the queue to keep. */
export const formatSeriesDigest = (digest: SeriesDigest): string => {
  const { beforeLast, closed, context, count, edge, gapAtEnd, header, last, rest } = digest
  return JSON.stringify({
    v: version,
    header,
    context,
    ...(closed ? { closed } : {}),
    count,
    last,
    beforeLast,
    ...(gapAtEnd ? { gapAtEnd } : {}),
    rest,
    ...(edge.times.length === 0 ? {} : { first: edge.times[0], edge: Base64.encode(edgeBytes(edge)) })
  })
}

/** Nothing for a text of another version: the next document then counts as changed. */
export const parseSeriesDigest = (text: string): SeriesDigest | undefined =>
  Option.getOrUndefined(
    Option.map(
      decodeKept(text),
      ({ beforeLast, closed = false, context, count, edge, first = 0, gapAtEnd = false, header, last, rest }) => {
        const bytes = Result.getOrElse(Base64.decode(edge ?? ""), () => new Uint8Array())
        return { header, context, closed, count, last, beforeLast, gapAtEnd, rest, edge: edgeFrom(bytes, first) }
      }
    )
  )

/** Two lanes, and the step from the row before in seven bits a byte. */
const edgeBytes = ({ high, low, times }: Edge): Uint8Array => {
  const bytes: Array<number> = []
  const lane = (n: number) => bytes.push(n >>> 24, (n >>> 16) & 255, (n >>> 8) & 255, n & 255)
  times.forEach((time, i) => {
    lane(high[i]!)
    lane(low[i]!)
    let step = time - (times[i - 1] ?? time)
    for (; step >= 128; step = Math.floor(step / 128)) bytes.push((step % 128) | 128)
    bytes.push(step)
  })
  return Uint8Array.from(bytes)
}

const edgeFrom = (bytes: Uint8Array, first: number): Edge => {
  const [times, high, low]: [Array<number>, Array<number>, Array<number>] = [[], [], []]
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  let time = first
  for (let at = 0; at + 8 < bytes.length;) {
    high.push(view.getInt32(at))
    low.push(view.getInt32(at + 4))
    let step = 0
    let scale = 1
    for (at += 8; (bytes[at] ?? 0) >= 128; at++, scale *= 128) step += (bytes[at]! & 127) * scale
    step += (bytes[at++] ?? 0) * scale
    time += step
    times.push(time)
  }
  return { times, high, low }
}
