/** The settings: all faults at once, each in one readable line, and none with the value. */
import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Duration, Effect, Redacted } from "effect"
import { checkSettings, Settings } from "../../layers/Settings.ts"

const withSettings = (settings: Readonly<Record<string, string>>) =>
  Effect.provide(ConfigProvider.layer(ConfigProvider.fromEnvRecord(settings)))

describe("the settings", () => {
  it.effect("are complete without any being set", () => checkSettings.pipe(withSettings({})))

  it.effect("report every fault in one line each, and no value", () =>
    Effect.gen(function* () {
      const wrong = {
        DATABASE_URL: "mysql://user:s3cret@host/db",
        DATABASE_POOL: "many",
        KAFKA_BROKERS: "s3cret",
        ADAPTER_TIMEOUT: "s3cret",
        ADAPTER_RATE: "0",
        LOOKUP_API_KEYS: "s3cret",
        HTTP_PORT: "99999",
        PENSTOCK_ROLES: "api,s3cret",
        CRAWL_ALLOW_PRIVATE: "s3cret",
        LOG_LEVEL: "s3cret"
      }
      const { faults, message } = yield* Effect.flip(checkSettings).pipe(withSettings(wrong))
      assert.deepStrictEqual(
        faults.map((fault) => fault.split(" ")[0]),
        Object.keys(wrong).sort((a, b) => Object.keys(Settings).indexOf(a) - Object.keys(Settings).indexOf(b))
      )
      assert.notInclude(message, "s3cret")
      assert.strictEqual(message.split("\n").length, faults.length + 1)
    })
  )

  it.effect("want a login to Kafka whole or not at all", () =>
    Effect.gen(function* () {
      const { faults } = yield* Effect.flip(checkSettings)
      assert.deepStrictEqual(
        faults.map((fault) => fault.split(" ")[0]),
        ["KAFKA_SASL_MECHANISM", "KAFKA_SASL_PASSWORD"]
      )
    }).pipe(withSettings({ KAFKA_BROKERS: "a:9092,b:9092", KAFKA_SASL_USERNAME: "penstock" }))
  )

  it.effect("take an empty text for one that is not set", () =>
    checkSettings.pipe(withSettings({ ADAPTER_URL: "", KAFKA_BROKERS: "", LOOKUP_API_KEYS: "" }))
  )

  it.effect("read keys as names and secrets, also with colons in them", () =>
    Effect.gen(function* () {
      const [first, second] = yield* Settings.LOOKUP_API_KEYS.config
      assert.strictEqual(first?.name, "retailer")
      assert.strictEqual(Redacted.value(first!.key), "a:b=")
      assert.strictEqual(second?.name, "other")
    }).pipe(withSettings({ LOOKUP_API_KEYS: "retailer:a:b=,other:c" }))
  )

  it.effect("read durations as Effect does", () =>
    Effect.gen(function* () {
      assert.strictEqual(Duration.toSeconds(yield* Settings.SYNC_INTERVAL.config), 90)
    }).pipe(withSettings({ SYNC_INTERVAL: "90 seconds" }))
  )
})
