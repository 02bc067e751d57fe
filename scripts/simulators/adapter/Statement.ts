/**
 * What a datahub was told about one timeline of one point, and the rows that follow from it.
 *
 * Two times, as in every registry: `known` is when it was said, `from` is from when it holds. The later word wins from
 * its own start on, so a switch announced ahead shows up as two rows, a correction of the past cuts back what stood
 * there, and whatever is withdrawn lets the earlier word stand again.
 */

export interface Statement {
  /** When it was said. */
  readonly known: number
  /** From when it holds. */
  readonly from: number
  /** What holds; undefined says that nothing does. */
  readonly value: string | undefined
}

/** `value` holds in [from, to); `to` null means open. */
export interface Row {
  readonly value: string
  readonly from: number
  readonly to: number | null
}

/** Older rows than this many are forgotten, so that a world of frantic change cannot hold up the simulator. */
const mostRows = 2_000

/**
 * The rows that end after `asked`, oldest first, none of them reaching before `beginning`. Takes statements with the
 * latest word first, and reads no more of them than it needs: the list may go back for ever.
 */
export const rowsOf = (statements: Iterable<Statement>, asked: number, beginning: number): ReadonlyArray<Row> => {
  const rows: Array<Row> = []
  let end = Infinity
  for (const { from, value } of statements) {
    const start = Math.max(from, beginning)
    if (start < end) {
      if (value !== undefined) rows.push({ value, from: start, to: end === Infinity ? null : end })
      end = start
    }
    if (end <= asked || end <= beginning || rows.length === mostRows) break
  }
  return rows.toReversed()
}
