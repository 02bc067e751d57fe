/**
 * What lies in the topics at the end of a run, for a reader of committed records, and how far the service's own readers are.
 *
 * On Kafka that is told by Kafka's own consumer: ours must not vouch for itself.
 */
import { Context, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { KafkajsClient } from "../../layers/kafka/KafkajsProtocol.ts"
import { KafkajsTopicReader } from "../../layers/kafka/KafkajsTopicReader.ts"
import { KafkajsTopics } from "../../layers/kafka/KafkajsTopics.ts"
import { mapperGroup } from "../../src/stream/mappingStage.ts"
import { storeGroup } from "../../src/stream/observationStage.ts"
import { streamTopics } from "../../src/stream/streamTopics.ts"
import { TopicReader, type TopicRecord } from "../../src/stream/TopicReader.ts"
import { readCommitted } from "../kafka/readCommitted.ts"

export const names = { rawTopic: "hilltop_raw", observationsTopic: "observations" }

export class ChaosTopics extends Context.Service<
  ChaosTopics,
  {
    readonly records: (topic: string) => Effect.Effect<ReadonlyArray<TopicRecord>>
    /** Records that the mapper and the store have not read yet. */
    readonly lag: Effect.Effect<number>
  }
>()("penstock/scripts/chaos/ChaosTopics") {
  static readonly embedded = Layer.effect(
    ChaosTopics,
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      return ChaosTopics.of({
        records: (topic) =>
          sql<TopicRecord>`
            SELECT topic, partition, "offset"::float8 AS offset, key, value, headers,
              (extract(epoch FROM created_at) * 1000)::float8 AS at
            FROM topic_records WHERE topic = ${topic} ORDER BY partition, "offset"`.pipe(Effect.orDie),
        lag: sql<{ lag: number }>`
          SELECT coalesce(sum(p.next_offset - coalesce(g.next_offset, 0)), 0)::float8 AS lag
          FROM topic_partitions p LEFT JOIN topic_groups g USING (topic, partition)
          WHERE topic IN (${names.rawTopic}, ${names.observationsTopic})`.pipe(
          Effect.map(([row]) => row?.lag ?? 0),
          Effect.orDie
        )
      })
    })
  )

  static readonly kafka = (brokers: string) =>
    Layer.effect(
      ChaosTopics,
      Effect.gen(function* () {
        const reader = yield* TopicReader
        const lagOf = (topic: string, group: string) => reader.lag({ topic, group })
        return ChaosTopics.of({
          records: (topic) => Effect.orDie(readCommitted(brokers, topic)),
          lag: Effect.zipWith(
            lagOf(names.rawTopic, mapperGroup),
            lagOf(names.observationsTopic, storeGroup),
            (raw, observations) => raw + observations
          ).pipe(Effect.orElseSucceed(() => Infinity))
        })
      })
    ).pipe(
      Layer.provide(KafkajsTopicReader({ sessionTimeout: 6_000 })),
      Layer.provide(
        KafkajsTopics.layer({
          topics: Object.entries(streamTopics(names)).map(([topic, partitions]) => ({ topic, partitions })),
          replication: Math.min(3, brokers.split(",").length)
        })
      ),
      Layer.provide(KafkajsClient.layer({ brokers: brokers.split(","), clientId: "penstock-chaos", ssl: false }))
    )
}
