/**
 * What a batch of documents means for the months of its series: what is stored of each, which documents are late, what to compare.
 *
 * A document is late when a newer one of its month is stored already. It fills gaps and the past, and corrects and removes
 * what the newer one does not cover, and nothing else.
 */
import { advance, type Frontier, newerAt } from "../../src/stream/monthFrontier.ts"
import type { Row, SeriesDocument } from "../../src/stream/SeriesDocument.ts"
import { type Day, type Digests, formatDigests, runsOf } from "./dayDigests.ts"
import type { KnownMonth, MonthName } from "./observationStatements.ts"
import type { Cell, Comparison } from "./yearStatements.ts"

/** A month of a series within a batch: what is known of it, as the batch goes on. */
export interface Month extends MonthName {
  frontier: Frontier | undefined
  /** Who told of it first; empty where nobody said. */
  source: string
  /** Others tell of it too. */
  isShared: boolean
  /** By day: the values of this digest are all current. */
  readonly digests: Digests
  /** Documents of the batch that are about it. */
  documents: number
  /** Its values may be others than before. */
  isChanged: boolean
}
export interface Work {
  readonly document: SeriesDocument
  readonly days: ReadonlyArray<Day>
  readonly month: Month
}
/** A month of which nothing is known. */
export const newMonth = (name: MonthName, source = ""): Month => ({
  ...name,
  frontier: undefined,
  source,
  isShared: false,
  digests: [],
  documents: 0,
  isChanged: false
})

/** Whether another source told of the month before. What says nothing of its source counts as said by the first. */
export const isOfAnother = ({ document: { message }, month: { isShared, source } }: Work): boolean =>
  isShared || ((message.source ?? "") !== "" && source !== "" && message.source !== source)

/** Whether it is of another source, or may be when it is its turn. */
export const mayBeShared = ({ document: { message }, month: { isShared, source } }: Work): boolean =>
  isShared || ((message.source ?? "") !== "" && message.source !== source)

/** A newer document of the month is stored already. */
export const isLate = ({ document, month: { frontier } }: Work): boolean =>
  frontier !== undefined && frontier.seenAt > document.seenAt

/** Another document of the same fetch is the newest of the month. */
const isAlike = ({ document, month: { frontier } }: Work): boolean => frontier?.seenAt === document.seenAt

/** Takes down in the month that the document is stored. */
export const noteStored = (work: Work): void => {
  const { days, document, month } = work
  for (const { day, digest } of days) {
    if (!isLate(work) && !isAlike(work)) month.digests[day] = digest
    // It may have changed some values of the day and not others, and removed none that was seen at the same time.
    else if (month.digests[day] !== digest) month.digests[day] = undefined
  }
  month.frontier = advance(month.frontier, document)
}

/** The month as it is to be kept; none when nothing was stored in it. */
export const knownMonth = ({
  digests,
  frontier,
  isChanged,
  isShared,
  seriesId,
  source,
  yearMonth
}: Month): ReadonlyArray<KnownMonth> =>
  frontier === undefined
    ? []
    : [{ seriesId, yearMonth, frontier, dayDigests: formatDigests(digests), source, isShared, isChanged }]

/** Rows of the document, to compare or to write. */
export const cellsOf = (
  { document: { seenAt }, month: { seriesId } }: Work,
  rows: ReadonlyArray<Row>
): ReadonlyArray<Cell> => rows.map((row) => ({ seriesId, seenAt, row }))

export interface Part {
  readonly part: Comparison
  readonly cells: ReadonlyArray<Cell>
  /** For a late document, what newer ones cover. */
  readonly late: Frontier | undefined
}

/** What of a document is to be compared, run by run. Of a late one all is: it may know of days that are equal since when. */
export const partsOf = (work: Work): ReadonlyArray<Part> => {
  const { days, document, month } = work
  const { frontier, seriesId } = month
  const { complete, seenAt } = document
  const late = isLate(work) ? frontier : undefined
  const beneath = late?.beneath !== undefined && late.beneath.seenAt > seenAt ? late.beneath : undefined
  const changed = late === undefined ? days.filter(({ day, digest }) => month.digests[day] !== digest) : days
  return runsOf(document, changed).map(({ covers, rows }) => ({
    part: { seriesId, seenAt, ...covers, complete, newer: late, beneath },
    cells: cellsOf(work, rows),
    late
  }))
}

/** When a newer document took back a value that it does not have, if one did. */
export const takenBackAt = ({ row, seenAt }: Cell, late: Frontier | undefined): number | undefined => {
  const newer = newerAt(late, row.at, seenAt)
  return newer?.complete ? newer.seenAt : undefined
}
