/**
 * In which table the values of a month lie: that of its year, as migration 4 made them.
 *
 * The store writes to a year's table by its name. Through the table of all years each statement would be planned and set up
 * for every one of them: 14 ms for a batch of a few values, against 2.
 */
import { monthBounds } from "../../src/hilltop/Nzst.ts"

const [first, end] = [1990, 2050]

/** The table of an NZST month, `2026-08`. */
export const tableOfMonth = (yearMonth: string): string => {
  const year = Number(yearMonth.slice(0, 4))
  return `observations_${year < first ? "past" : year < end ? year : "future"}`
}

export interface YearTable {
  readonly table: string
  /** The first moment after it. */
  readonly until: number
}

const startOf = (year: number) => monthBounds(`${year}-01`)!.from

/** The tables of years that come to an end, oldest first. */
export const yearTables: ReadonlyArray<YearTable> = [
  { table: "observations_past", until: startOf(first) },
  ...Array.from({ length: end - first }, (_, n) => ({
    table: `observations_${first + n}`,
    until: startOf(first + n + 1)
  }))
]
