/**
 * Reads the observations topic into the store.
 *
 * The store keeps its own offsets with the data, so a batch that was stored and comes again changes nothing. A record
 * that is no message goes to the dead letters with the group's offset; one that the store refuses is found by storing
 * its batch one by one, and is sent there before what follows it is stored: at least once, perhaps twice.
 */
import { Effect, Layer } from "effect"
import { toDeadLetter } from "./DeadLetter.ts"
import { KafkaSink, type OutgoingRecord } from "./KafkaSink.ts"
import { fromObservationRecord } from "./observationRecord.ts"
import { ObservationStore, type StoreMessage, type StoreOutcome } from "./ObservationStore.ts"
import { counter } from "../running/Instrument.ts"
import { runStage } from "./runStage.ts"
import type { RecordBatch, TopicRecord } from "./TopicReader.ts"

export const storeGroup = "penstock-observations"

export interface ObservationStageOptions {
  readonly observationsTopic: string
}

/** Lists of sites come as thousands of small records, data as tens of thousands of values in a few. */
const maxRecords = 2_000
/** Some 35,000 values: enough for a transaction, and few enough to encode within 50 ms. */
const maxBytes = 2_000_000

const stored = counter("penstock.observations", {
  unit: "{value}",
  description: "values that were added, corrected, removed, or overruled by a newer document",
  labels: ["what"]
})

const count = (outcome: StoreOutcome) =>
  Effect.forEach(Object.entries(outcome), ([what, values]) => stored.add(values, { what }), { discard: true })

interface Readable {
  readonly record: TopicRecord
  readonly message: StoreMessage
}

/** Under which name the store keeps the offsets: a topic of another log begins anew, and nothing of it is passed over. */
export const offsetsOf = ({ log, topic }: Pick<RecordBatch, "log" | "topic">) =>
  log === undefined ? topic : `${topic}@${log}`

/** Stores a batch; what it returns are dead letters that are still to be published. */
export const storeBatch = Effect.fnUntraced(function* (batch: RecordBatch) {
  const { formerLog, partition, records, topic } = batch
  const names = {
    topic: offsetsOf(batch),
    formerTopic: formerLog === undefined ? undefined : offsetsOf({ topic, log: formerLog })
  }
  const store = yield* ObservationStore
  const readable: Array<Readable> = []
  const deadLetters: Array<OutgoingRecord> = []
  for (const record of records) {
    // Reading a month of values takes some 15 ms, in which nothing else is served.
    yield* Effect.yieldNow
    yield* fromObservationRecord(record).pipe(
      Effect.matchEffect({
        onSuccess: (message) => Effect.sync(() => void readable.push({ record, message })),
        onFailure: () =>
          Effect.map(toDeadLetter(record, "the value is not an observation message"), (letter) => {
            deadLetters.push(letter)
          })
      })
    )
  }
  const keep = (messages: ReadonlyArray<StoreMessage>) =>
    Effect.flatMap(store.store({ ...names, partition, messages }), count)

  yield* keep(readable.map(({ message }) => message)).pipe(
    Effect.catchTag("BatchRefused", () =>
      Effect.forEach(
        readable,
        ({ message, record }) =>
          keep([message]).pipe(
            Effect.catchTag("BatchRefused", ({ reason }) =>
              Effect.flatMap(toDeadLetter(record, `the store refuses it: ${reason}`), (letter) =>
                KafkaSink.use((sink) => sink.send([letter]))
              )
            )
          ),
        { discard: true }
      )
    )
  )
  return deadLetters
})

export const observationStage = ({ observationsTopic }: ObservationStageOptions) =>
  Effect.andThen(
    stored.show({ what: "added" }, { what: "corrected" }, { what: "removed" }, { what: "overruled" }),
    runStage({ name: storeGroup, topic: observationsTopic, maxRecords, maxBytes }, storeBatch)
  )

/** The stage, for as long as the layer lives. */
export const ObservationStage = (options: ObservationStageOptions) =>
  Layer.effectDiscard(Effect.forkScoped(observationStage(options)))
