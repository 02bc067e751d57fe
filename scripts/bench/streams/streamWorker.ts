/**
 * Produces, consumes, measures delays, or does nothing, with one client: `penstock`, `plainKafkajs` or `platformatic`.
 *
 * What is read is counted from the first record on, since joining a group is no part of the speed of reading.
 */
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { Clock, Deferred, Effect } from "effect"
import { runWorker } from "../BenchWorker.ts"
import { spread } from "../Figure.ts"
import { streamWorker } from "./StreamOrder.ts"
import { inventedDocument, type MakeStreamSide, type Message, partitions, type StreamSide } from "./StreamSide.ts"

const [client = "penstock", brokers = "", topicList = ""] = process.argv.slice(2)
const topics = Object.fromEntries(topicList.split(",").map((topic) => [topic, partitions]))

const sides: Readonly<Record<string, () => Promise<{ readonly makeSide: MakeStreamSide }>>> = {
  penstock: () => import("./penstockSide.ts"),
  plainKafkajs: () => import("./plainKafkajsSide.ts"),
  platformatic: () => import("./platformaticSide.ts")
}

const bytesOf = (messages: ReadonlyArray<Message>) =>
  messages.reduce((sum, { value }) => sum + Buffer.byteLength(value), 0)

const produce = Effect.fnUntraced(function* (side: StreamSide, topic: string, count: number) {
  const documents = Array.from({ length: count }, (_, n) => inventedDocument(n))
  const from = yield* Clock.currentTimeMillis
  // As the crawl sends them: each by itself, several at once.
  yield* Effect.forEach(documents, (one) => side.send(topic, [one]), { concurrency: 8, discard: true })
  return (bytesOf(documents) * 1000) / ((yield* Clock.currentTimeMillis) - from)
})

const consume = Effect.fnUntraced(function* (side: StreamSide, topic: string, group: string, count: number) {
  const done = yield* Deferred.make<number>()
  let seen = 0
  let bytes = 0
  let from = 0
  const take = (values: ReadonlyArray<string>) => {
    if (seen === 0) from = performance.now()
    else for (const value of values) bytes += Buffer.byteLength(value)
    seen += values.length
    if (seen >= count) Deferred.doneUnsafe(done, Effect.succeed((bytes * 1000) / (performance.now() - from)))
  }
  return yield* Effect.raceFirst(side.read(topic, group, take), Deferred.await(done))
})

/** From the moment a record is sent until it is read. */
const delay = Effect.fnUntraced(function* (side: StreamSide, topic: string, group: string, count: number) {
  const delays: Array<number> = []
  const waiting = new Map<string, Deferred.Deferred<void>>()
  const reading = side.read(topic, group, (values) => {
    for (const value of values) {
      const arrived = waiting.get(value)
      if (arrived !== undefined) Deferred.doneUnsafe(arrived, Effect.void)
    }
  })
  const sending = Effect.gen(function* () {
    for (let n = -3; n < count; n++) {
      const value = JSON.stringify({ group, n })
      const arrived = yield* Deferred.make<void>()
      waiting.set(value, arrived)
      const from = performance.now()
      yield* side.send(topic, [{ partition: Math.abs(n) % partitions, key: "{}", value }])
      yield* Deferred.await(arrived)
      // The first ones wait for the group to be joined.
      if (n >= 0) delays.push(performance.now() - from)
    }
    return spread(delays).median
  })
  return yield* Effect.raceFirst(reading, sending)
})

/** Milliseconds of CPU a second, with a reader that has nothing to read and a sink that has nothing to send. */
const idle = Effect.fnUntraced(function* (side: StreamSide, topic: string, group: string, seconds: number) {
  const measuring = Effect.gen(function* () {
    yield* side.send(topic, [{ partition: 0, key: "{}", value: "{}" }])
    yield* Effect.sleep("3 seconds")
    const before = process.cpuUsage()
    yield* Effect.sleep(seconds * 1000)
    const { system, user } = process.cpuUsage(before)
    return (system + user) / 1000 / seconds
  })
  return yield* Effect.raceFirst(
    side.read(topic, group, () => {}),
    measuring
  )
})

const program = Effect.gen(function* () {
  const { makeSide } = yield* Effect.promise(() => sides[client]!())
  const side = yield* makeSide(brokers, topics)
  yield* runWorker(streamWorker, ({ count, group, task, topic }) =>
    Effect.gen(function* () {
      const tasks = { produce: produce(side, topic, count), consume, delay, idle }
      const figure = yield* task === "produce" ? tasks.produce : tasks[task](side, topic, group, count)
      return { figure, megabytes: process.resourceUsage().maxRSS / 1000 }
    })
  )
}).pipe(Effect.scoped)

program.pipe(Effect.provide(NodeServices.layer), NodeRuntime.runMain)
