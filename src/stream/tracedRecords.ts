/**
 * Traces that go on in records: a record carries the `traceparent` of the send that published it, and what reads it goes on from there.
 *
 * A batch has many causes, and is linked to them; with one cause it is part of its trace. Of what is done record by record, each is
 * part of its own record's trace, and linked to the batch.
 */
import { Context, Effect } from "effect"
import { spanWhereTraced } from "../running/spanWhereTraced.ts"
import { continuing, currentTraceparent, isTraced, linkTo, spanOfTraceparent } from "../running/traceContext.ts"
import type { KafkaSink, OutgoingRecord } from "./KafkaSink.ts"
import type { RecordBatch, TopicRecord } from "./TopicReader.ts"

/** Where the topics are, as OpenTelemetry calls it: `kafka`, `postgresql`. */
export const MessagingSystem = Context.Reference<string>("penstock/stream/MessagingSystem", {
  defaultValue: () => "memory"
})

const causeOf = ({ headers }: Pick<TopicRecord, "headers">) => spanOfTraceparent(headers["traceparent"])

const onlyOne = <A>(values: ReadonlySet<A>): A | undefined => (values.size === 1 ? [...values][0] : undefined)

/** The sink with each send as a span, and the records as its children. A record that was sent before keeps its own trace. */
export const tracedSink = (sink: KafkaSink["Service"], system: string): KafkaSink["Service"] => ({
  send: (records, options) =>
    Effect.withFiber((fiber) => {
      if (!isTraced(fiber) || records.length === 0) return sink.send(records, options)
      const topic = onlyOne(new Set(records.map((record) => record.topic)))
      const partition = onlyOne(new Set(records.map((record) => record.partition)))
      return Effect.flatMap(currentTraceparent, (traceparent) =>
        sink.send(records.map(carrying(traceparent)), options)
      ).pipe(
        spanWhereTraced(topic === undefined ? "send" : `send ${topic}`, () => ({
          kind: "producer",
          attributes: {
            "messaging.system": system,
            "messaging.operation.name": "send",
            "messaging.operation.type": "send",
            ...(topic === undefined ? {} : { "messaging.destination.name": topic }),
            ...(topic === undefined || partition === undefined
              ? {}
              : { "messaging.destination.partition.id": String(partition) }),
            ...(records.length === 1 ? {} : { "messaging.batch.message_count": records.length })
          }
        }))
      )
    })
})

const carrying =
  (traceparent: string | undefined) =>
  (record: OutgoingRecord): OutgoingRecord =>
    traceparent === undefined || record.headers?.["traceparent"] !== undefined
      ? record
      : { ...record, headers: { ...record.headers, traceparent } }

/** A batch as a consumer group handles it. */
export const tracedBatch =
  ({ partition, records, topic }: RecordBatch, group: string) =>
  <A, E, R>(handling: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.flatMap(MessagingSystem, (system) =>
      handling.pipe(
        spanWhereTraced(`process ${topic}`, () => ({
          ...continuing(records.map(causeOf)),
          kind: "consumer",
          attributes: {
            "messaging.system": system,
            "messaging.operation.name": "process",
            "messaging.operation.type": "process",
            "messaging.destination.name": topic,
            "messaging.destination.partition.id": String(partition),
            "messaging.consumer.group.name": group,
            "messaging.batch.message_count": records.length,
            ...(system === "kafka" && records.length === 1 ? { "messaging.kafka.offset": records[0]?.offset } : {})
          }
        }))
      )
    )

/** What is done with one record of a batch. */
export const tracedRecord =
  (name: string, record: TopicRecord) =>
  <A, E, R>(handling: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.withFiber((fiber) => {
      const batch = fiber.cache.span
      return handling.pipe(
        spanWhereTraced(name, () => {
          const cause = causeOf(record)
          if (cause === undefined || batch === undefined || batch.traceId === cause.traceId) return {}
          return { parent: cause, links: [linkTo(batch)] }
        })
      )
    })
