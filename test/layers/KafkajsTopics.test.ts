/** The suite of the topics over a real Apache Kafka. */
import { Layer } from "effect"
import { KafkajsClient } from "../../layers/KafkajsProtocol.ts"
import { KafkajsSink } from "../../layers/KafkajsSink.ts"
import { KafkajsTopicReader } from "../../layers/KafkajsTopicReader.ts"
import { KafkajsTopics } from "../../layers/KafkajsTopics.ts"
import { suiteTopics, topicsSuite } from "../stream/topicsSuite.ts"
import { uniqueName, withKafka } from "../support/kafkaForTests.ts"

await withKafka("topics on Apache Kafka", (brokers) => {
  const prefix = uniqueName("suite")
  const topics = Object.entries(suiteTopics(prefix)).map(([topic, partitions]) => ({ topic, partitions }))
  const kafka = Layer.merge(KafkajsSink, KafkajsTopicReader()).pipe(
    Layer.provide(KafkajsTopics.layer({ topics, replication: 1 })),
    Layer.provide(KafkajsClient.layer({ brokers: brokers.split(","), clientId: "penstock-test", ssl: false }))
  )
  topicsSuite("topics on Apache Kafka", kafka, prefix)
})
