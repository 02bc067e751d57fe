/**
 * The Kafka of the run, for test files that need a broker: `const kafka = await kafkaForTests()`, then
 * `describe.skipIf(…)` or `kafkaSuite(…)`, so that a machine without one reports them as skipped, with the reason.
 *
 * `PENSTOCK_REQUIRE_KAFKA=1` turns the skip into a failure; CI sets it.
 */
import { randomUUID } from "node:crypto"
import { describe, inject } from "vitest"

export type KafkaForTests = { readonly brokers: string } | { readonly missing: string }

/** Asks for the broker; the first to ask waits some seconds for its start. */
export const kafkaForTests = async (): Promise<KafkaForTests> => {
  const response = await fetch(inject("kafkaStarter"))
  if (!response.ok) throw new Error(await response.text())
  const kafka = (await response.json()) as KafkaForTests
  if ("missing" in kafka && process.env["PENSTOCK_REQUIRE_KAFKA"] === "1") throw new Error(kafka.missing)
  return kafka
}

/** Runs the tests with the brokers, or reports them as skipped. */
export const withKafka = async (name: string, tests: (brokers: string) => void) => {
  const kafka = await kafkaForTests()
  if ("brokers" in kafka) return tests(kafka.brokers)
  describe.skip(`${name} (skipped: ${kafka.missing.split("\n")[0]})`, () => tests("127.0.0.1:1"))
}

/** A name that no other test and no other run uses. */
export const uniqueName = (what: string) => `${what}.${randomUUID().slice(0, 8)}`
