/**
 * What every implementation of KafkaSink and TopicReader promises; run over each of them, on the real clock.
 *
 * Each test has topics of its own, so that one log serves the whole suite.
 */
import { assert, layer } from "@effect/vitest"
import { Clock, Deferred, type Duration, Effect, Fiber, type Layer, Ref, Schedule } from "effect"
import { LockTimeout, StoreUnavailable } from "../../src/domain/StoreUnavailable.ts"
import { KafkaSink, maxMessageBytes, type OutgoingRecord } from "../../src/stream/KafkaSink.ts"
import { type ConsumeOptions, type RecordBatch, type Standstill, TopicReader } from "../../src/stream/TopicReader.ts"

/** Topics to make for the suite, with their partitions; a log that outlives a run needs a prefix of its own. */
export const suiteTopics = (prefix = "suite"): Readonly<Record<string, number>> => ({
  [`${prefix}.order`]: 3,
  [`${prefix}.bytes`]: 1,
  [`${prefix}.large`]: 1,
  [`${prefix}.moved`]: 1,
  [`${prefix}.moved.out`]: 2,
  [`${prefix}.failing`]: 1,
  [`${prefix}.failing.out`]: 1,
  [`${prefix}.resting`]: 2,
  [`${prefix}.resting.out`]: 1,
  [`${prefix}.interrupted`]: 1,
  [`${prefix}.sibling`]: 2,
  [`${prefix}.finishing`]: 2,
  [`${prefix}.shared`]: 6,
  [`${prefix}.groups`]: 1,
  [`${prefix}.lag`]: 2,
  [`${prefix}.racing`]: 2,
  [`${prefix}.idle`]: 1,
  [`${prefix}.gathering`]: 1
})

const record = (topic: string, n: number, partition = 0): OutgoingRecord => ({
  topic,
  partition,
  key: JSON.stringify({ n }),
  value: JSON.stringify({ value: n })
})
const records = (topic: string, from: number, to: number, partition = 0) =>
  Array.from({ length: to - from }, (_, i) => record(topic, from + i, partition))
const numbers = (batch: RecordBatch) => batch.records.map(({ value }) => (JSON.parse(value) as { value: number }).value)

const send = (list: ReadonlyArray<OutgoingRecord>) => KafkaSink.use((sink) => sink.send(list))

/** Consumes until `count` records were handled, and gives the batches; the handler publishes nothing. */
const collect = Effect.fnUntraced(function* (options: ConsumeOptions, count: number) {
  const reader = yield* TopicReader
  const batches: Array<RecordBatch> = []
  const enough = yield* Deferred.make<void>()
  let seen = 0
  const handle = (batch: RecordBatch) =>
    Effect.gen(function* () {
      batches.push(batch)
      seen += batch.records.length
      if (seen >= count) yield* Deferred.succeed(enough, undefined)
      return []
    })
  yield* Effect.raceFirst(reader.consume(options, handle), Deferred.await(enough))
  return batches
})

