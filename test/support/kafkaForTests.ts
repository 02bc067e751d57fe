/**
 * The Kafka of the run, for test files that need a broker: `await withKafka(…)` around their tests, so
 * that a machine without one reports them as skipped, with the reason.
 *
 * `PENSTOCK_REQUIRE_KAFKA=1` turns the skip into a failure; CI sets it.
 */
import { NodeServices } from "@effect/platform-node"
import { Effect } from "effect"
import { randomUUID } from "node:crypto"
import { describe, inject } from "vitest"
import { kafkaPossible } from "../../scripts/kafka/KafkaBroker.ts"

export type KafkaForTests = { readonly brokers: string } | { readonly missing: string }

const isRequired = process.env["PENSTOCK_REQUIRE_KAFKA"] === "1"

/** Asks for the broker; the first to ask waits some seconds for its start. */
const kafkaForTests = async (): Promise<KafkaForTests> => {
  const response = await fetch(inject("kafkaStarter"))
  if (!response.ok) throw new Error(await response.text())
  return (await response.json()) as KafkaForTests
}

const skip = (name: string, missing: string, tests: (brokers: string) => void) => {
  if (isRequired) throw new Error(missing)
  describe.skip(`${name} (skipped: ${missing.split("\n")[0]})`, () => tests("127.0.0.1:1"))
}

/** Runs the tests, which start a Kafka of their own (ownKafka.ts), or reports them as skipped. */
export const withOwnKafka = async (name: string, tests: () => void) => {
  const missing = await Effect.runPromise(
    kafkaPossible(".penstock/kafka").pipe(
      Effect.as(undefined),
      Effect.catchTag("KafkaNotPossible", ({ message }) => Effect.succeed(message)),
      Effect.provide(NodeServices.layer)
    )
  )
  return missing === undefined ? tests() : skip(name, missing, tests)
}

/** Runs the tests with the brokers, or reports them as skipped. */
export const withKafka = async (name: string, tests: (brokers: string) => void) => {
  const kafka = await kafkaForTests()
  return "brokers" in kafka ? tests(kafka.brokers) : skip(name, kafka.missing, tests)
}

/** A name that no other test and no other run uses. */
export const uniqueName = (what: string) => `${what}.${randomUUID().slice(0, 8)}`
