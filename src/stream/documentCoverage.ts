/**
 * Which time a data document really speaks of: within it, a value that is not in the document is no longer at the source.
 *
 * What is wrongly taken for covered is wrongly taken for removed, so every doubt makes the coverage smaller. A period that
 * was asked for by its two ends is covered as far as it was over; a window back from "now" hangs on the server's clock and
 * on how far its data have come, and is covered from its first row to its last.
 */
import type { Instant } from "../domain/Instant.ts"
import { archivePeriod, isOver } from "../hilltop/AskedRange.ts"
import type { DataSeries } from "../hilltop/HilltopDocument.ts"

/** Both ends belong to it. */
export interface Coverage {
  readonly from: Instant
  readonly until: Instant
}

const DAY = 86_400_000

/** Servers send nothing older than a limit of theirs (2 and 12 years were seen), and do not always say so. */
const unlimited = 366 * DAY

/**
 * What the series covers in the answer to `hilltopUrl`, fetched at `fetchedAt`. Nothing without rows, since "no data" is
 * also what a server says that has trouble with its files, and nothing when rows could not be read: which of the stored
 * values they stand for is not known. A row that says it has no value (empty, or `*`) is read, and is a removal.
 */
export const documentCoverage = (
  { rows, skipped }: Pick<DataSeries, "rows" | "skipped">,
  hilltopUrl: string,
  fetchedAt: Instant
): Coverage | undefined => {
  if (rows.length === 0 || skipped.unreadableTime > 0 || skipped.notANumber > 0) return undefined
  let [from, until] = [Infinity, -Infinity]
  for (const observedAt of rows.times) {
    if (observedAt < from) from = observedAt
    if (observedAt > until) until = observedAt
  }
  const asked = archivePeriod(hilltopUrl)
  // A server that answers beyond what was asked did not understand the question.
  if (asked === undefined || from < asked.from || until > asked.to) return { from, until }
  return {
    from: fetchedAt - asked.from <= unlimited ? asked.from : from,
    until: isOver(asked, fetchedAt) ? asked.to : until
  }
}
