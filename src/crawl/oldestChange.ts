/**
 * Which of the oldest rows of a window has been corrected or removed: these are kept one by one, all others as one digest. People who go over
 * a month that is over change some of them too, while a server that revises its newest values all day changes none.
 */
import type { Instant } from "../domain/Instant.ts"
import { type SeriesRows, withGap } from "../hilltop/SeriesRows.ts"
import type { SeriesDigest } from "./SeriesDigest.ts"

/** The time of the first kept row that is no longer as it was; none where all are, or have left the window. */
export const oldestChange = ({ edge }: SeriesDigest, rows: SeriesRows): Instant | undefined => {
  const begin = rows.times[0] ?? Infinity
  const from = edge.times.findIndex((time) => time >= begin)
  if (from < 0) return undefined
  const at = edge.times.findIndex((time, i) => {
    const row = i - from
    // Where a window begins, a gap may have left with the row before it.
    const low = row === 0 ? edge.low[i] : withGap(rows.low[row] ?? 0, rows.gapBefore[row])
    return row >= 0 && (rows.times[row] !== time || rows.high[row] !== edge.high[i] || low !== edge.low[i])
  })
  return at < 0 ? undefined : edge.times[at]
}
