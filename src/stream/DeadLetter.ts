/**
 * What is kept of a record that was set aside: all of it, with the reason and where it came from. Each stage decides what it cannot use
 * (`mappingStage.ts`, `observationStage.ts`), and goes on.
 *
 * Key and value stay as they were, so that it can be sent to its topic again after a fix.
 */
import { Effect } from "effect"
import { counter } from "../running/Instrument.ts"
import { sayOnce } from "../running/sayOnce.ts"
import type { OutgoingRecord } from "./KafkaSink.ts"
import type { TopicRecord } from "./TopicReader.ts"

/** Where the dead letters of a topic go: one partition, so that they are read in the order they came. */
export const deadLetterTopic = (topic: string): string => `${topic}_dead_letters`
export const deadLetterPartitions = 1

/** Reasons are for people, and headers are no place for a document. */
const longestReason = 500

const deadLetters = counter("penstock.stream.dead_letters", {
  unit: "{record}",
  description: "records that a stage could not use",
  labels: ["topic"]
})

/** Shown before there is any of the topic. */
export const showDeadLetters = (topic: string) => deadLetters.show({ topic })

/** The record as a dead letter, counted. */
export const toDeadLetter = (record: TopicRecord, reason: string): Effect.Effect<OutgoingRecord> => {
  const { headers, key, offset, partition, topic, value } = record
  const letter: OutgoingRecord = {
    topic: deadLetterTopic(topic),
    partition: 0,
    key,
    value,
    headers: {
      ...headers,
      reason: reason.slice(0, longestReason).toWellFormed(),
      source_topic: topic,
      source_partition: String(partition),
      source_offset: String(offset)
    }
  }
  return deadLetters
    .add(1, { topic })
    .pipe(
      Effect.andThen(
        sayOnce(
          `${topic} ${letter.headers?.["reason"]}`,
          Effect.logWarning("a record was set aside", { topic, partition, offset, reason: letter.headers?.["reason"] })
        )
      ),
      Effect.as(letter)
    )
}
