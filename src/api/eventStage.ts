/**
 * Thin events from a topic, into the same inbox as those that come over HTTP.
 *
 * A record holds one event or an array of them, plain or as CloudEvents 1.0 in structured mode, told apart one by one. A record
 * with anything else in it is set aside whole, as a request would be refused whole; recording is idempotent, so a batch
 * that comes again changes nothing. Lives here because the sync knows nothing of streams, nor streams of it.
 */
import { Clock, Data, Effect, Layer, Metric, Predicate, Schema } from "effect"
import {
  CloudEvent,
  fromCloudEvent,
  fromPlainEvent,
  maxClockSkew,
  PlainEvent,
  type ThinEvent
} from "../domain/ThinEvent.ts"
import { toDeadLetter } from "../stream/DeadLetter.ts"
import type { OutgoingRecord } from "../stream/KafkaSink.ts"
import { runStage } from "../stream/runStage.ts"
import type { RecordBatch, TopicRecord } from "../stream/TopicReader.ts"
import { EventInbox, type EventReceipt } from "../sync/EventInbox.ts"
import { describeFaults } from "./Malformed.ts"

export const eventGroup = "penstock-accounting-point-events"
/** Partitions of the topic where it is made by us. The order of events does not matter: the newest wins. */
export const eventPartitions = 16

export interface EventStageOptions {
  readonly eventTopic: string
}

/** As many as a request may hold: one statement, which takes some 20 ms. */
const maxRecords = 1_000
/** Bounds the events of a batch where records hold arrays: some 12,000. */
const maxBytes = 1_000_000

const taken = Metric.counter("penstock_event_topic_events_total", {
  description: "events read from the topic, by what became of them",
  incremental: true
})

const count = ({ recorded, stale, unknown }: EventReceipt) =>
  Effect.forEach(
    Object.entries({ recorded, stale, unknown }),
    ([what, events]) => Metric.update(Metric.withAttributes(taken, { what }), events),
    { discard: true }
  )

/** Not what a record of the topic holds; `reason` names fields and rules, never a value. */
class Undecodable extends Data.TaggedError("Undecodable")<{ readonly reason: string }> {}

const readJson = Schema.decodeEffect(Schema.fromJsonString(Schema.Unknown))
const readPlain = Schema.decodeUnknownEffect(PlainEvent)
const readCloud = Schema.decodeUnknownEffect(CloudEvent)

const readEvent = (event: unknown, latest: number): Effect.Effect<ThinEvent, Undecodable> =>
  (Predicate.hasProperty(event, "specversion")
    ? Effect.map(readCloud(event), fromCloudEvent)
    : Effect.map(readPlain(event), fromPlainEvent)
  ).pipe(
    Effect.mapError((error) => new Undecodable({ reason: describeFaults("the event", error) })),
    Effect.filterOrFail(
      ({ occurredAt }) => occurredAt <= latest,
      () => new Undecodable({ reason: "the time is more than 5 minutes in the future" })
    )
  )

/** The events of a record; of an array a reason tells the place. */
const readRecord = Effect.fnUntraced(function* ({ value }: TopicRecord, latest: number) {
  const body = yield* Effect.mapError(readJson(value), () => new Undecodable({ reason: "the value is not JSON" }))
  if (!Array.isArray(body)) return [yield* readEvent(body, latest)]
  return yield* Effect.forEach(body, (event: unknown, place) =>
    Effect.mapError(readEvent(event, latest), ({ reason }) => new Undecodable({ reason: `[${place}]: ${reason}` }))
  )
})

/** Records the events of a batch at once; what it returns are the dead letters among its records. */
export const recordBatch = Effect.fnUntraced(function* ({ records }: RecordBatch) {
  const inbox = yield* EventInbox
  const latest = (yield* Clock.currentTimeMillis) + maxClockSkew
  const deadLetters: Array<OutgoingRecord> = []
  const read = yield* Effect.forEach(records, (record) =>
    readRecord(record, latest).pipe(
      Effect.catchTag("Undecodable", ({ reason }) =>
        Effect.map(toDeadLetter(record, reason), (letter): ReadonlyArray<ThinEvent> => {
          deadLetters.push(letter)
          return []
        })
      )
    )
  )
  const events = read.flat()
  if (events.length > 0) yield* Effect.flatMap(inbox.record(events), count)
  return deadLetters
})

export const eventStage = ({ eventTopic }: EventStageOptions) =>
  runStage({ name: eventGroup, topic: eventTopic, maxRecords, maxBytes }, recordBatch)

/** The stage, for as long as the layer lives. */
export const EventStage = (options: EventStageOptions) => Layer.effectDiscard(Effect.forkScoped(eventStage(options)))
