/**
 * Observations as text, JSON or CSV, piece by piece: what a reader is sent is never in memory whole.
 *
 * Values are written as they are kept, digit by digit; a JSON number of a parser and a writer would lose some.
 */
import { Effect, Option, Stream } from "effect"
import type { Instant } from "../domain/Instant.ts"
import { formatNzst } from "../hilltop/Nzst.ts"
import type { ArchivedObservation, ObservationArchive, SeriesRange } from "./ObservationArchive.ts"
import type { StoreUnavailable } from "../domain/StoreUnavailable.ts"

/** Rows of one statement: some 400 kB of text, and 10 ms. */
export const pieceLength = 5_000

/** As `formatInstant`, in a tenth of the time: by the arithmetic for NZST, half a day earlier. */
const formatUtc = (instant: Instant): string => {
  const text = formatNzst(instant - 43_200_000).slice(0, -"+12:00".length)
  return `${text}${text.length === 19 ? ".000Z" : "Z"}`
}

/** How a list of observations is written. */
export interface Writing {
  readonly contentType: string
  readonly begin: string
  readonly between: string
  readonly one: (observation: ArchivedObservation) => string
  /** Given the time of the last one when there are more. */
  readonly end: (next: Instant | undefined) => string
}

export const asJson: Writing = {
  contentType: "application/json",
  begin: `{"items":[`,
  between: ",",
  one: ({ at, firstSeenAt, qualifier, quality, value }) =>
    `{"observed_at":"${formatNzst(at)}","value":${value}${qualifier === undefined ? "" : `,"qualifier":"${qualifier}"`}${
      quality === undefined ? "" : `,"quality":${quality}`
    },"first_seen_at":"${formatUtc(firstSeenAt)}"}`,
  end: (next) => `],"next_cursor":${next === undefined ? "null" : `"${formatUtc(next)}"`}}`
}

export const asCsv: Writing = {
  contentType: "text/csv; charset=utf-8; header=present",
  begin: "observed_at,value,qualifier,quality,first_seen_at\n",
  between: "",
  one: ({ at, firstSeenAt, qualifier = "", quality = "", value }) =>
    `${formatNzst(at)},${value},${qualifier},${quality},${formatUtc(firstSeenAt)}\n`,
  end: () => ""
}

interface Position {
  readonly after: Instant | undefined
  readonly written: number
}

/**
 * The text of at most `limit` observations of the range, one statement a piece. When the first piece is all there is, the
 * text comes whole, so that a failure of the database can still be told as such.
 */
export const observationText = Effect.fnUntraced(function* (
  archive: ObservationArchive["Service"],
  range: SeriesRange,
  { begin, between, end, one }: Writing
) {
  const { limit } = range

  /** The next piece, and where to go on if there is more to come. One more than is written is asked for, to know that. */
  const piece = Effect.fnUntraced(function* ({ after, written }: Position) {
    const wanted = Math.min(pieceLength, limit - written)
    const found = yield* archive.read({ ...range, after, limit: wanted + 1 })
    const rows = found.slice(0, wanted)
    const last = rows.at(-1)?.at
    const more = found.length > wanted
    const isEnd = !more || written + rows.length >= limit
    const text =
      (written === 0 ? begin : rows.length > 0 ? between : "") +
      rows.map(one).join(between) +
      (isEnd ? end(more ? last : undefined) : "")
    return [text, isEnd ? Option.none() : Option.some({ after: last, written: written + rows.length })] as const
  })

  const [first, next] = yield* piece({ after: range.after, written: 0 })
  if (Option.isNone(next)) return first
  const rest = Stream.paginate(next.value, (position: Position) =>
    Effect.map(piece(position), ([text, then]): readonly [ReadonlyArray<string>, Option.Option<Position>] => [
      [text],
      then
    ])
  )
  return Stream.concat(Stream.make(first), rest) satisfies Stream.Stream<string, StoreUnavailable>
})
