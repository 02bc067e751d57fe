/**
 * In which table the values of a month lie: that of its year, as migration 0009 made them.
 *
 * The store writes to a year's table by its name. Through the table of all years each statement would be planned and set up
 * for every one of them: 14 ms for a batch of a few values, against 2.
 */
const [first, end] = [1990, 2050]

/** The table of an NZST month, `2026-08`. */
export const tableOfMonth = (yearMonth: string): string => {
  const year = Number(yearMonth.slice(0, 4))
  return `observations_${year < first ? "past" : year < end ? year : "future"}`
}
