/**
 * The topics of the stream with their partitions, as they are made where they are not there yet.
 *
 * The numbers are part of the interface: a key's partition is computed from them, so they never change for a topic.
 */
import { rawPartitions } from "../domain/HilltopMessage.ts"
import { observationPartitions } from "../domain/Observation.ts"
import { deadLetterPartitions, deadLetterTopic } from "./DeadLetter.ts"

export const streamTopics = (options: {
  readonly rawTopic: string
  readonly observationsTopic: string
}): Readonly<Record<string, number>> => ({
  [options.rawTopic]: rawPartitions,
  [options.observationsTopic]: observationPartitions,
  [deadLetterTopic(options.rawTopic)]: deadLetterPartitions,
  [deadLetterTopic(options.observationsTopic)]: deadLetterPartitions
})
