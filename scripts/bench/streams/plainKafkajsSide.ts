/** kafkajs as it is installed, with its own producer and consumer: what the timers cost without the cure. */
import { Effect } from "effect"
import { CompressionTypes, Kafka, logLevel } from "kafkajs"
import type { MakeStreamSide } from "./StreamSide.ts"

export const makeSide: MakeStreamSide = (brokers) =>
  Effect.gen(function* () {
    const kafka = new Kafka({ brokers: [brokers], clientId: "bench", logLevel: logLevel.NOTHING })
    const producer = yield* Effect.acquireRelease(
      Effect.promise(async () => {
        const made = kafka.producer({ idempotent: true, allowAutoTopicCreation: false })
        await made.connect()
        return made
      }),
      (made) => Effect.promise(() => made.disconnect())
    )
    return {
      send: (topic, messages) =>
        Effect.promise(() =>
          producer.send({ topic, compression: CompressionTypes.GZIP, acks: -1, messages: [...messages] })
        ),
      read: (topic, group, take) =>
        Effect.acquireUseRelease(
          Effect.promise(async () => {
            const consumer = kafka.consumer({ groupId: group, maxWaitTimeInMs: 500 })
            await consumer.connect()
            await consumer.subscribe({ topics: [topic], fromBeginning: true })
            await consumer.run({
              partitionsConsumedConcurrently: 4,
              eachBatch: ({ batch }) =>
                Promise.resolve(take(batch.messages.map(({ value }) => value?.toString() ?? "")))
            })
            return consumer
          }),
          () => Effect.never,
          (consumer) => Effect.promise(() => consumer.disconnect())
        )
    }
  })
