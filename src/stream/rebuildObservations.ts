/**
 * Rebuilds the observations from the raw topic while the service runs, and puts the result in the place of the old.
 *
 * The documents are mapped and stored by the same code and in the same order as ever, without the topic between. What comes
 * meanwhile is read too; at the end those who store are held back for the moment in which the last of it is.
 */
import { Cause, Clock, Deferred, Effect, Fiber, Option, Schedule } from "effect"
import { describe } from "../domain/Loop.ts"
import type { OutgoingRecord } from "./KafkaSink.ts"
import { mapRecord } from "./ObservationMapper.ts"
import { fromObservationRecord } from "./observationRecord.ts"
import { ObservationRebuild, rebuildOffset } from "./ObservationRebuild.ts"
import { nothingStored, type StoreMessage } from "./ObservationStore.ts"
import { type RecordBatch, TopicReader, type TopicRecord } from "./TopicReader.ts"

export interface RebuildProgress {
  readonly read: number
  /** Documents that are still to be read, as many as there are by now. */
  readonly left: number
  /** As far as it can be told. */
  readonly secondsLeft: number | undefined
}

export interface RebuildOptions {
  readonly rawTopic: string
  /** Throws away what an interrupted rebuild left. */
  readonly fresh: boolean
  readonly onBegin: (begun: { readonly resumed: boolean }) => Effect.Effect<void>
  /** Told every second. */
  readonly onProgress: (progress: RebuildProgress) => Effect.Effect<void>
}

/** Documents are large: a batch is bounded by its bytes long before this. */
const maxRecords = 100
/** So long writers are held back for the last documents; beyond, they get on and it is tried again. */
const patience = "20 seconds"

/** What the record says, as the mapping stage would publish it; nothing where it would set it aside. */
const messagesOf = Effect.fnUntraced(
  function* (record: TopicRecord) {
    const { records } = yield* mapRecord(record, "observations")
    const { at } = record
    return yield* Effect.forEach(records, ({ headers = {}, value }: OutgoingRecord, index) =>
      fromObservationRecord({ offset: rebuildOffset(record.offset, index), headers, value, at })
    )
  },
  Effect.catchCauseIf(
    (cause) => !Cause.hasInterrupts(cause),
    (cause) =>
      Effect.as(
        Effect.logDebug("rebuild: a document was set aside", describe(cause)),
        [] as ReadonlyArray<StoreMessage>
      )
  )
)

/** Stores the documents; what the store refuses was set aside by the stage as well. */
const rebuildBatch = Effect.fnUntraced(function* ({ partition, records, topic }: RecordBatch) {
  const rebuild = yield* ObservationRebuild
  const messages: Array<StoreMessage> = []
  for (const record of records) {
    messages.push(...(yield* messagesOf(record)))
    yield* Effect.yieldNow
  }
  const keep = (some: ReadonlyArray<StoreMessage>) => rebuild.store({ topic, partition, messages: some })
  yield* keep(messages).pipe(
    Effect.catchTag("BatchRefused", () =>
      Effect.forEach(
        messages,
        (message) => keep([message]).pipe(Effect.catchTag("BatchRefused", () => Effect.succeed(nothingStored))),
        { discard: true }
      )
    )
  )
  return [] as ReadonlyArray<OutgoingRecord>
})

/** Rebuilds and swaps; how many documents were read. Interrupted, it leaves the old tables as they are. */
export const rebuildObservations = Effect.fn("rebuildObservations")(function* (options: RebuildOptions) {
  const { fresh, onBegin, onProgress, rawTopic: topic } = options
  const rebuild = yield* ObservationRebuild
  const reader = yield* TopicReader
  const { group, resumed } = yield* rebuild.begin(fresh)
  yield* onBegin({ resumed })
  const lag = reader.lag({ topic, group })
  const startedAt = yield* Clock.currentTimeMillis
  let read = 0

  const counted = (batch: RecordBatch) =>
    Effect.tap(rebuildBatch(batch), () =>
      Effect.sync(() => {
        read += batch.records.length
      })
    )
  const tell = Effect.gen(function* () {
    const left = yield* lag
    const seconds = ((yield* Clock.currentTimeMillis) - startedAt) / 1_000
    yield* onProgress({ read, left, secondsLeft: read === 0 ? undefined : (left * seconds) / read })
  })

  const untilRead = lag.pipe(Effect.repeat({ until: (left) => left === 0, schedule: Schedule.spaced("50 millis") }))

  /** Reads until nothing is left, and swaps; false when too much came just then. */
  const attempt = Effect.gen(function* () {
    const reading = reader.consume({ topic, group, maxRecords }, counted)
    const failure = yield* Deferred.make<never, Effect.Error<typeof reading>>()
    const consumer = yield* Effect.forkScoped(
      Effect.onError(reading, (cause) =>
        Cause.hasInterruptsOnly(cause) ? Effect.void : Deferred.failCause(failure, cause)
      )
    )
    // Those who store are held back by then, so all that they have stored is from documents that count as left or as read.
    const catchUp = untilRead.pipe(
      Effect.timeoutOption(patience),
      Effect.map(Option.isSome),
      Effect.tap((caughtUp) => (caughtUp ? Fiber.interrupt(consumer) : Effect.void))
    )
    const swapping = Effect.andThen(untilRead, rebuild.swap(catchUp))
    return yield* Effect.raceFirst(swapping, Deferred.await(failure))
  }).pipe(Effect.scoped)

  // A rebuild takes hours, in which a server may be started again.
  const swapping = attempt.pipe(
    Effect.tapError((error) => Effect.logWarning("rebuild: interrupted, and goes on", describe(Cause.fail(error)))),
    Effect.retry({ schedule: Schedule.spaced("1 second"), times: 60 }),
    Effect.repeat({ until: (swapped) => swapped })
  )
  yield* Effect.raceFirst(swapping, Effect.forever(Effect.delay(Effect.ignore(tell), "1 second")))
  return { read }
})
