/**
 * A member of a consumer group that is killed (kill -9) by itself at a step of its first transaction, which moves the offsets of two
 * partitions: a program of its own. It says when it begins to read.
 *
 * Its arguments are the brokers, the topic it reads and the one it writes, and the step: `before`, `in` or `after`, and the request.
 */
import { Effect, Latch, Layer } from "effect"
import { writeSync } from "node:fs"
import { createRequire } from "node:module"
import { KafkajsClient } from "../../layers/kafka/KafkajsProtocol.ts"
import { KafkajsTopicReader } from "../../layers/kafka/KafkajsTopicReader.ts"
import { KafkajsTopics } from "../../layers/kafka/KafkajsTopics.ts"
import { TopicReader } from "../../src/stream/TopicReader.ts"

const [brokers = "", from = "", to = "", when = "", step = ""] = process.argv.slice(2)

const die = () => process.kill(process.pid, "SIGKILL")
let isReading = false

interface KafkaConnection {
  send: (what: { readonly request: { readonly apiName: string } }) => Promise<unknown>
}
/** Of kafkajs, whose requests all go this way. */
const { prototype: connection } = createRequire(import.meta.url)("kafkajs/src/network/connection.js") as {
  readonly prototype: KafkaConnection
}
const { send } = connection
connection.send = async function (what) {
  if (what.request.apiName === "Fetch" && !isReading) {
    isReading = true
    writeSync(1, "reading\n")
  }
  const isStep = what.request.apiName === step
  if (isStep && when === "before") die()
  const answer = send.call(this, what)
  // It is written a moment later; what becomes of it is the broker's.
  if (isStep && when === "in") setTimeout(die, 1)
  await answer
  if (isStep && when === "after") die()
  return answer
}

// Whoever would wait for the end of its transaction would wait for a minute.
const kafka = KafkajsTopicReader({ sessionTimeout: 6_000, transactionTimeout: 60_000 }).pipe(
  Layer.provide(KafkajsTopics.layer({ topics: [from, to].map((topic) => ({ topic, partitions: 4 })), replication: 1 })),
  Layer.provide(KafkajsClient.layer({ brokers: brokers.split(","), clientId: "z-killed", ssl: false }))
)

/** Batches of two partitions are ready at the same moment. */
const both = Latch.makeUnsafe()
const partitions = new Set<number>()

Effect.runFork(
  TopicReader.use((reader) =>
    reader.consume({ topic: from, group: "g", maxRecords: 2, gather: "150 millis" }, ({ partition, records }) =>
      Effect.gen(function* () {
        if (partitions.add(partition).size === 2) yield* both.open
        yield* both.await
        return records.map(({ key, value }) => ({ topic: to, partition, key, value }))
      })
    )
  ).pipe(Effect.provide(kafka))
)
