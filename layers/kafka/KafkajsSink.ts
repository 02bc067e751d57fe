/**
 * Publishes to Apache Kafka through kafkajs: acknowledged by all replicas, gzip, to the partitions that the caller computed.
 *
 * What is sent while a request is under way goes into the next one together, and what may wait does so for a moment. A producer that
 * could not send is given up with its connections, and the next send makes new ones: nothing has to be mended after an outage.
 */
import { Effect, Layer, Semaphore } from "effect"
import { makeTrouble } from "../../src/running/Trouble.ts"
import { batched } from "../../src/running/batched.ts"
import {
  KafkaSink,
  type OutgoingRecord,
  recordBytes,
  refuseTooLarge,
  type SendOptions,
  SinkUnavailable
} from "../../src/stream/KafkaSink.ts"
import { makeProducer, produce, refusedAsTooLarge } from "./KafkajsProducer.ts"
import { KafkajsClient } from "./KafkajsProtocol.ts"
import { KafkajsTopics } from "./KafkajsTopics.ts"
import { reopened } from "./reopened.ts"

/** Of all sends that wait or are under way, in bytes: some six of the largest documents. Further ones wait their turn. */
const maxInFlightBytes = 64_000_000
/** A small record counts as this many bytes, so there are at most 64,000 of them. */
const leastBytes = 1_000
/** At most so many sends go out together. */
const maxTogether = 256
/**
 * Sends that may wait do, for so long. The documents of one claim end some milliseconds apart: a broker spends on a request of one of
 * them most of what it spends on one of all.
 */
const company = { duration: "50 millis", enough: 8 } as const

interface Send extends SendOptions {
  readonly records: ReadonlyArray<OutgoingRecord>
}

const make = Effect.gen(function* () {
  const client = yield* KafkajsClient
  const topics = yield* KafkajsTopics
  const bytes = yield* Semaphore.make(maxInFlightBytes)
  const withProducer = yield* reopened(
    Effect.gen(function* () {
      yield* topics.ensured
      const cluster = yield* client.open
      return { cluster, producer: yield* makeProducer(cluster) }
    })
  )

  const trouble = makeTrouble({ begins: "Kafka: cannot be written to", ends: "Kafka: can be written to again" })

  /**
   * A session has one request under way: two that began with the same sequence number would be one to the broker, which drops the
   * second. Runs come one after the other but for those of a batch that was refused, whose sends are tried each by itself.
   */
  const turn = yield* Semaphore.make(1)
  const sendTogether = (sends: ReadonlyArray<Send>) => {
    const records = sends.flatMap((each) => each.records)
    return withProducer(({ cluster, producer }) => produce(cluster, producer, records)).pipe(
      Effect.tapError(({ kind }) => (kind === "UNKNOWN_TOPIC_OR_PARTITION" ? topics.forget : Effect.void)),
      Effect.tap(() => trouble.isOver),
      Effect.tapError((failure) =>
        refusedAsTooLarge(failure, records) === undefined ? trouble.shows(failure.kind) : Effect.void
      ),
      Effect.mapError((failure) => refusedAsTooLarge(failure, records) ?? new SinkUnavailable({ cause: failure })),
      Effect.as(sends.map(() => undefined))
    )
  }
  const send = yield* batched({
    name: "KafkajsSink.send",
    maxSize: maxTogether,
    run: (sends) => turn.withPermit(sendTogether(sends)),
    gather: { ...company, mayWait: ({ mayWait = false }: Send) => mayWait },
    mayBeOfOne: (error) => error._tag === "RecordTooLarge"
  })

  return KafkaSink.of({
    send: (records, options = {}) =>
      Effect.gen(function* () {
        if (records.length === 0) return
        yield* refuseTooLarge(records)
        const size = records.reduce((sum, record) => sum + Math.max(leastBytes, recordBytes(record)), 0)
        yield* bytes.withPermits(Math.min(size, maxInFlightBytes))(send({ ...options, records }))
      })
  })
})

export const KafkajsSink: Layer.Layer<KafkaSink, never, KafkajsClient | KafkajsTopics> = Layer.effect(KafkaSink, make)
