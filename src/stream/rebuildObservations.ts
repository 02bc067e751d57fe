/**
 * Rebuilds the observations from the raw topic while the service runs, and puts the result in the place of the old.
 *
 * The documents are mapped and stored by the same code and in the same order as ever, without the topic between. What comes
 * meanwhile is read too, and on a shorter way than the stores', so that it is soon no further behind than they are: then the
 * tables change places. The topic is never asked while the stores are held back for that.
 */
import { Cause, Clock, Data, Deferred, Effect, Schedule, Semaphore } from "effect"
import { sayOnce } from "../running/sayOnce.ts"
import { describe } from "../running/describe.ts"
import type { OutgoingRecord } from "./KafkaSink.ts"
import { mapRecord } from "./ObservationMapper.ts"
import { offsetsOf } from "./observationStage.ts"
import { fromObservationRecord } from "./observationRecord.ts"
import { ObservationRebuild, rebuildOffset, type StoredSource } from "./ObservationRebuild.ts"
import { nothingStored, type StoreMessage } from "./ObservationStore.ts"
import type { StoreUnavailable } from "../domain/StoreUnavailable.ts"
import { type RecordBatch, TopicReader, type TopicRecord } from "./TopicReader.ts"

/** Whenever the tables could have changed places, the old ones had something the new ones lacked; try when less comes. */
export class RebuildOvertaken extends Data.TaggedError("RebuildOvertaken")<{}> {}

/** The store failed, perhaps because the rebuild has lost its hold: nothing rests until that passes, all begins anew. */
class StoreLost extends Data.TaggedError("StoreLost")<{ readonly failure: StoreUnavailable }> {}

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
  /** Lets go of months that have no raw document any more, instead of failing. */
  readonly dropMissing: boolean
  readonly onBegin: (begun: { readonly resumed: boolean }) => Effect.Effect<void>
  /** Told every second. */
  readonly onProgress: (progress: RebuildProgress) => Effect.Effect<void>
}

/** Documents are large: a batch is bounded by its bytes long before this. */
const maxRecords = 100
/** The stores are held back for as long as their batches under way take, each time: so not oftener, and not for ever. */
const betweenRounds = "1 second"
const mostRounds = 60

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
const rebuildBatch = Effect.fnUntraced(function* (batch: RecordBatch) {
  const { partition, records } = batch
  const topic = offsetsOf(batch)
  const rebuild = yield* ObservationRebuild
  const messages: Array<StoreMessage> = []
  for (const record of records) {
    for (const message of yield* messagesOf(record)) messages.push(message)
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

/** Lets in many at a time, or one alone, which waits for those inside and for none that comes later. */
const makeGate = Effect.gen(function* () {
  const entrance = yield* Semaphore.make(1)
  const most = 1_000
  const inside = yield* Semaphore.make(most)
  return {
    beside: <A, E, R>(effect: Effect.Effect<A, E, R>) =>
      Effect.acquireUseRelease(
        entrance.withPermit(inside.take(1)),
        () => effect,
        () => inside.release(1)
      ),
    alone: <A, E, R>(effect: Effect.Effect<A, E, R>) => entrance.withPermit(inside.withPermits(most)(effect))
  }
})

const nameOf = ({ by, partition }: StoredSource) => `${by} ${partition}`

/** Rebuilds and swaps; how many documents were read. Interrupted, it leaves the old tables as they are. */
export const rebuildObservations = Effect.fn("rebuildObservations")(function* (options: RebuildOptions) {
  const { dropMissing, fresh, onBegin, onProgress, rawTopic: topic } = options
  const rebuild = yield* ObservationRebuild
  const reader = yield* TopicReader
  const { group, resumed } = yield* Effect.scoped(rebuild.begin(fresh))
  yield* onBegin({ resumed })
  const lag = reader.lag({ topic, group })
  const startedAt = yield* Clock.currentTimeMillis
  let read = 0
  /** By raw partition, the offset after the last document that is in the new tables. */
  const reached = new Map<number, number>()

  const counted = (batch: RecordBatch) =>
    Effect.tap(rebuildBatch(batch), () =>
      Effect.sync(() => {
        read += batch.records.length
        reached.set(batch.partition, batch.records.at(-1)!.offset + 1)
      })
    )
  const tell = Effect.gen(function* () {
    const left = yield* lag
    const seconds = ((yield* Clock.currentTimeMillis) - startedAt) / 1_000
    yield* onProgress({ read, left, secondsLeft: read === 0 ? undefined : (left * seconds) / read })
  })

  const untilRead = lag.pipe(Effect.repeat({ until: (left) => left === 0, schedule: Schedule.spaced("50 millis") }))

  /** Reads until nothing is left, and swaps. */
  const attempt = Effect.gen(function* () {
    if (!(yield* rebuild.resume(group))) return
    const gate = yield* makeGate
    // While the tables change places, and after they did or may have: what is stored then would go into the wrong ones.
    let isClosed = false
    const reading = reader
      .consume({ topic, group, maxRecords }, (batch) =>
        gate
          .beside(Effect.suspend(() => (isClosed ? Effect.never : counted(batch))))
          .pipe(Effect.catchTag("StoreUnavailable", (failure) => Effect.fail(new StoreLost({ failure }))))
      )
      .pipe(Effect.catchTag("StoreLost", ({ failure }) => Effect.fail(failure)))
    const failure = yield* Deferred.make<never, Effect.Error<typeof reading>>()
    yield* Effect.forkScoped(
      Effect.onError(reading, (cause) =>
        Cause.hasInterruptsOnly(cause) ? Effect.void : Deferred.failCause(failure, cause)
      )
    )
    const level = Effect.raceFirst(untilRead, Deferred.await(failure))

    const round = Effect.gen(function* () {
      // What was stored before nothing was left to read has been read.
      const before = new Map((yield* rebuild.stored).map((one) => [nameOf(one), one.offset]))
      yield* level
      const lacksNothing = (stored: ReadonlyArray<StoredSource>) =>
        stored.every((one) => one.offset < (reached.get(one.partition) ?? 0) || one.offset === before.get(nameOf(one)))
      return yield* gate.alone(
        Effect.suspend(() => {
          isClosed = true
          return Effect.map(rebuild.swap(lacksNothing, dropMissing), (swapped) => (isClosed = swapped))
        })
      )
    })
    yield* level
    let swapped = yield* round
    for (let n = 1; n < mostRounds && !swapped; n++) swapped = yield* Effect.delay(round, betweenRounds)
    if (!swapped) return yield* new RebuildOvertaken()
  }).pipe(Effect.scoped)

  // A rebuild takes hours, in which a server may be started again.
  const swapping = attempt.pipe(
    Effect.tapError((error) =>
      sayOnce("rebuild", Effect.logWarning("rebuild: interrupted, and goes on", describe(Cause.fail(error))))
    ),
    Effect.retry({
      schedule: Schedule.spaced("1 second"),
      times: 60,
      while: ({ _tag }) => _tag === "StoreUnavailable" || _tag === "ReaderUnavailable"
    })
  )
  yield* Effect.raceFirst(swapping, Effect.forever(Effect.delay(Effect.ignore(tell), "1 second")))
  return { read }
})
