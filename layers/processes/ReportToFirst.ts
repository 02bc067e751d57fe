/**
 * The further process's side: reports to the first one for as long as the layer lives, and says what it has measured when it is
 * asked. Without the first one it has no business: `firstIsGone` says when it has gone, however it did.
 */
import { Effect, Exit, Layer, Metric, Queue } from "effect"
import { lookAround } from "../../src/running/Observed.ts"
import { stuckByName } from "../../src/running/stuckLoops.ts"
import { makeProcessLoad } from "./processLoad.ts"
import { type FromFurther, isFromFirst, reportEvery, sendable } from "./processMessages.ts"

/** If the first process is gone, that is noticed elsewhere. */
const send = (message: FromFurther) =>
  Effect.sync(() => {
    if (process.connected) process.send?.(message, undefined, undefined, () => {})
  })

export const ReportToFirst = Layer.effectDiscard(
  Effect.gen(function* () {
    const asked = yield* Queue.sliding<void>(1)
    const onMessage = (message: unknown) => {
      if (isFromFirst(message)) Queue.offerUnsafe(asked, undefined)
    }
    yield* Effect.acquireRelease(
      Effect.sync(() => process.on("message", onMessage)),
      () => Effect.sync(() => process.off("message", onMessage))
    )
    const answer = Effect.gen(function* () {
      yield* Queue.take(asked)
      yield* lookAround
      yield* send({ _tag: "Measured", metrics: sendable(yield* Metric.snapshot) })
    })
    const load = makeProcessLoad()
    const report = Effect.gen(function* () {
      yield* send({ _tag: "Report", load: load(), stuck: Object.fromEntries(yield* stuckByName) })
      yield* Effect.sleep(reportEvery)
    })
    // Whichever of the two hung or failed, the first process would miss the reports.
    yield* Effect.forkScoped(Effect.forever(answer))
    yield* Effect.forkScoped(Effect.forever(report))
  })
)

/** Ends when the channel to the first process is closed, which happens however that ends. */
export const firstIsGone: Effect.Effect<void> = Effect.callback((resume) => {
  if (!process.connected) return resume(Exit.void)
  const gone = () => resume(Exit.void)
  process.once("disconnect", gone)
  return Effect.sync(() => process.off("disconnect", gone))
})
