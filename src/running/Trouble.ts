/** A trouble that begins and ends: one line of the log for each, however often it shows in between. */
import { Effect } from "effect"
import type { Instant } from "../domain/Instant.ts"
import { monotonicMillis } from "./monotonicMillis.ts"

export interface Trouble {
  /** It shows. */
  readonly shows: (why: string) => Effect.Effect<void>
  /** What would show it went well. */
  readonly isOver: Effect.Effect<void>
}

export const makeTrouble = (lines: { readonly begins: string; readonly ends: string }): Trouble => {
  let since: Instant | undefined
  return {
    shows: (why) =>
      Effect.suspend(() =>
        since !== undefined
          ? Effect.void
          : Effect.flatMap(monotonicMillis, (now) => {
              if (since !== undefined) return Effect.void
              since = now
              return Effect.logWarning(lines.begins, why)
            })
      ),
    isOver: Effect.suspend(() => {
      if (since === undefined) return Effect.void
      const begun = since
      since = undefined
      return Effect.flatMap(monotonicMillis, (now) =>
        Effect.logInfo(`${lines.ends}, after ${Math.round((now - begun) / 1000)} s`)
      )
    })
  }
}