export const topicsSuite = <E>(name: string, topics: Layer.Layer<KafkaSink | TopicReader, E>, prefix = "suite") =>
  layer(topics, { excludeTestServices: true })(name, (it) => {
    it.effect("gives the records of a partition in the order they were sent, whole and with offsets from 0", () =>
      Effect.gen(function* () {
        const topic = `${prefix}.order`
        const sent: OutgoingRecord = {
          topic,
          partition: 2,
          key: `{"site":"Tāmaki 🌊"}`,
          value: `{"text":"a\\u0000b ' \\" \\\\ ${"é".repeat(10)}"}`,
          headers: { fetched_at: "2026-01-01T00:00:00Z", traceparent: "00-1-2-01" }
        }
        yield* send([sent, ...records(topic, 1, 4, 2), record(topic, 9, 1)])
        yield* send(records(topic, 4, 6, 2))
        const batches = yield* collect({ topic, group: "g", maxRecords: 4 }, 7)
        const inTwo = batches.filter(({ partition }) => partition === 2).flatMap((batch) => batch.records)
        assert.deepStrictEqual(
          inTwo.map(({ offset }) => offset),
          [0, 1, 2, 3, 4, 5]
        )
        const { at, ...first } = inTwo[0]!
        assert.deepStrictEqual(first, { ...sent, headers: { ...sent.headers }, offset: 0 })
        assert.isTrue(Number.isFinite(at) && at > 0)
        assert.deepStrictEqual(inTwo[1]!.headers, {})
        assert.isTrue(batches.every((batch) => batch.records.length <= 4))
        assert.isTrue(batches.every(({ records, ...of }) => records.every((one) => one.partition === of.partition)))
      })
    )

    it.effect("bounds a batch by bytes, and gives a larger record alone", () =>
      Effect.gen(function* () {
        const topic = `${prefix}.bytes`
        const sized = (n: number, bytes: number) => ({ ...record(topic, n), value: `{"value":${n}}`.padEnd(bytes) })
        yield* send([sized(0, 400), sized(1, 500), sized(2, 400), sized(3, 5_000), sized(4, 20), sized(5, 20)])
        const batches = yield* collect({ topic, group: "g", maxRecords: 100, maxBytes: 1_000 }, 6)
        assert.deepStrictEqual(batches.map(numbers), [[0, 1], [2], [3], [4, 5]])
      })
    )

    it.effect("refuses a record above the limit of a message before anything is sent", () =>
      Effect.gen(function* () {
        const topic = `${prefix}.large`
        const large = { ...record(topic, 1), value: "é".repeat(maxMessageBytes / 2) }
        const error = yield* Effect.flip(send([record(topic, 0), large]))
        assert.strictEqual(error._tag, "RecordTooLarge")
        assert.strictEqual(yield* TopicReader.use((reader) => reader.lag({ topic, group: "g" })), 0)
        yield* send([{ ...large, key: "", value: large.value.slice(1) + "é" }])
        const [batch] = yield* collect({ topic, group: "g", maxRecords: 10 }, 1)
        assert.strictEqual(batch?.records[0]?.value.length, maxMessageBytes / 2)
      })
    )

    it.effect("publishes what the handler returned, and moves past the batch", () =>
      Effect.gen(function* () {
        const topic = `${prefix}.moved`
        const reader = yield* TopicReader
        const options = { topic, group: "g", maxRecords: 2 }
        yield* send(records(topic, 0, 5))
        const copying = yield* Effect.forkChild(
          reader.consume(options, (batch) =>
            Effect.succeed(
              numbers(batch).flatMap((n) => [
                record(`${prefix}.moved.out`, n, 0),
                record(`${prefix}.moved.out`, n * 10, 1)
              ])
            )
          )
        )
        const copies = yield* collect({ topic: `${prefix}.moved.out`, group: "g", maxRecords: 100 }, 10)
        const of = (partition: number) => copies.filter((batch) => batch.partition === partition).flatMap(numbers)
        assert.deepStrictEqual(of(0), [0, 1, 2, 3, 4])
        assert.deepStrictEqual(of(1), [0, 10, 20, 30, 40])
        yield* Effect.repeat(reader.lag(options), { until: (lag) => lag === 0, schedule: Schedule.spaced("5 millis") })
        yield* Fiber.interrupt(copying)
      })
    )

    it.effect("fails with the handler's error, publishes nothing of that batch and gives it again", () =>
      Effect.gen(function* () {
        const topic = `${prefix}.failing`
        const reader = yield* TopicReader
        const options = { topic, group: "g", maxRecords: 2 }
        yield* send(records(topic, 0, 4))
        const failures = yield* Ref.make(0)
        const failing = reader.consume(options, (batch) =>
          numbers(batch).includes(2)
            ? Effect.andThen(
                Ref.update(failures, (n) => n + 1),
                Effect.fail("broken" as const)
              )
            : Effect.succeed(numbers(batch).map((n) => record(`${prefix}.failing.out`, n)))
        )
        assert.strictEqual(yield* Effect.flip(failing), "broken")
        assert.strictEqual(yield* Effect.flip(failing), "broken")
        assert.strictEqual(yield* Ref.get(failures), 2)
        assert.strictEqual(yield* reader.lag(options), 2)
        assert.deepStrictEqual((yield* collect(options, 2)).map(numbers), [[2, 3]])
        assert.deepStrictEqual(
          (yield* collect({ topic: `${prefix}.failing.out`, group: "g", maxRecords: 9 }, 2)).flatMap(numbers),
          [0, 1]
        )
      })
    )

    it.effect("leaves a partition alone whose batch cannot be kept for a moment, and goes on with the others", () =>
      Effect.gen(function* () {
        const topic = `${prefix}.resting`
        const reader = yield* TopicReader
        const told: Array<ReadonlyArray<Standstill>> = []
        const options = {
          topic,
          group: "g",
          maxRecords: 2,
          onStandstill: (still: ReadonlyArray<Standstill>) => Effect.sync(() => void told.push(still))
        }
        let isHeld = true
        const tried: Array<ReadonlyArray<number>> = []
        const others: Array<number> = []
        const failures = [new LockTimeout(), new StoreUnavailable({ cause: new Error("for a moment") })]
        const keeping = reader.consume(options, (batch) =>
          Effect.suspend((): Effect.Effect<ReadonlyArray<OutgoingRecord>, LockTimeout | StoreUnavailable> => {
            if (batch.partition === 1) others.push(...numbers(batch))
            else tried.push(numbers(batch))
            return batch.partition === 0 && isHeld
              ? Effect.fail(failures[tried.length % 2]!)
              : Effect.succeed(numbers(batch).map((n) => record(`${prefix}.resting.out`, n)))
          })
        )
        const until = (condition: () => boolean, patience: Duration.Input) =>
          Effect.repeat(Effect.void, { until: condition, schedule: Schedule.spaced("5 millis") }).pipe(
            Effect.timeout(patience)
          )
        yield* Effect.raceFirst(
          keeping,
          Effect.gen(function* () {
            yield* send(records(topic, 0, 3, 0))
            yield* until(() => tried.length === 1, "20 seconds")
            // Of both: what comes behind a batch that rests waits for it.
            yield* send([...records(topic, 10, 14, 1), ...records(topic, 3, 5, 0)])
            yield* until(() => others.length === 4, "2 seconds")
            yield* until(() => told.length > 0, "10 seconds")
            const still = [{ partition: 0, reason: "not_kept" }] as const
            assert.deepStrictEqual(told, [still])
            assert.strictEqual(tried.length, 3)
            assert.strictEqual(yield* reader.lag(options), 5)
            isHeld = false
            yield* Effect.repeat(reader.lag(options), {
              until: (lag) => lag === 0,
              schedule: Schedule.spaced("5 millis")
            }).pipe(Effect.timeout("10 seconds"))
            yield* until(() => told.length === 2, "2 seconds")
            assert.deepStrictEqual(told, [still, []])
          })
        )
        // Each of them from the same place, though more may have come by then.
        assert.isTrue(tried.slice(0, 4).every((batch) => batch[0] === 0))
        assert.deepStrictEqual(tried.slice(3).flat(), [0, 1, 2, 3, 4])
        const copies = yield* collect({ topic: `${prefix}.resting.out`, group: "g", maxRecords: 9 }, 9)
        assert.deepStrictEqual(
          copies.flatMap(numbers).sort((a, b) => a - b),
          [0, 1, 2, 3, 4, 10, 11, 12, 13]
        )
      })
    )

    it.effect("gives the batch of an interrupted handler again, at once", () =>
      Effect.gen(function* () {
        const topic = `${prefix}.interrupted`
        const reader = yield* TopicReader
        const options = { topic, group: "g", maxRecords: 2 }
        yield* send(records(topic, 0, 2))
        const started = yield* Deferred.make<void>()
        const hanging = reader.consume(options, () =>
          Effect.andThen(Deferred.succeed(started, undefined), Effect.never)
        )
        const fiber = yield* Effect.forkChild(hanging)
        yield* Deferred.await(started)
        yield* Fiber.interrupt(fiber)
        const again = yield* collect(options, 2).pipe(Effect.timeout("5 seconds"))
        assert.deepStrictEqual(again.map(numbers), [[0, 1]])
      })
    )

    it.effect("goes on with one partition while the handler of another takes its time", () =>
      Effect.gen(function* () {
        const topic = `${prefix}.sibling`
        const reader = yield* TopicReader
        yield* send([...records(topic, 0, 1, 0), ...records(topic, 10, 15, 1)])
        const handled: Array<number> = []
        const release = yield* Deferred.make<void>()
        const allHandled = yield* Deferred.make<void>()
        const consuming = reader.consume({ topic, group: "g", maxRecords: 1 }, (batch) =>
          Effect.gen(function* () {
            if (batch.partition === 0) yield* Deferred.await(release)
            handled.push(...numbers(batch))
            if (handled.length === 5) yield* Deferred.succeed(release, undefined)
            if (handled.length === 6) yield* Deferred.succeed(allHandled, undefined)
            return []
          })
        )
        yield* Effect.raceFirst(consuming, Deferred.await(allHandled))
        assert.deepStrictEqual(handled, [10, 11, 12, 13, 14, 0])
      })
    )

    it.effect(
      "shares the partitions between readers of a group: in order, once, never two batches of one at a time",
      () =>
        Effect.gen(function* () {
          const topic = `${prefix}.shared`
          const reader = yield* TopicReader
          const handled = new Map<number, Array<number>>()
          const busy = new Set<number>()
          const workers = new Set<string>()
          const done = yield* Deferred.make<void>()
          let seen = 0
          let total = Number.POSITIVE_INFINITY
          const worker = (id: string) =>
            reader.consume({ topic, group: "g", maxRecords: 4 }, (batch) =>
              Effect.gen(function* () {
                assert.isFalse(busy.has(batch.partition), "two batches of one partition at a time")
                busy.add(batch.partition)
                workers.add(id)
                yield* Effect.sleep("1 millis")
                busy.delete(batch.partition)
                handled.set(batch.partition, [...(handled.get(batch.partition) ?? []), ...numbers(batch)])
                seen += batch.records.length
                if (seen === total) yield* Deferred.succeed(done, undefined)
                return []
              })
            )
          // Until both have had something to do: joining a group takes a while.
          const sending = Effect.gen(function* () {
            let sent = 0
            for (; sent < 60 || workers.size < 2; sent += 5) {
              yield* send([0, 1, 2, 3, 4, 5].flatMap((partition) => records(topic, sent, sent + 5, partition)))
              yield* Effect.yieldNow
            }
            total = 6 * sent
            if (seen === total) yield* Deferred.succeed(done, undefined)
          })
          const all = Effect.all([worker("a"), worker("b"), Effect.andThen(sending, Effect.never)], { concurrency: 3 })
          yield* Effect.raceFirst(all, Deferred.await(done))
          const inOrder = Array.from({ length: total / 6 }, (_, n) => n)
          for (let partition = 0; partition < 6; partition++) assert.deepStrictEqual(handled.get(partition), inOrder)
          assert.deepStrictEqual([...workers].sort(), ["a", "b"])
        })
    )

    it.effect("gives every group all records", () =>
      Effect.gen(function* () {
        const topic = `${prefix}.groups`
        yield* send(records(topic, 0, 3))
        const first = yield* collect({ topic, group: "first", maxRecords: 10 }, 3)
        const second = yield* collect({ topic, group: "second", maxRecords: 10 }, 3)
        assert.deepStrictEqual(first.flatMap(numbers), [0, 1, 2])
        assert.deepStrictEqual(second.flatMap(numbers), [0, 1, 2])
      })
    )

    it.effect("counts what a group has not got past, all of it for one that never read", () =>
      Effect.gen(function* () {
        const topic = `${prefix}.lag`
        const reader = yield* TopicReader
        const options = { topic, group: "g", maxRecords: 10 }
        yield* send([...records(topic, 0, 3, 0), ...records(topic, 3, 5, 1)])
        assert.strictEqual(yield* reader.lag(options), 5)
        const oldest = yield* reader.unread(options)
        assert.strictEqual(oldest.records, 5)
        // The broker's clock and this one's are the same machine's.
        assert.closeTo(oldest.oldestAt ?? 0, yield* Clock.currentTimeMillis, 60_000)
        const untilOne = (batch: RecordBatch) => (batch.partition === 1 ? Effect.fail("stop") : Effect.succeed([]))
        yield* Effect.flip(reader.consume(options, untilOne))
        // Partition 0 was handled before or it was not.
        assert.include([2, 5], yield* reader.lag(options))
        const rest = yield* Effect.forkChild(reader.consume(options, () => Effect.succeed([])))
        yield* Effect.repeat(reader.lag(options), { until: (lag) => lag === 0, schedule: Schedule.spaced("5 millis") })
        yield* Fiber.interrupt(rest)
        assert.deepStrictEqual(yield* reader.unread(options), { records: 0, oldestAt: undefined })
        yield* send(records(topic, 5, 6, 1))
        const newer = yield* reader.unread(options)
        assert.strictEqual(newer.records, 1)
        assert.isAtLeast(newer.oldestAt ?? 0, oldest.oldestAt ?? Infinity)
        assert.deepStrictEqual(yield* reader.unread(options), newer)
        assert.strictEqual(yield* reader.lag({ topic, group: "another" }), 6)
      })
    )

    it.effect("keeps offsets without gaps and in order while many send at once and a reader follows", () =>
      Effect.gen(function* () {
        const topic = `${prefix}.racing`
        const sending = Effect.forEach(
          Array.from({ length: 40 }, (_, n) => n),
          (n) => send([record(topic, n, 1), record(topic, n, 0), record(topic, n + 100, 1)]),
          { concurrency: 8 }
        )
        const [batches] = yield* Effect.all([collect({ topic, group: "g", maxRecords: 7 }, 120), sending], {
          concurrency: 2
        })
        for (const [partition, count] of [40, 80].entries()) {
          const offsets = batches.filter((batch) => batch.partition === partition).flatMap((batch) => batch.records)
          assert.deepStrictEqual(
            offsets.map(({ offset }) => offset),
            Array.from({ length: count }, (_, offset) => offset)
          )
        }
      })
    )

    it.effect("tells when there is nothing to take, and is woken by what arrives", () =>
      Effect.gen(function* () {
        const topic = `${prefix}.idle`
        const idle = yield* Deferred.make<void>()
        const onIdle = Effect.asVoid(Deferred.succeed(idle, undefined))
        const reading = yield* Effect.forkChild(collect({ topic, group: "g", maxRecords: 10, onIdle }, 1))
        yield* Deferred.await(idle)
        yield* send([record(topic, 7)])
        assert.deepStrictEqual((yield* Fiber.join(reading)).flatMap(numbers), [7])
      })
    )

    it.effect("waits for more behind a batch as long as it is told to, and for nothing after a pause", () =>
      Effect.gen(function* () {
        const topic = `${prefix}.gathering`
        const taken: Array<{ readonly numbers: ReadonlyArray<number>; readonly at: number }> = []
        const reader = yield* TopicReader
        const reading = yield* Effect.forkChild(
          reader.consume({ topic, group: "g", maxRecords: 100, gather: "3 seconds" }, (batch) =>
            Effect.map(Clock.currentTimeMillis, (at) => {
              taken.push({ numbers: numbers(batch), at })
              return []
            })
          )
        )
        const until = (count: number) =>
          Effect.repeat(Effect.sleep("10 millis"), {
            until: () => taken.flatMap((one) => one.numbers).length === count
          })
        yield* send([record(topic, 0)])
        yield* until(1)
        yield* Effect.forEach([1, 2, 3], (n) => send([record(topic, n)]))
        yield* until(4)
        assert.deepStrictEqual(
          taken.map((one) => one.numbers),
          [[0], [1, 2, 3]]
        )
        assert.isAtLeast(taken[1]!.at - taken[0]!.at, 2_900)
        yield* Effect.sleep("3 seconds")
        const sentAt = yield* Clock.currentTimeMillis
        yield* send([record(topic, 4)])
        yield* until(5)
        assert.isBelow(taken[2]!.at - sentAt, 2_900)
        yield* Fiber.interrupt(reading)
      })
    )
  })
