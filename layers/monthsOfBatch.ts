/**
 * What a batch of documents means for the months of its series: what is known of each, what is late, what to compare.
 *
 * A document is late when a newer one of its month is stored already. It fills gaps and corrects what the newer one does
 * not cover, and nothing else.
 */
import type { Row, SeriesDocument } from "../src/stream/SeriesDocument.ts"
import { type Day, type Digests, formatDigests, runsOf } from "./dayDigests.ts"
import type { Cell, Comparison, KnownMonth, MonthName } from "./observationStatements.ts"

/** A month of a series within a batch: what is known of it, as the batch goes on. */
export interface Month extends MonthName {
  newest: { readonly seenAt: number; readonly from: number; readonly until: number } | undefined
  /** By day: the values of this digest are all current. */
  readonly digests: Digests
  /** Documents of the batch that are about it. */
  documents: number
}
export interface Work {
  readonly document: SeriesDocument
  readonly days: ReadonlyArray<Day>
  readonly month: Month
}
/** A newer document of the month is stored already. */
export const isLate = ({ document, month: { newest } }: Work): boolean =>
  newest !== undefined && newest.seenAt > document.seenAt

/** Takes down in the month that the document is stored. */
export const noteStored = (work: Work): void => {
  const { days, document, month } = work
  const { rows, seenAt } = document
  for (const { day, digest } of days) {
    if (!isLate(work)) month.digests[day] = digest
    // A late document may have changed some values of the day and not others.
    else if (month.digests[day] !== digest) month.digests[day] = undefined
  }
  if (isLate(work)) return
  const [from, until] = [rows[0]!.at, rows.at(-1)!.at]
  // Several documents of one fetch count as one.
  const alike = month.newest?.seenAt === seenAt ? month.newest : { from, until }
  month.newest = { seenAt, from: Math.min(from, alike.from), until: Math.max(until, alike.until) }
}

/** The month as it is to be kept; none when nothing was stored in it. */
export const knownMonth = ({ digests, newest, seriesId, yearMonth }: Month): ReadonlyArray<KnownMonth> => {
  if (newest === undefined) return []
  const { from, seenAt, until } = newest
  return [{ seriesId, yearMonth, seenAt, from, until, dayDigests: formatDigests(digests) }]
}

/** Rows of the document, to compare or to write. */
export const cellsOf = (
  { document: { seenAt }, month: { seriesId } }: Work,
  rows: ReadonlyArray<Row>
): ReadonlyArray<Cell> => rows.map((row) => ({ seriesId, seenAt, row }))

/** What of a document is to be compared, run by run. */
export const partsOf = (
  work: Work
): ReadonlyArray<{ readonly part: Comparison; readonly cells: ReadonlyArray<Cell> }> => {
  const { days, document, month } = work
  const { newest, seriesId } = month
  const changed = days.filter(({ day, digest }) => month.digests[day] !== digest)
  return runsOf(document, changed).map((rows) => ({
    part: {
      seriesId,
      seenAt: document.seenAt,
      from: rows[0]!.at,
      until: rows.at(-1)!.at,
      newer: isLate(work) ? newest : undefined
    },
    cells: cellsOf(work, rows)
  }))
}
