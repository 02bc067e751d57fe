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

  it.effect.each([
    ...["ADAPTER_URL", "OTEL_EXPORTER_OTLP_ENDPOINT"].flatMap((name) =>
      [
        "http://adapter:8080/?key=s3cret",
        "http://adapter:8080?",
        "http://adapter:8080/#s3cret",
        "http://user:s3cret@adapter:8080",
        "http://s3cret@adapter:8080",
        "http://adapter :8080",
        " http://adapter:8080",
        "http://adapter:8080\n",
        "http://adap\tter:8080",
        "http:adapter:8080",
        "http:\\\\adapter:8080",
        "ftp://adapter:8080",
        "adapter:8080",
        "http://adapter:99999"
      ].map((value) => [name, value] as const)
    ),
    ...["s3cret\n", "s3\r\ncret", "s3\u0000cret", "s3cr\u00e9t", " s3cret", "s3cret ", "\u20acs3cret"].map(
      (value) => ["ADAPTER_API_KEY", value] as const
    ),
    ...["LOOKUP_API_KEYS", "EVENT_API_KEYS", "READ_API_KEYS", "ADMIN_API_KEYS"].flatMap((name) =>
      ["caller:s3cret\n", "caller:s3cr\u00e9t", "caller:s3\u0007cret", "cal\u0000ler:s3cret", "caller:"].map(
        (value) => [name, value] as const
      )
    ),
    ["KAFKA_SASL_PASSWORD", "s3cret\n"],
    ["KAFKA_SASL_USERNAME", "pen\nstock"],
    ...[
      "ADAPTER_TIMEOUT",
      "SYNC_INTERVAL",
      "SYNC_WITHIN",
      "SYNC_DEAD_AFTER",
      "CRAWL_TIMEOUT",
      "CRAWL_SOURCES_INTERVAL"
    ].map((name) => [name, "0 seconds"] as const),
    ...Object.entries(Settings)
      .filter(([, { rule }]) => rule.startsWith("must be a duration"))
      .flatMap(([name]) =>
        ["-1 seconds", "Infinity", "-Infinity", "1000000 days"].map((value) => [name, value] as const)
      ),
    ["HTTP_KEEP_ALIVE", "0 seconds"],
    ["HTTP_KEEP_ALIVE", "2 hours"],
    ["HTTP_HOST", "a b"]
  ] as const)("refuse in one line %s", ([name, value]) =>
    Effect.gen(function* () {
      const { faults, message } = yield* Effect.flip(checkSettings)
      assert.strictEqual(faults.filter((fault) => fault.startsWith(`${name} must be `)).length, 1, value)
      assert.notInclude(message, "s3")
      assert.notInclude(message, "\r")
    }).pipe(withSettings({ [name]: value }))
  )

  it.effect("take addresses with a path and keys of any printable characters", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* Settings.ADAPTER_URL.config, "https://[::1]:8080/v1/")
      assert.strictEqual(Redacted.value((yield* Settings.ADAPTER_API_KEY.config)!), "a b?#@:,=~!")
      yield* checkSettings
    }).pipe(
      withSettings({
        ADAPTER_URL: "https://[::1]:8080/v1/",
        ADAPTER_API_KEY: "a b?#@:,=~!",
        LOOKUP_API_KEYS: "r\u00e9tail:a:b=/+~!"
      })
    )
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

  it.effect("take no time at all for how old something may be", () =>
    checkSettings.pipe(
      withSettings({ EVENT_CLOCK_SKEW: "0 seconds", LOOKUP_MAX_AGE: "0 seconds", LOOKUP_RETENTION: "365000 days" })
    )
  )

  it.effect("read durations as Effect does", () =>
    Effect.gen(function* () {
      assert.strictEqual(Duration.toSeconds(yield* Settings.SYNC_INTERVAL.config), 90)
    }).pipe(withSettings({ SYNC_INTERVAL: "90 seconds" }))
  )
})
