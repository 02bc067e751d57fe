/**
 * A member of a group that is killed (kill -9) between the steps of a transaction for two partitions, and one that goes on in its
 * place: nothing is lost and nothing is there twice, and nobody waits until the transaction times out, which takes a minute.
 *
 * It is the second of the group, by its name, so that transaction is under an id that the one who goes on does not produce under.
 */
import { assert, layer } from "@effect/vitest"
import { Clock, Deferred, Effect, Fiber, Layer, Schedule } from "effect"
import { execFile } from "node:child_process"
import { resolve } from "node:path"
import { KafkajsClient } from "../../../layers/kafka/KafkajsProtocol.ts"
import { KafkajsSink } from "../../../layers/kafka/KafkajsSink.ts"
import { KafkajsTopicReader } from "../../../layers/kafka/KafkajsTopicReader.ts"
import { KafkajsTopics } from "../../../layers/kafka/KafkajsTopics.ts"
import { readCommitted } from "../../../scripts/kafka/readCommitted.ts"
import { KafkaSink } from "../../../src/stream/KafkaSink.ts"
import { TopicReader } from "../../../src/stream/TopicReader.ts"
import { uniqueName, withKafka } from "../../support/kafkaForTests.ts"

const partitions = [0, 1, 2, 3]
const recordsOfPartition = 5

const steps = [
  ["before", "AddPartitionsToTxn"],
  ["before", "Produce"],
  ["after", "Produce"],
  ["before", "TxnOffsetCommit"],
  ["after", "TxnOffsetCommit"],
  ["in", "EndTxn"],
  ["after", "EndTxn"]
].map(([when = "", request = ""]) => ({
  when,
  request,
  from: uniqueName("from"),
  to: uniqueName("to")
}))

/** A session of the one that is killed, a rebalance, and some time for a busy machine; a transaction that times out takes 60 s. */
const longest = 40_000

/** Runs the member that is killed, until it is; `onReading` when it has its partitions. */
const killed = (brokers: string, { from, request, to, when }: (typeof steps)[number], onReading: () => void) =>
  Effect.callback<void>((done) => {
    const program = resolve(import.meta.dirname, "../../support/killedMember.ts")
    const child = execFile(process.execPath, [program, brokers, from, to, when, request], (error, _, stderr) => {
      if (error?.signal === "SIGKILL") done(Effect.void)
      else done(Effect.die(new Error(`it was not killed: ${stderr}`)))
    })
    child.stdout?.once("data", onReading)
    return Effect.sync(() => child.kill("SIGKILL"))
  })

await withKafka("a member that is killed within a transaction", (brokers) => {
  const topics = steps.flatMap(({ from, to }) => [from, to]).map((topic) => ({ topic, partitions: partitions.length }))
  const kafka = Layer.merge(KafkajsSink, KafkajsTopicReader({ sessionTimeout: 6_000 })).pipe(
    Layer.provide(KafkajsTopics.layer({ topics, replication: 1 })),
    Layer.provide(KafkajsClient.layer({ brokers: brokers.split(","), clientId: "penstock-test", ssl: false }))
  )
  const valuesOf = (partition: number) => Array.from({ length: recordsOfPartition }, (_, n) => `${partition}:${n}`)
  /** Read by whom the group has before the other one joins. */
  const first = (topic: string, partition: number) => ({ topic, partition, key: "0", value: `${partition}:first` })

  const run = Effect.fnUntraced(function* (step: (typeof steps)[number]) {
    const { from, to } = step
    const sink = yield* KafkaSink
    const reader = yield* TopicReader
    const records = partitions.flatMap((partition) =>
      valuesOf(partition).map((value) => ({ topic: from, partition, key: JSON.stringify(value), value }))
    )
    yield* sink.send(partitions.map((partition) => first(from, partition)))
    const options = { topic: from, group: "g", maxRecords: 2, gather: "150 millis" } as const
    const member = reader.consume(options, ({ partition, records: batch }) =>
      Effect.succeed(batch.map(({ key, value }) => ({ topic: to, partition, key, value })))
    )
    const often = Schedule.spaced("50 millis")
    const story = Effect.gen(function* () {
      yield* Effect.repeat(reader.lag(options), { until: (lag) => lag === 0, schedule: often })
      const reading = yield* Deferred.make<void>()
      const dying = yield* Effect.forkChild(killed(brokers, step, () => Deferred.doneUnsafe(reading, Effect.void)))
      yield* Effect.raceFirst(Deferred.await(reading), Fiber.join(dying))
      yield* sink.send(records)
      yield* Fiber.join(dying)
      const killedAt = yield* Clock.currentTimeMillis
      yield* Effect.repeat(reader.lag(options), { until: (lag) => lag === 0, schedule: often })
      return { ...step, took: (yield* Clock.currentTimeMillis) - killedAt }
    })
    return yield* Effect.raceFirst(story, member)
  })

  layer(kafka, { excludeTestServices: true, timeout: "240 seconds" })("a member that is killed", (it) => {
    it.effect(
      "between two steps of a transaction loses nothing and doubles nothing, and is not waited for",
      () =>
        Effect.gen(function* () {
          const runs = yield* Effect.forEach(steps, run, { concurrency: "unbounded" })
          const found = yield* readCommitted(brokers, ...steps.map(({ to }) => to))
          for (const { request, to, took, when } of runs) {
            const what = `${when} ${request}`
            for (const partition of partitions) {
              const values = found.filter((one) => one.topic === to && one.partition === partition)
              assert.deepStrictEqual(
                values.map(({ value }) => value),
                [first(to, partition).value, ...valuesOf(partition)],
                what
              )
            }
            assert.isBelow(took, longest, what)
          }
        }),
      240_000
    )
  })
})
