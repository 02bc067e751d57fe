/**
 * A stage: a consumer group that reads a topic for as long as the service runs, whatever happens to the stream.
 *
 * Reading is one pass that never ends by itself, so its signs of life are the batches it finished and the times it found
 * nothing to take; both count only while no partition stands still, and a batch that hangs shows whatever is done in others.
 * Back-off starts anew after a pass that went well for long.
 */
import { Cause, type Duration, Effect } from "effect"
import { describe } from "../running/describe.ts"
import { sayOnce } from "../running/sayOnce.ts"
import { asStepOf, beat, Loops, noteObstacle, repeatPass } from "../running/Loop.ts"
import { showDeadLetters } from "./DeadLetter.ts"
import type { OutgoingRecord } from "./KafkaSink.ts"
import { showStill, standstillWords } from "./standstills.ts"
import { type RecordBatch, type Standstill, TopicReader } from "./TopicReader.ts"
import { tracedBatch } from "./tracedRecords.ts"
import { monotonicMillis } from "../running/monotonicMillis.ts"

export interface StageOptions {
  /** Also the name of the consumer group. */
  readonly name: string
  readonly topic: string
  readonly maxRecords: number
  readonly maxBytes?: number
  /** As for `TopicReader.consume`. */
  readonly gather?: Duration.Input
}

/** A batch that takes this long is given up, and comes again. */
const longestBatch = "5 minutes"
/** After a pass of this many milliseconds, a failure is taken for the first of its kind. */
const goodWhile = 60_000

/** Reads and handles for ever; every failure is logged and tried again with back-off. */
export const runStage = Effect.fnUntraced(function* <E, R>(
  { name, ...options }: StageOptions,
  handle: (batch: RecordBatch) => Effect.Effect<ReadonlyArray<OutgoingRecord>, E, R>
) {
  const loops = yield* Loops
  const { topic } = options
  yield* showDeadLetters(topic)
  yield* showStill(topic, name, [])
  /** Partitions that stand still: whatever is done in the others, these are not served. */
  let still = 0
  const alive = Effect.suspend(() => (still > 0 ? Effect.void : Effect.provideService(beat(name), Loops, loops)))

  const handleOne = (batch: RecordBatch) =>
    Effect.suspend(() => handle(batch)).pipe(
      Effect.timeout(longestBatch),
      // It takes seconds at most.
      asStepOf(loops, name),
      Effect.tap(() => alive),
      tracedBatch(batch, name)
    )
  const onStandstill = (partitions: ReadonlyArray<Standstill>) =>
    Effect.suspend(() => {
      still = partitions.length
      return Effect.andThen(
        showStill(topic, name, partitions),
        noteObstacle(loops, name, still === 0 ? undefined : standstillWords(topic, partitions))
      )
    })
  const reading = TopicReader.use((reader) =>
    reader.consume({ ...options, group: name, onIdle: alive, onStandstill }, handleOne)
  )

  const pass = Effect.gen(function* () {
    const startedAt = yield* monotonicMillis
    return yield* reading.pipe(
      Effect.catchCause((cause) =>
        Effect.gen(function* () {
          const lasted = (yield* monotonicMillis) - startedAt
          if (Cause.hasInterruptsOnly(cause) || lasted < goodWhile) return yield* Effect.failCause(cause)
          yield* sayOnce(
            `${name} begins anew`,
            Effect.logWarning(`${name}: reading was cut short and begins anew`, describe(cause))
          )
        })
      )
    )
  })
  return yield* repeatPass({ name, pauses: "250 millis" }, pass, () => Effect.sleep("250 millis"))
})
