/**
 * Topics kept in memory: the twin of Kafka and of the topics in PostgreSQL, for tests.
 *
 * Sink and reader share one log, so a test may send and consume. Everything between two suspensions is atomic, which
 * stands in for the transactions of the others.
 */
import { Clock, Context, Effect, Layer, Ref } from "effect"
import { KafkaSink, type OutgoingRecord, recordBytes, refuseTooLarge, SinkUnavailable } from "./KafkaSink.ts"
import { makeArrivals, takeTurns } from "./partitionTurns.ts"
import { isMomentary, makeRests } from "./restingPartitions.ts"
import { maxBatchBytes, ReaderUnavailable, type RecordBatch, type TopicRecord, TopicReader } from "./TopicReader.ts"

/** The position of a group in a partition. */
interface Position {
  next: number
  held: boolean
  claims: number
}

const partitionsAtOnce = 4

export class MemoryTopics extends Context.Service<
  MemoryTopics,
  {
    /** While true, every call fails as if the stream could not be reached. */
    readonly outage: Ref.Ref<boolean>
    /** All records of a topic, by partition and offset. */
    readonly records: (topic: string) => ReadonlyArray<TopicRecord>
  }
>()("penstock/stream/MemoryTopics") {
  /** Topics by name with their number of partitions; sending to any other is a defect. */
  static readonly layer = (
    topics: Readonly<Record<string, number>>
  ): Layer.Layer<MemoryTopics | KafkaSink | TopicReader> =>
    Layer.effectContext(Effect.map(Ref.make(false), make(topics)))
}

const make = (topics: Readonly<Record<string, number>>) => (outage: Ref.Ref<boolean>) => {
  const logs = new Map(
    Object.entries(topics).map(([topic, partitions]) => [
      topic,
      Array.from({ length: partitions }, (): Array<TopicRecord> => [])
    ])
  )
  const groups = new Map<string, ReadonlyArray<Position>>()
  const arrivals = makeArrivals()

  const logOf = (topic: string, partition: number): Array<TopicRecord> => {
    const log = logs.get(topic)?.[partition]
    if (log === undefined) throw new Error(`there is no partition ${partition} of topic ${topic}`)
    return log
  }
  const append = (records: ReadonlyArray<OutgoingRecord>, at: number) => {
    for (const { topic, partition } of records) logOf(topic, partition)
    for (const { topic, partition, key, value, headers = {} } of records) {
      const log = logOf(topic, partition)
      log.push({ topic, partition, offset: log.length, key, value, headers, at })
      arrivals.signal(topic)
    }
  }
  const unlessOut = <E>(error: (cause: Error) => E): Effect.Effect<void, E> =>
    Effect.flatMap(Ref.get(outage), (out) => (out ? Effect.fail(error(new Error("outage"))) : Effect.void))
  const sinkUp = unlessOut((cause) => new SinkUnavailable({ cause }))
  const readerUp = unlessOut((cause) => new ReaderUnavailable({ cause }))

  const positionsOf = (group: string, topic: string): ReadonlyArray<Position> => {
    const name = JSON.stringify([group, topic])
    const known = groups.get(name)
    if (known !== undefined) return known
    logOf(topic, 0)
    const positions = logs.get(topic)!.map((): Position => ({ next: 0, held: false, claims: 0 }))
    groups.set(name, positions)
    return positions
  }

  const sink = KafkaSink.of({
    send: (records) =>
      refuseTooLarge(records).pipe(
        Effect.andThen(sinkUp),
        Effect.andThen(Clock.currentTimeMillis),
        Effect.flatMap((at) => Effect.sync(() => append(records, at)))
      )
  })

  const reader = TopicReader.of({
    consume: (options, handle) => {
      const { topic, group, maxRecords, maxBytes = maxBatchBytes } = options
      const rests = makeRests(options)
      type Claim = { readonly position: Position; readonly partition: number }
      const read = ({ partition, position: { next } }: Claim): RecordBatch => {
        const upTo = logOf(topic, partition).slice(next, next + maxRecords)
        let bytes = 0
        const records = upTo.filter((record, index) => {
          bytes += recordBytes({ key: "", value: record.value })
          return index === 0 || bytes <= maxBytes
        })
        return { topic, partition, records }
      }
      return takeTurns({
        atOnce: partitionsAtOnce,
        arrivals: arrivals.subscribe(topic),
        claim: Effect.map(Effect.andThen(readerUp, Clock.currentTimeMillis), (now): Claim | undefined => {
          const free = positionsOf(group, topic)
            .map((position, partition) => ({ position, partition }))
            .filter(({ position, partition }) => !position.held && position.next < logOf(topic, partition).length)
            .filter(({ partition }) => !rests.isResting(partition, now))
            .sort((a, b) => a.position.claims - b.position.claims)[0]
          if (free === undefined) return undefined
          free.position.held = true
          free.position.claims++
          return free
        }),
        work: (claim: Claim) =>
          Effect.gen(function* () {
            const batch = read(claim)
            const outputs = yield* handle(batch)
            yield* refuseTooLarge(outputs)
            yield* readerUp
            append(outputs, yield* Clock.currentTimeMillis)
            claim.position.next += batch.records.length
            yield* rests.end(claim.partition)
            return claim.position.next < logOf(topic, claim.partition).length
          }).pipe(
            Effect.catchCauseIf(isMomentary, (cause) => Effect.as(rests.begin(claim.partition, cause), false)),
            Effect.ensuring(Effect.sync(() => (claim.position.held = false)))
          ),
        gather: options.gather,
        giveUpWaiting: () => Effect.suspend(() => Effect.sleep(rests.isAny() ? "100 millis" : "10 seconds")),
        onIdle: options.onIdle ?? Effect.void
      }).pipe(Effect.ensuring(rests.forgetAll))
    },
    unread: ({ topic, group }) =>
      Effect.map(readerUp, () => {
        const waiting = positionsOf(group, topic).flatMap((position, partition) =>
          logOf(topic, partition).slice(position.next)
        )
        return {
          records: waiting.length,
          oldestAt: waiting.length === 0 ? undefined : waiting.reduce((least, { at }) => Math.min(least, at), Infinity)
        }
      }),
    lag: ({ topic, group }) =>
      Effect.map(readerUp, () =>
        positionsOf(group, topic).reduce(
          (lag, position, partition) => lag + logOf(topic, partition).length - position.next,
          0
        )
      )
  })

  return Context.make(KafkaSink, sink).pipe(
    Context.add(TopicReader, reader),
    Context.add(MemoryTopics, { outage, records: (topic) => (logs.get(topic) ?? []).flat() })
  )
}
