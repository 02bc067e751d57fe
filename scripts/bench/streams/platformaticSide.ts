/** @platformatic/kafka, the yardstick: maintained, and with a protocol of its own. */
import { Consumer, Producer, stringDeserializers, stringSerializers } from "@platformatic/kafka"
import { Effect } from "effect"
import type { MakeStreamSide } from "./StreamSide.ts"

export const makeSide: MakeStreamSide = (brokers) =>
  Effect.gen(function* () {
    const options = { clientId: "bench", bootstrapBrokers: [brokers] }
    const producer = yield* Effect.acquireRelease(
      Effect.sync(
        () =>
          new Producer({
            ...options,
            serializers: stringSerializers,
            idempotent: true,
            acks: -1,
            compression: "gzip",
            autocreateTopics: false
          })
      ),
      (made) => Effect.promise(() => made.close())
    )
    // An idempotent producer of theirs takes one send at a time.
    let turn: Promise<unknown> = Promise.resolve()
    return {
      send: (topic, messages) =>
        Effect.promise(() => {
          const sent = turn.then(() => producer.send({ messages: messages.map((one) => ({ topic, ...one })) }))
          turn = sent.catch(() => {})
          return sent
        }),
      read: (topic, group, take) =>
        Effect.acquireUseRelease(
          Effect.sync(() => new Consumer({ ...options, groupId: group, deserializers: stringDeserializers })),
          (consumer) =>
            Effect.callback<never, unknown>((resume) => {
              const reading = async () => {
                const stream = await consumer.consume({
                  topics: [topic],
                  mode: "committed",
                  fallbackMode: "earliest",
                  autocommit: 100,
                  maxWaitTime: 500,
                  maxBytes: 1_000_000
                })
                for await (const { value } of stream) take([value ?? ""])
              }
              reading().catch((error: unknown) => resume(Effect.fail(error)))
            }),
          (consumer) => Effect.promise(() => consumer.close(true))
        )
    }
  })
