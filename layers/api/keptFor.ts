/** What was read last, for as long as it says; a failure is not kept. */
import { Clock, Duration, Effect } from "effect"

export const keptFor = <A, E, R>(lasts: (value: A) => Duration.Duration, read: Effect.Effect<A, E, R>) => {
  let kept: { readonly until: number; readonly value: A } | undefined
  return Effect.gen(function* () {
    const now = yield* Clock.currentTimeMillis
    if (kept === undefined || now >= kept.until) {
      const value = yield* read
      kept = { until: now + Duration.toMillis(lasts(value)), value }
    }
    return kept.value
  })
}
