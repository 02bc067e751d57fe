/** `docs/asyncapi.yaml` is AsyncAPI 3.0, its examples are as its schemas say and as the code reads them, and its topics are the code's. */
import specification from "@asyncapi/specs/schemas/3.0.0-without-$id.json" with { type: "json" }
import { assert, describe, it } from "@effect/vitest"
import { Ajv } from "ajv"
import addFormats from "ajv-formats"
import { Effect, Result, Schema } from "effect"
import { RawValue } from "../../src/domain/HilltopMessage.ts"
import { parseObservationMessage } from "../../src/domain/Observation.ts"
import { binaryCloudEvent, CloudEvent, eventPartitions, PlainEvent } from "../../src/domain/ThinEvent.ts"
import { maxMessageBytes } from "../../src/stream/KafkaSink.ts"
import { streamTopics } from "../../src/stream/streamTopics.ts"
import { asyncApi, faultsOf, follow, messagesOf, resolved } from "../support/asyncApi.ts"

const examples = Object.entries(asyncApi.components.messages).flatMap(([message, { examples }]) =>
  examples.map(({ headers = {}, payload }, n) => ({ message, headers, payload, title: `${message} ${n + 1}` }))
)
const examplesOf = (...messages: ReadonlyArray<string>) => examples.filter(({ message }) => messages.includes(message))

describe("docs/asyncapi.yaml", () => {
  it("is a document of AsyncAPI 3.0", () => {
    const ajv = new Ajv({ strict: false, allErrors: true })
    addFormats.default(ajv)
    const validate = ajv.compile(specification)
    assert.isTrue(validate(asyncApi), ajv.errorsText(validate.errors, { separator: "\n" }))
  })

  it("leads nowhere by a reference", () => {
    const references = [...JSON.stringify(asyncApi).matchAll(/"\$ref":"([^"]+)"/g)].map(([, target = ""]) => target)
    assert.isNotEmpty(references)
    for (const $ref of references) assert.isDefined(follow($ref), $ref)
  })

  it("names the topics of the code, with their partitions and settings", () => {
    const channels = Object.entries(asyncApi.channels).map(([channel, { address, bindings }]) => ({
      channel,
      address,
      kafka: resolved(bindings).kafka
    }))
    const described = Object.fromEntries(channels.map(({ address, kafka }) => [address, kafka.partitions]))
    assert.deepStrictEqual(described, {
      ...streamTopics({ rawTopic: "hilltop_raw", observationsTopic: "observations" }),
      accounting_point_events: eventPartitions,
      accounting_point_events_dead_letters: 1
    })
    for (const { channel, kafka } of channels) {
      const bytes = channel === "accountingPointEvents" ? undefined : maxMessageBytes
      assert.strictEqual(kafka.topicConfiguration?.["max.message.bytes"], bytes, channel)
    }
  })

  it.each(examples)("has an example that is as it says: $title", ({ headers, message, payload }) => {
    assert.strictEqual(faultsOf(message, "payload", payload), "")
    assert.strictEqual(faultsOf(message, "headers", headers), "")
  })

  it("has examples of every message of every channel", () => {
    const named = Object.keys(asyncApi.channels).flatMap(messagesOf)
    assert.sameMembers([...new Set(named)], [...new Set(examples.map(({ message }) => message))])
  })

  it("has examples that the code reads", () => {
    for (const { payload, title } of examplesOf("SitesList", "MeasurementsList", "MeasurementData")) {
      assert.isTrue(Result.isSuccess(Schema.decodeUnknownResult(RawValue)(payload)), title)
    }
    for (const { payload } of examplesOf("SiteDetails", "ObservationData")) {
      Effect.runSync(parseObservationMessage(JSON.stringify(payload)))
    }
    for (const { payload } of examplesOf("PlainEvent")) Schema.decodeUnknownSync(PlainEvent)(payload)
    for (const { payload } of examplesOf("CloudEvent")) Schema.decodeUnknownSync(CloudEvent)(payload)
    for (const { headers } of examplesOf("BinaryCloudEvent")) {
      const event = binaryCloudEvent(headers as Readonly<Record<string, string>>, "ce_")
      Schema.decodeUnknownSync(CloudEvent)(event)
    }
  })
})
