/** What the history of a series' runs says of it, as if it had been crawled by this policy all the time. */
import type { TaskRun } from "../../domain/FetchTask.ts"
import { parseNzst } from "../../hilltop/Nzst.ts"
import { parseInstant } from "../../domain/Instant.ts"
import { Option } from "effect"
import { afterGlance } from "./SeriesClock.ts"
import { formatSeries, type SeriesState } from "./SeriesState.ts"

/** Runs oldest first; undefined where none of them was usable. */
export const fromHistory = (runs: ReadonlyArray<TaskRun>): string | undefined => {
  let state: SeriesState | undefined
  let newestBefore: number | undefined
  let step: number | undefined
  for (const run of runs) {
    const at = Option.getOrUndefined(parseInstant(run.at))
    if (at === undefined || (run.result !== "SUCCESS" && run.result !== "UNCHANGED")) continue
    const newest = run.newest === undefined ? undefined : parseNzst(run.newest)
    const moved = newest !== undefined && newestBefore !== undefined ? newest - newestBefore : 0
    // A history has no steps: rows that were added since then stand apart by as much on average.
    if (moved > 0 && (run.added ?? 0) > 0) step = Math.min(step ?? Infinity, moved / run.added!)
    if (newest !== undefined) newestBefore = Math.max(newest, newestBefore ?? newest)
    state = afterGlance(state, {
      at: Math.round(at / 1000),
      added: run.added ?? 0,
      newest: newest === undefined ? undefined : Math.round(newest / 1000),
      step: step === undefined ? undefined : Math.round(step / 1000)
    })
  }
  return state === undefined ? undefined : formatSeries(state)
}
