/** Topics on a real Apache Kafka, looked at; and what is said while no broker answers. */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { KafkaTopics } from "../../../layers/kafka/KafkaTopics.ts"
import { Overview } from "../../../src/api/Overview.ts"
import { ApiUnderTest, bodyAs, keyOf, layerWithTopics, problemIn } from "../../api/ApiUnderTest.ts"
import { topicBrowserSuite } from "../../api/topicBrowserSuite.ts"
import { uniqueName, withKafka } from "../../support/kafkaForTests.ts"

await withKafka("looking at topics on Apache Kafka", (brokers) =>
  topicBrowserSuite("looking at topics on Apache Kafka", KafkaTopics(brokers.split(",")), uniqueName("raw"))
)

it.layer(layerWithTopics(KafkaTopics(["127.0.0.1:1"])), { excludeTestServices: true, timeout: 60_000 })(
  "brokers that are away",
  (it) => {
    it.effect(
      "are told of in the overview and by the topics, in time",
      () =>
        Effect.gen(function* () {
          const { ask } = yield* ApiUnderTest
          const shown = bodyAs(Overview)(yield* ask("/overview", { key: keyOf("read") }))
          assert.deepInclude(shown.streams, { kafka: true, problem: "the brokers do not answer" })
          assert.deepInclude(shown.flows[2], { colour: "red", sentence: "The brokers do not answer." })
          for (const path of ["/topic", "/topic/dead_letter?topic=hilltop_raw", "/topic/dead_letter/hilltop_raw/0"]) {
            const refused = problemIn(yield* ask(path, { key: keyOf("read") }))
            assert.strictEqual(refused.status, 503, path)
          }
        }),
      60_000
    )
  }
)
