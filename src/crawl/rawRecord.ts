/**
 * A document as a record of the raw topic. What its reader needs beside the text goes into headers: which item was meant, its
 * units, and which of a list's sites are excluded and to be passed over.
 */
import { Effect } from "effect"
import type { ClaimedTask } from "../domain/FetchTask.ts"
import { type RawKey, rawPartitionKey, rawPartitions } from "../domain/HilltopMessage.ts"
import type { OutgoingRecord } from "../stream/KafkaSink.ts"
import { partitionOf } from "../stream/Partitioner.ts"
import type { UsableSource } from "./FetchPlan.ts"

export const rawRecord = Effect.fnUntraced(function* (
  task: ClaimedTask,
  { configuration: { excludedSitesNames = [] } }: UsableSource,
  key: RawKey,
  { item, xml }: { readonly item: number | undefined; readonly xml: string },
  topic: string
) {
  const { units } = task.details
  return {
    topic,
    partition: partitionOf(rawPartitionKey(key), rawPartitions),
    key: JSON.stringify(key),
    value: JSON.stringify({ ...key, hilltopUrl: task.fetchUrl, xml }),
    headers: {
      ...(item === undefined ? {} : { item: String(item) }),
      ...(units === undefined ? {} : { units }),
      ...(key.type === "SITES_LIST" && excludedSitesNames.length > 0
        ? { excluded_sites: JSON.stringify(excludedSitesNames) }
        : {})
    }
  } satisfies OutgoingRecord
})
