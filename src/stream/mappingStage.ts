/**
 * Reads the raw topic and publishes what its documents say: each message once, in the order of the documents.
 *
 * The mapped records and the group's offset are one transaction of the stream. A record that cannot be mapped, for
 * whatever reason, goes to the dead letters in that same transaction; only an interruption is not a reason.
 */
import { Cause, Effect, Layer } from "effect"
import { counter } from "../running/Instrument.ts"
import { describe } from "../running/describe.ts"
import { toDeadLetter } from "./DeadLetter.ts"
import type { OutgoingRecord } from "./KafkaSink.ts"
import { mapRecord, nothingLeftOut } from "./ObservationMapper.ts"
import { runStage } from "./runStage.ts"
import type { RecordBatch, TopicRecord } from "./TopicReader.ts"

export const mapperGroup = "penstock-mapper"

export interface MappingOptions {
  readonly rawTopic: string
  readonly observationsTopic: string
}

/** Documents are large: a batch is bounded by its bytes long before this. */
const maxRecords = 100
/**
 * What is mapped at a time is a transaction of the stream. A broker spends as much on one of a single document as on one of several, so
 * a reader makes seven a second where documents come one by one: 150 ms is what a document may wait for.
 */
const gather = "150 millis"

const mapped = counter("penstock.stream.mapped", {
  unit: "{record}",
  description: "messages of the raw topic that were mapped"
})
const leftOut = counter("penstock.stream.rows_left_out", {
  unit: "{row}",
  description: "rows without a number or a time, by reason",
  labels: ["reason"]
})

const mapOne = Effect.fnUntraced(function* (record: TopicRecord, observationsTopic: string) {
  const { leftOut: rows, records } = yield* mapRecord(record, observationsTopic)
  yield* mapped.add(1)
  for (const [reason, count] of Object.entries(rows)) {
    if (count > 0) yield* leftOut.add(count, { reason })
  }
  return records
})

/** What a batch of raw records becomes. Fails with nothing: what cannot be mapped is a dead letter. */
export const mapBatch = Effect.fnUntraced(function* ({ records }: RecordBatch, observationsTopic: string) {
  const outgoing: Array<OutgoingRecord> = []
  for (const record of records) {
    const results = yield* mapOne(record, observationsTopic).pipe(
      Effect.catchTag("Unmappable", ({ reason }) => Effect.map(toDeadLetter(record, reason), (letter) => [letter])),
      // A document that our code stumbles over must not stop all that come after it.
      Effect.catchCauseIf(
        (cause) => !Cause.hasInterrupts(cause),
        (cause) => Effect.map(toDeadLetter(record, `a defect of the mapping: ${describe(cause)}`), (letter) => [letter])
      )
    )
    // One by one: a list of sites may hold more than there may be arguments.
    for (const each of results) outgoing.push(each)
    // Writing a month of values as JSON takes some milliseconds, in which nothing else is served.
    yield* Effect.yieldNow
  }
  return outgoing
})

export const mappingStage = ({ observationsTopic, rawTopic }: MappingOptions) =>
  Effect.andThen(
    Effect.andThen(mapped.show({}), leftOut.show(...Object.keys(nothingLeftOut).map((reason) => ({ reason })))),
    runStage({ name: mapperGroup, topic: rawTopic, maxRecords, gather }, (batch) => mapBatch(batch, observationsTopic))
  )

/** The stage, for as long as the layer lives. */
export const MappingStage = (options: MappingOptions) => Layer.effectDiscard(Effect.forkScoped(mappingStage(options)))
