/**
 * What a batch of documents means for the months of its series: what is known of each, what is late, what to compare.
 *
 * A document is late when a newer one of its month is stored already. It fills gaps and the past, and corrects and removes
 * what the newer one does not cover, and nothing else.
 */
import type { Coverage } from "../src/stream/documentCoverage.ts"
import type { Row, SeriesDocument } from "../src/stream/SeriesDocument.ts"
import { type Day, type Digests, formatDigests, runsOf } from "./dayDigests.ts"
import type { KnownMonth, MonthName } from "./observationStatements.ts"
import type { Cell, Comparison } from "./yearStatements.ts"

/** The newest document of a month; several of one fetch count as one. */
export interface Newest extends Coverage {
  readonly seenAt: number
  readonly complete: boolean
}

/** A month of a series within a batch: what is known of it, as the batch goes on. */
export interface Month extends MonthName {
  newest: Newest | undefined
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

/** Another document of the same fetch is the newest of the month. */
const isAlike = ({ document, month: { newest } }: Work): boolean => newest?.seenAt === document.seenAt

/** Takes down in the month that the document is stored. */
export const noteStored = (work: Work): void => {
  const { days, document, month } = work
  const { complete, covers, seenAt } = document
  for (const { day, digest } of days) {
    if (!isLate(work) && !isAlike(work)) month.digests[day] = digest
    // It may have changed some values of the day and not others, and removed none that was seen at the same time.
    else if (month.digests[day] !== digest) month.digests[day] = undefined
  }
  if (isLate(work)) return
  const alike = isAlike(work) ? month.newest : undefined
  month.newest = {
    seenAt,
    complete: complete && alike?.complete !== false,
    from: Math.min(covers.from, alike?.from ?? Infinity),
    until: Math.max(covers.until, alike?.until ?? -Infinity)
  }
}

/** The month as it is to be kept; none when nothing was stored in it. */
export const knownMonth = ({ digests, newest, seriesId, yearMonth }: Month): ReadonlyArray<KnownMonth> =>
  newest === undefined ? [] : [{ seriesId, yearMonth, ...newest, dayDigests: formatDigests(digests) }]

/** Rows of the document, to compare or to write. */
export const cellsOf = (
  { document: { seenAt }, month: { seriesId } }: Work,
  rows: ReadonlyArray<Row>
): ReadonlyArray<Cell> => rows.map((row) => ({ seriesId, seenAt, row }))

export interface Part {
  readonly part: Comparison
  readonly cells: ReadonlyArray<Cell>
  readonly late: Newest | undefined
}

/** What of a document is to be compared, run by run. Of a late one all is: it may know of days that are equal since when. */
export const partsOf = (work: Work): ReadonlyArray<Part> => {
  const { days, document, month } = work
  const { newest, seriesId } = month
  const late = isLate(work) ? newest : undefined
  const changed = late === undefined ? days.filter(({ day, digest }) => month.digests[day] !== digest) : days
  return runsOf(document, changed).map(({ covers, rows }) => ({
    part: { seriesId, seenAt: document.seenAt, ...covers, complete: document.complete, newer: late },
    cells: cellsOf(work, rows),
    late
  }))
}

/** When a newer document took back a value that it does not have, if one did. */
export const takenBackAt = ({ row }: Cell, late: Newest | undefined): number | undefined =>
  late !== undefined && late.complete && late.from <= row.at && row.at <= late.until ? late.seenAt : undefined
