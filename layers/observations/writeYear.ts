/**
 * What documents bring to the values of one year: compared with what is stored, then removed, corrected, placed in the past or
 * inserted. Months of which nothing is stored yet are not compared.
 */
import { Effect } from "effect"
import type { SqlClient } from "effect/sql"
import { cellsOf, partsOf, takenBackAt, type Work } from "./monthsOfBatch.ts"
import { type Cell, yearStatements } from "./yearStatements.ts"

const nothingFound = {
  missing: [],
  placeable: [],
  different: [],
  overruled: 0,
  removed_series: [],
  removed_at: [],
  removed_seen: []
}
const nothingPlaced = { added: [], overruled: 0 }

/** Writes what the documents, all of one year, bring; what of it is added and removed. */
export const writeYear = Effect.fnUntraced(function* (
  sql: SqlClient.SqlClient,
  table: string,
  works: ReadonlyArray<Work>
) {
  const statements = yearStatements(sql, table)
  const parts = works.flatMap((work) => {
    const ofWork = work.month.frontier === undefined ? [] : partsOf(work)
    if (work.month.frontier === undefined || ofWork.length > 0) work.month.isChanged = true
    return ofWork
  })
  const cells = parts.flatMap((one) => one.cells)
  const comparing = parts.map(({ part }) => part)
  const [compared = nothingFound] = parts.length > 0 ? yield* statements.compare(comparing, cells) : []

  const removed = compared.removed_series.map((seriesId, index) => ({
    seriesId,
    at: compared.removed_at[index]!,
    seenAt: compared.removed_seen[index]!
  }))
  if (removed.length > 0) yield* statements.remove(removed)
  const corrected = compared.different.map((position) => cells[position]!)
  if (corrected.length > 0) yield* statements.correct(corrected)

  const lateness = parts.flatMap(({ cells, late }) => cells.map(() => late))
  const isTakenBack = (position: number) => takenBackAt(cells[position]!, lateness[position]) !== undefined
  const placeable = [...compared.placeable, ...compared.missing.filter(isTakenBack)].map((position) => {
    const cell = cells[position]!
    return { ...cell, takenBackAt: takenBackAt(cell, lateness[position]) }
  })
  const [placed = nothingPlaced] = placeable.length > 0 ? yield* statements.place(placeable) : []
  const inserted = [
    ...works.filter(({ month }) => month.frontier === undefined).flatMap((work) => cellsOf(work, work.document.rows)),
    ...compared.missing.filter((position) => !isTakenBack(position)).map((position) => cells[position]!)
  ]
  if (inserted.length > 0) yield* statements.insert(inserted)
  const added: ReadonlyArray<Cell> = [...inserted, ...placed.added.map((position) => placeable[position]!)]
  return { added, removed, corrected: corrected.length, overruled: compared.overruled + placed.overruled }
})
