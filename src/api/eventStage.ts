/**
 * Thin events from a topic, into the same inbox as those that come over HTTP.
 *
 * A record holds one event or an array of them, plain or as CloudEvents 1.0 in structured mode, told apart one by one; or it is
 * a CloudEvent in binary mode, with its attributes in headers, whatever its value. A byte order mark is skipped. A record with
 * anything else in it is set aside whole, as a request would be refused whole; recording is idempotent, so a batch that comes again
 * changes nothing. This file is in `api` because `sync` and `stream` do not know each other.
 */
import { Data, Effect, Layer, Predicate, Schema } from "effect"
import {
  binaryCloudEvent,
  CloudEvent,
  fromCloudEvent,
  fromPlainEvent,
  PlainEvent,
  type ThinEvent,
  tooFarAhead
} from "../domain/ThinEvent.ts"
import { noteEvents, showEvents } from "./eventMetrics.ts"
import { toDeadLetter } from "../stream/DeadLetter.ts"
import type { OutgoingRecord } from "../stream/KafkaSink.ts"
import { runStage } from "../stream/runStage.ts"
import type { RecordBatch, TopicRecord } from "../stream/TopicReader.ts"
import { EventInbox } from "../sync/EventInbox.ts"
import { describeFaults } from "../running/describeFaults.ts"

export const eventGroup = "penstock-accounting-point-events"

export interface EventStageOptions {
  readonly eventTopic: string
}

/** As many as a request may hold: one statement, which takes some 20 ms. */
const maxRecords = 1_000
/** Bounds the events of a batch where records hold arrays: some 12,000. */
const maxBytes = 1_000_000

/** Not what a record of the topic holds; `reason` names fields and rules, never a value. */
class Undecodable extends Data.TaggedError("Undecodable")<{ readonly reason: string }> {}

const readJson = Schema.decodeEffect(Schema.fromJsonString(Schema.Unknown))
const readPlain = Schema.decodeUnknownEffect(PlainEvent)
const readCloud = Schema.decodeUnknownEffect(CloudEvent)

const readEvent = (event: unknown): Effect.Effect<ThinEvent, Undecodable> =>
  (Predicate.hasProperty(event, "specversion")
    ? Effect.map(readCloud(event), fromCloudEvent)
    : Effect.map(readPlain(event), fromPlainEvent)
  ).pipe(Effect.mapError((error) => new Undecodable({ reason: describeFaults("the event", error) })))

/** The events of a record; of an array a reason tells the place. */
const readRecord = Effect.fnUntraced(function* (record: TopicRecord) {
  const binary = binaryCloudEvent(record.headers, "ce_")
  if (binary !== undefined) return { record, isArray: false, events: [yield* readEvent(binary)] }
  const body = yield* Effect.mapError(
    readJson(record.value.replace(/^\uFEFF/, "")),
    () => new Undecodable({ reason: "the value is not JSON" })
  )
  if (!Array.isArray(body)) return { record, isArray: false, events: [yield* readEvent(body)] }
  const events = yield* Effect.forEach(body, (event: unknown, place) =>
    Effect.mapError(readEvent(event), ({ reason }) => new Undecodable({ reason: `[${place}]: ${reason}` }))
  )
  return { record, isArray: true, events }
})
type ReadRecord = Effect.Success<ReturnType<typeof readRecord>>

/** What each record holds too far ahead of the store's clock, by the places of its events among those of all. */
const reasonsAhead = (read: ReadonlyArray<ReadRecord>, places: ReadonlyArray<number>) => {
  let first = 0
  return new Map(
    read.flatMap((one): ReadonlyArray<readonly [ReadRecord, string]> => {
      const place = places.find((each) => each >= first && each < first + one.events.length)
      const reason =
        place === undefined ? [] : [[one, one.isArray ? `[${place - first}]: ${tooFarAhead}` : tooFarAhead] as const]
      first += one.events.length
      return reason
    })
  )
}

/** Records the events of a batch at once; what it returns are the dead letters among its records. */
export const recordBatch = Effect.fnUntraced(function* ({ records }: RecordBatch) {
  const inbox = yield* EventInbox
  const deadLetters: Array<OutgoingRecord> = []
  const setAside = (record: TopicRecord, reason: string) =>
    Effect.map(toDeadLetter(record, reason), (letter) => void deadLetters.push(letter))
  const read = yield* Effect.forEach(records, (record) =>
    readRecord(record).pipe(
      Effect.map((one): ReadonlyArray<ReadRecord> => [one]),
      Effect.catchTag("Undecodable", ({ reason }) => Effect.as(setAside(record, reason), []))
    )
  )
  let usable = read.flat()
  const record = Effect.suspend(() => {
    const events = usable.flatMap(({ events }) => events)
    return events.length === 0
      ? Effect.void
      : Effect.flatMap(inbox.record(events), (receipt) => noteEvents("topic", receipt))
  })
  // Once more without the records that the store refused: time passes, so it refuses none of the others.
  yield* Effect.catchTag(
    record,
    "EventsInFuture",
    Effect.fnUntraced(function* ({ places }) {
      const reasons = reasonsAhead(usable, places)
      for (const [{ record: refused }, reason] of reasons) yield* setAside(refused, reason)
      usable = usable.filter((one) => !reasons.has(one))
      yield* record
    })
  )
  return deadLetters
})

export const eventStage = ({ eventTopic }: EventStageOptions) =>
  Effect.andThen(
    showEvents("topic"),
    runStage({ name: eventGroup, topic: eventTopic, maxRecords, maxBytes }, recordBatch)
  )

/** The stage, for as long as the layer lives. */
export const EventStage = (options: EventStageOptions) => Layer.effectDiscard(Effect.forkScoped(eventStage(options)))
