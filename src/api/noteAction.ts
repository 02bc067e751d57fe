/**
 * One line in the log for everything that somebody did to the running service: what, to what, and whose key it was.
 */
import { Effect } from "effect"
import { CallerName } from "./ApiKeys.ts"

/** `what` is in plain words, as `a source was paused`; `about` names rows by their numbers, and no people. */
export const noteAction = (what: string, about: Readonly<Record<string, string | number | boolean>>) =>
  Effect.flatMap(CallerName, (caller) =>
    Effect.logInfo(`operator: ${what}`).pipe(Effect.annotateLogs({ caller, ...about }))
  )
