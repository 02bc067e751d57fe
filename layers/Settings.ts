/**
 * Every setting of the service: its name, form, default and meaning, in the order of the table in docs/settings.md.
 *
 * The layer that uses a setting reads it (`yield* Settings.ADAPTER_TIMEOUT`). `checkSettings` reads them all once before
 * anything starts, so that a bad configuration is reported whole, by name and never by value.
 */
import { Config, Data, Duration, Effect, Option, Redacted, Result, Schema } from "effect"

/** One setting: a `Config` with what an operator has to know about it. */
export interface Setting<A> {
  readonly config: Config.Config<A>
  /** As docs/settings.md shows it. */
  readonly fallback: string
  readonly meaning: string
  /** What is said of a value that does not fit, after the setting's name. */
  readonly rule: string
}

const optional = <A>(config: Config.Config<A>): Config.Config<A | undefined> =>
  Config.map(Config.option(config), Option.getOrUndefined)

const setting = <A>(
  form: { readonly config: Config.Config<A>; readonly rule: string },
  fallback: string,
  meaning: string
): Setting<A> => ({ ...form, fallback, meaning })

const withDefault = <A, const B>(form: { readonly config: Config.Config<A>; readonly rule: string }, value: B) => ({
  ...form,
  config: Config.withDefault(form.config, value)
})
const orNone = <A>(form: { readonly config: Config.Config<A>; readonly rule: string }) => ({
  ...form,
  config: optional(form.config)
})

const number = <S extends Schema.Codec<number, number>>(name: string, schema: S, rule: string) => ({
  config: Config.schema(Schema.NumberFromString.pipe(Schema.decodeTo(schema)), name),
  rule
})
const positiveInt = (name: string) =>
  number(name, Schema.Int.check(Schema.isGreaterThanOrEqualTo(1)), "must be a whole number of at least 1")
const positive = (name: string) => number(name, Schema.Finite.check(Schema.isGreaterThan(0)), "must be greater than 0")

const text = (name: string, pattern: RegExp, rule: string) => ({
  config: Config.schema(Schema.String.check(Schema.isPattern(pattern)), name),
  rule
})
/** Paths are appended to it at every use, so anything that would end up before them, or in logs, is refused. */
const isPlainAddress = (address: string): boolean => /^https?:\/\/[^\s?#@\\]+$/.test(address) && URL.canParse(address)
const httpUrl = (name: string) => ({
  config: Config.schema(Schema.String.check(Schema.makeFilter(isPlainAddress)), name),
  rule: "must be an http:// or https:// address without blanks, credentials, query and fragment"
})
/** What the value of a header may hold and arrives as it was sent: printable ASCII, no blank at either end. */
const headerText = (name: string) => ({
  config: Config.map(
    Config.schema(Schema.String.check(Schema.isPattern(/^[!-~](?:[ -~]*[!-~])?$/)), name),
    Redacted.make<string>
  ),
  rule: "must be a text of printable ASCII characters without a line end or blanks around it"
})
const secretText = (name: string) => {
  const { config, rule } = plainText(name)
  return { config: Config.map(config, Redacted.make<string>), rule }
}
const plainText = (name: string) => text(name, /^\P{Cc}+$/u, "must be a text without line ends and control characters")
/** Longer than a thousand years leads to no moment of the database. */
const durationOf = (name: string, minimum: Duration.Input, maximum: Duration.Input = "365000 days") =>
  Config.schema(
    Schema.DurationFromString.check(
      Schema.makeFilter((time: Duration.Duration) =>
        Duration.between(time, {
          minimum: Duration.fromInputUnsafe(minimum),
          maximum: Duration.fromInputUnsafe(maximum)
        })
      )
    ),
    name
  )
const examples = 'such as "90 seconds" or "5 minutes"'
/** How old something may be: not at all is an answer too. */
const duration = (name: string, fallback: Duration.Input) =>
  withDefault(
    { config: durationOf(name, "0 seconds"), rule: `must be a duration of 0 seconds to 365000 days, ${examples}` },
    Duration.fromInputUnsafe(fallback)
  )
/** What takes time, or comes again after it: with none nothing would be done, or nothing else. */
const someTime = (name: string, fallback: Duration.Input) =>
  withDefault(
    {
      config: durationOf(name, "1 millis"),
      rule: `must be a duration of 1 millis to 365000 days, ${examples}`
    },
    Duration.fromInputUnsafe(fallback)
  )
/** How long something is kept. Shorter than an hour would be a mistake. */
const kept = (name: string) => ({
  config: durationOf(name, "1 hour"),
  rule: 'must be a duration of at least 1 hour, such as "90 days"'
})
const cleanups = ["delete", "compact", "compact,delete"] as const
const cleanup = (name: string) => withDefault(oneOf(name, cleanups), "delete")
/** Of dots alone Kafka allows none of one or two, and an address none of any. */
const topic = (name: string) =>
  text(name, /^(?!\.+$)[A-Za-z0-9._-]{1,249}$/, "must be a name that Kafka allows for a topic")

/** As OpenTelemetry has durations: a number of milliseconds, as text. */
const millis = (name: string) => {
  const { config } = number(name, Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 2 ** 31 - 1 })), "")
  return { config: Config.map(config, Duration.millis), rule: "must be a whole number of milliseconds, at least 1" }
}
const oneOf = <const Words extends ReadonlyArray<string>>(name: string, words: Words) => ({
  config: Config.Literals(words, name),
  rule: `must be one of ${words.join(", ")}`
})
const boolean = (name: string) => ({ config: Config.Boolean(name), rule: "must be true or false" })
/** `name=value,name=value`, as OpenTelemetry has headers and attributes: percent-encoded, blanks around them ignored. */
const pairs = (name: string, isName: RegExp, isValue: RegExp, rule: string) => ({
  config: Config.schema(
    Schema.String.check(
      Schema.makeFilter((list: string) =>
        pairsIn(list).every((pair) => pair !== undefined && isName.test(pair[0]) && isValue.test(pair[1]))
      )
    ),
    name
  ).pipe(
    Config.map((list): Readonly<Record<string, string>> =>
      Object.fromEntries(pairsIn(list).flatMap((pair) => (pair ? [pair] : [])))
    )
  ),
  rule
})
const pairsIn = (list: string): ReadonlyArray<readonly [string, string] | undefined> =>
  list
    .split(",")
    .filter((pair) => pair.trim() !== "")
    .map((pair) => {
      const [, name = "", value = ""] = /^\s*([^=]*?)\s*=\s*(.*?)\s*$/s.exec(pair) ?? []
      return Option.getOrUndefined(Option.all([decodeComponent(name), decodeComponent(value)]))
    })
const decodeComponent = Schema.decodeOption(Schema.StringFromUriComponent)

/** A form whose value goes into no log. */
const secret = <A>({ config, rule }: { readonly config: Config.Config<A>; readonly rule: string }) => ({
  config: Config.map(config, (value) => Redacted.make(value)),
  rule
})
const exporter = (name: string) => withDefault(oneOf(name, ["otlp", "none"]), "otlp")

const samplers = [
  "always_on",
  "always_off",
  "traceidratio",
  "parentbased_always_on",
  "parentbased_always_off",
  "parentbased_traceidratio"
] as const
export type SamplerName = (typeof samplers)[number]

/** A caller's name and the key it shows; the name goes into logs and the audit trail, the key never. */
export interface ApiKey {
  readonly name: string
  readonly key: Redacted.Redacted
}

/** A key that no header may hold could never be sent. */
const namesAndKeys = /^[^:,\s\p{Cc}]+:[!-+\--~]+(?:,[^:,\s\p{Cc}]+:[!-+\--~]+)*$/u

const apiKeys = (name: string) => {
  const { config, rule } = text(name, namesAndKeys, "must be name:key,name:key, keys of printable ASCII characters")
  return {
    rule,
    config: config.pipe(
      Config.map((pairs) =>
        pairs.split(",").map((pair): ApiKey => {
          const colon = pair.indexOf(":")
          return { name: pair.slice(0, colon), key: Redacted.make(pair.slice(colon + 1)) }
        })
      ),
      Config.withDefault<ReadonlyArray<ApiKey>>([])
    )
  }
}

export const roles = ["api", "sync", "crawl", "stream"] as const
export type Role = (typeof roles)[number]

const logLevels = ["All", "Trace", "Debug", "Info", "Warn", "Error", "Fatal", "None"] as const

export const Settings = {
  DATABASE_URL: setting(
    orNone({
      config: Config.map(
        Config.schema(Schema.String.check(Schema.isPattern(/^postgres(?:ql)?:\/\/\S+$/)), "DATABASE_URL"),
        Redacted.make
      ),
      rule: "must be a postgresql:// address"
    }),
    "embedded",
    "PostgreSQL 15+"
  ),
  DATABASE_POOL: setting(
    withDefault(
      number(
        "DATABASE_POOL",
        Schema.Int.check(Schema.isGreaterThanOrEqualTo(2)),
        "must be a whole number of at least 2: one connection listens, the others work"
      ),
      10
    ),
    "10",
    "connections of one process, at least 2: one listens, the others work"
  ),
  PENSTOCK_DATA: setting(
    withDefault({ config: Config.NonEmptyString("PENSTOCK_DATA"), rule: "must be a directory" }, ".penstock"),
    "`.penstock`",
    "directory of the embedded database"
  ),
  KAFKA_BROKERS: setting(
    orNone({
      config: Config.map(
        Config.schema(
          Schema.String.check(Schema.isPattern(/^[^\s,:/]+:\d{1,5}(?:,[^\s,:/]+:\d{1,5})*$/)),
          "KAFKA_BROKERS"
        ),
        (list): ReadonlyArray<string> => list.split(",")
      ),
      rule: "must be host:port,host:port"
    }),
    "embedded topics",
    "some brokers of an Apache Kafka, `host:port,host:port`; without it topics are kept in PostgreSQL"
  ),
  KAFKA_SSL: setting(
    withDefault({ config: Config.Boolean("KAFKA_SSL"), rule: "must be true or false" }, false),
    "`false`",
    "TLS to the brokers, with the certificates that Node.js trusts (`NODE_EXTRA_CA_CERTS` adds one)"
  ),
  KAFKA_SASL_MECHANISM: setting(
    orNone({
      config: Config.Literals(["plain", "scram-sha-256", "scram-sha-512"], "KAFKA_SASL_MECHANISM"),
      rule: "must be plain, scram-sha-256 or scram-sha-512"
    }),
    "none",
    "how to log in to the brokers: `plain`, `scram-sha-256` or `scram-sha-512`"
  ),
  KAFKA_SASL_USERNAME: setting(orNone(plainText("KAFKA_SASL_USERNAME")), "none", "the name to log in with"),
  KAFKA_SASL_PASSWORD: setting(orNone(secretText("KAFKA_SASL_PASSWORD")), "none", "the password to log in with"),
  KAFKA_CLIENT_ID: setting(
    withDefault(
      text("KAFKA_CLIENT_ID", /^[A-Za-z0-9._-]{1,249}$/, "must be of letters, digits, dots, dashes and underscores"),
      "penstock"
    ),
    "`penstock`",
    "the name the brokers know this service by, in their logs and quotas"
  ),
  KAFKA_REPLICATION: setting(
    withDefault(positiveInt("KAFKA_REPLICATION"), 1),
    "1",
    "replicas of the topics that are made; with 3 or more, all but one must acknowledge"
  ),
  HILLTOP_RAW_TOPIC: setting(
    withDefault(topic("HILLTOP_RAW_TOPIC"), "hilltop_raw"),
    "`hilltop_raw`",
    "topic of the documents as they were received"
  ),
  OBSERVATIONS_TOPIC: setting(
    withDefault(topic("OBSERVATIONS_TOPIC"), "observations"),
    "`observations`",
    "topic of the mapped sites and observations"
  ),
  HILLTOP_RAW_RETENTION: setting(
    orNone(kept("HILLTOP_RAW_RETENTION")),
    "for ever",
    "how long the embedded raw topic keeps documents that were read; `topic replay` builds on those that are left. In Kafka the topic's own `retention.ms` counts"
  ),
  HILLTOP_RAW_CLEANUP: setting(
    cleanup("HILLTOP_RAW_CLEANUP"),
    "`delete`",
    "what the embedded raw topic lets go of, as Kafka's `cleanup.policy`: `delete` by age, `compact` what has a newer record of its key (the time of the fetch is in the key, so only what was sent twice), or `compact,delete`. In Kafka the topic's own counts"
  ),
  OBSERVATIONS_RETENTION: setting(
    orNone(kept("OBSERVATIONS_RETENTION")),
    "for ever",
    "how long the embedded observations topic keeps messages that were read; stored observations stay. In Kafka the topic's own `retention.ms` counts"
  ),
  OBSERVATIONS_CLEANUP: setting(
    cleanup("OBSERVATIONS_CLEANUP"),
    "`delete`",
    "the same of the embedded observations topic; `compact` keeps the newest message of each month of a series, which may have a part of the month only"
  ),
  OBSERVATION_HISTORY_RETENTION: setting(
    orNone(kept("OBSERVATION_HISTORY_RETENTION")),
    "for ever",
    "how long stored observations keep what was corrected or removed; `as_of` before that is refused. Current values always stay"
  ),
  OBSERVATIONS_PACK_AFTER: setting(
    orNone(kept("OBSERVATIONS_PACK_AFTER")),
    "never",
    "how long after the end of a year, and after the last news of them, its stored observations are packed: a tenth of the room, and the same answers over HTTP. Who reads `observations` with SQL reads `observations_between` or `all_observations` then"
  ),
  TOPIC_COMPACTION_LAG: setting(
    duration("TOPIC_COMPACTION_LAG", "1 hour"),
    "`1 hour`",
    "how old a record of an embedded topic must be before it counts for `compact`, as Kafka's `min.compaction.lag.ms`"
  ),
  DEAD_LETTERS_RETENTION: setting(
    orNone(kept("DEAD_LETTERS_RETENTION")),
    "for ever",
    "how long embedded topics keep records that were set aside, whether or not they were sent again"
  ),
  ACCOUNTING_POINT_EVENTS_TOPIC: setting(
    orNone(topic("ACCOUNTING_POINT_EVENTS_TOPIC")),
    "off",
    "when set, thin events are also read from this topic"
  ),
  ACCOUNTING_POINT_EVENTS_RETENTION: setting(
    orNone(kept("ACCOUNTING_POINT_EVENTS_RETENTION")),
    "for ever",
    "how long that topic, where it is embedded, keeps events that were read"
  ),
  EVENT_CLOCK_SKEW: setting(
    duration("EVENT_CLOCK_SKEW", "5 seconds"),
    "`5 seconds`",
    "how much older than the last one an event may be and is followed all the same"
  ),
  ADAPTER_URL: setting(
    orNone(httpUrl("ADAPTER_URL")),
    "none",
    "the adapter service; without it flow 1 answers from local data only and says so"
  ),
  ADAPTER_API_KEY: setting(orNone(headerText("ADAPTER_API_KEY")), "none", "bearer key for the adapter"),
  ADAPTER_TIMEOUT: setting(
    someTime("ADAPTER_TIMEOUT", "6 seconds"),
    "`6 seconds`",
    "deadline of a whole request; all tries of a lookup together"
  ),
  ADAPTER_CONCURRENCY: setting(
    withDefault(positiveInt("ADAPTER_CONCURRENCY"), 16),
    "16",
    "background calls in flight in one instance"
  ),
  ADAPTER_RATE: setting(
    orNone(positive("ADAPTER_RATE")),
    "unlimited",
    "calls per second to the adapter, over all instances, lookups and background together"
  ),
  LOOKUP_API_KEYS: setting(
    apiKeys("LOOKUP_API_KEYS"),
    "none",
    "keys of lookup consumers, `name:key,name:key`; no key means that nobody gets in"
  ),
  EVENT_API_KEYS: setting(apiKeys("EVENT_API_KEYS"), "none", "keys of adapters that post events"),
  READ_API_KEYS: setting(apiKeys("READ_API_KEYS"), "none", "keys of readers"),
  ADMIN_API_KEYS: setting(apiKeys("ADMIN_API_KEYS"), "none", "keys of operators"),
  HTTP_HOST: setting(
    withDefault(text("HTTP_HOST", /^[^\s/]+$/, "must be an address"), "0.0.0.0"),
    "`0.0.0.0`",
    "address to bind"
  ),
  HTTP_PORT: setting(
    withDefault({ config: Config.Port("HTTP_PORT"), rule: "must be a port, 1 to 65535" }, 8080),
    "`8080`",
    "port to bind"
  ),
  HTTP_KEEP_ALIVE: setting(
    withDefault(
      {
        config: durationOf("HTTP_KEEP_ALIVE", "1 second", "1 hour"),
        rule: 'must be a duration of 1 second to 1 hour, such as "75 seconds"'
      },
      Duration.seconds(75)
    ),
    "`75 seconds`",
    "how long a connection without a request stays open; longer than the load balancer in front keeps it"
  ),
  PENSTOCK_ROLES: setting(
    {
      config: Config.Array(Schema.Literals(roles), "PENSTOCK_ROLES").pipe(
        Config.withDefault<ReadonlyArray<Role>>(roles),
        Config.map((list): ReadonlySet<Role> => new Set(list))
      ),
      rule: `must be a comma-separated list of ${roles.join(", ")}`
    },
    "`api,sync,crawl,stream`",
    "what this instance does"
  ),
  PENSTOCK_PROCESSES: setting(
    orNone(positiveInt("PENSTOCK_PROCESSES")),
    "by load",
    "how many processes of this instance crawl and stream: so many from the start; by load, one, and another while all are busy, up to the processors and 4. Each has `DATABASE_POOL` and `CRAWL_CONCURRENCY`. On Node.js"
  ),
  SYNC_INTERVAL: setting(someTime("SYNC_INTERVAL", "5 minutes"), "`5 minutes`", "time between two background batches"),
  SYNC_WITHIN: setting(
    someTime("SYNC_WITHIN", "24 hours"),
    "`24 hours`",
    "how soon every relevant accounting point is synced again, and how old a stale answer may be"
  ),
  SYNC_DEAD_AFTER: setting(
    someTime("SYNC_DEAD_AFTER", "10 minutes"),
    "`10 minutes`",
    "a sync that takes longer is dead, and its accounting point claimable again"
  ),
  SYNC_BATCH_SIZE: setting(
    orNone(positiveInt("SYNC_BATCH_SIZE")),
    "computed",
    "fixes how many accounting points a round takes"
  ),
  LOOKUP_MAX_AGE: setting(duration("LOOKUP_MAX_AGE", "24 hours"), "`24 hours`", "how old a copy may answer a lookup"),
  LOOKUP_RETENTION: setting(
    duration("LOOKUP_RETENTION", "30 days"),
    "`30 days`",
    "how long a lookup makes an accounting point relevant"
  ),
  LOOKUP_AUDIT_RETENTION: setting(
    orNone(kept("LOOKUP_AUDIT_RETENTION")),
    "for ever",
    "how long the audit trail keeps who looked up what"
  ),
  CRAWL_CONCURRENCY: setting(
    withDefault(positiveInt("CRAWL_CONCURRENCY"), 32),
    "32",
    "fetches in flight in one process"
  ),
  CRAWL_SERVER_RATE: setting(
    withDefault(positive("CRAWL_SERVER_RATE"), 20),
    "20",
    "requests per second to one server, over all instances; a source may lower or raise it"
  ),
  CRAWL_SERVER_CONCURRENCY: setting(
    withDefault(positiveInt("CRAWL_SERVER_CONCURRENCY"), 4),
    "4",
    "requests in flight to one server, over all instances; a source may lower or raise it"
  ),
  CRAWL_MAX_RESPONSE: setting(
    withDefault(positiveInt("CRAWL_MAX_RESPONSE"), 20_000_000),
    "20000000",
    "bytes of a response; a larger one is `RESPONSE_TOO_LARGE`"
  ),
  CRAWL_TIMEOUT: setting(someTime("CRAWL_TIMEOUT", "60 seconds"), "`60 seconds`", "deadline of a whole request"),
  CRAWL_SOURCES_INTERVAL: setting(
    someTime("CRAWL_SOURCES_INTERVAL", "1 hour"),
    "`1 hour`",
    "how often all sources are checked; a changed one is checked at once"
  ),
  CRAWL_ALLOW_PRIVATE: setting(
    withDefault({ config: Config.Boolean("CRAWL_ALLOW_PRIVATE"), rule: "must be true or false" }, false),
    "`false`",
    "whether Hilltop servers may have loopback or private addresses"
  ),
  OTEL_EXPORTER_OTLP_ENDPOINT: setting(
    orNone(httpUrl("OTEL_EXPORTER_OTLP_ENDPOINT")),
    "off",
    "traces, metrics and logs over OTLP, to `/v1/traces` … below it"
  ),
  OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: setting(
    orNone(httpUrl("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")),
    "none",
    "where traces go instead: the whole address"
  ),
  OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: setting(
    orNone(httpUrl("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT")),
    "none",
    "where metrics go instead"
  ),
  OTEL_EXPORTER_OTLP_LOGS_ENDPOINT: setting(
    orNone(httpUrl("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT")),
    "none",
    "where logs go instead"
  ),
  OTEL_EXPORTER_OTLP_HEADERS: setting(
    orNone(
      secret(
        pairs(
          "OTEL_EXPORTER_OTLP_HEADERS",
          /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/,
          /^[\x20-\x7e]*$/,
          "must be name=value,name=value, with what headers may hold, percent-encoded"
        )
      )
    ),
    "none",
    "headers of what is sent, such as a key: `name=value,name=value`"
  ),
  OTEL_EXPORTER_OTLP_PROTOCOL: setting(
    withDefault(oneOf("OTEL_EXPORTER_OTLP_PROTOCOL", ["http/json", "http/protobuf"]), "http/json"),
    "`http/json`",
    "or `http/protobuf`"
  ),
  OTEL_EXPORTER_OTLP_COMPRESSION: setting(
    withDefault(oneOf("OTEL_EXPORTER_OTLP_COMPRESSION", ["none", "gzip"]), "none"),
    "`none`",
    "or `gzip`"
  ),
  OTEL_EXPORTER_OTLP_TIMEOUT: setting(
    withDefault(millis("OTEL_EXPORTER_OTLP_TIMEOUT"), Duration.seconds(10)),
    "10000",
    "milliseconds that the endpoint has to take what is sent"
  ),
  OTEL_TRACES_EXPORTER: setting(exporter("OTEL_TRACES_EXPORTER"), "`otlp`", "`none` sends no traces"),
  OTEL_METRICS_EXPORTER: setting(exporter("OTEL_METRICS_EXPORTER"), "`otlp`", "`none` sends no metrics"),
  OTEL_LOGS_EXPORTER: setting(exporter("OTEL_LOGS_EXPORTER"), "`otlp`", "`none` sends no logs"),
  OTEL_SDK_DISABLED: setting(
    withDefault(boolean("OTEL_SDK_DISABLED"), false),
    "`false`",
    "`true` sends nothing over OTLP, whatever else is set"
  ),
  OTEL_SERVICE_NAME: setting(
    orNone(plainText("OTEL_SERVICE_NAME")),
    "`penstock`",
    "`service.name` of all that is sent"
  ),
  OTEL_RESOURCE_ATTRIBUTES: setting(
    orNone(
      pairs("OTEL_RESOURCE_ATTRIBUTES", /^[!-~]+$/, /^\P{Cc}*$/u, "must be name=value,name=value, percent-encoded")
    ),
    "none",
    "what else is said of this instance, such as `deployment.environment.name=test`"
  ),
  OTEL_TRACES_SAMPLER: setting(
    withDefault(oneOf("OTEL_TRACES_SAMPLER", samplers), "parentbased_always_on"),
    "`parentbased_always_on`",
    "which traces are kept: `always_on`, `always_off`, `traceidratio`; with `parentbased_` as the caller has decided, if it has"
  ),
  OTEL_TRACES_SAMPLER_ARG: setting(
    withDefault(
      number(
        "OTEL_TRACES_SAMPLER_ARG",
        Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1 })),
        "must be a number from 0 to 1"
      ),
      1
    ),
    "1",
    "the share of traces that `traceidratio` keeps"
  ),
  OTEL_BSP_SCHEDULE_DELAY: setting(
    withDefault(millis("OTEL_BSP_SCHEDULE_DELAY"), Duration.seconds(5)),
    "5000",
    "milliseconds between two batches of spans"
  ),
  OTEL_BSP_MAX_QUEUE_SIZE: setting(
    withDefault(positiveInt("OTEL_BSP_MAX_QUEUE_SIZE"), 2_048),
    "2048",
    "spans that wait while the endpoint takes none; of more, the oldest batches are dropped"
  ),
  OTEL_BSP_MAX_EXPORT_BATCH_SIZE: setting(
    withDefault(positiveInt("OTEL_BSP_MAX_EXPORT_BATCH_SIZE"), 512),
    "512",
    "spans of one batch"
  ),
  OTEL_METRIC_EXPORT_INTERVAL: setting(
    withDefault(millis("OTEL_METRIC_EXPORT_INTERVAL"), Duration.seconds(60)),
    "60000",
    "milliseconds between two reports of all metrics"
  ),
  OTEL_BLRP_SCHEDULE_DELAY: setting(
    withDefault(millis("OTEL_BLRP_SCHEDULE_DELAY"), Duration.seconds(1)),
    "1000",
    "milliseconds between two batches of log lines"
  ),
  HEALTH_PATIENCE: setting(
    duration("HEALTH_PATIENCE", "10 minutes"),
    "`10 minutes`",
    "how long the adapter or a Hilltop server may answer nothing that can be used before `/health/progress` says so"
  ),
  LOG_LEVEL: setting(
    {
      config: Config.schema(Schema.Literals(logLevels.map((level) => level.toLowerCase())), "LOG_LEVEL").pipe(
        Config.map((name) => logLevels.find((level) => level.toLowerCase() === name) ?? "Info"),
        Config.withDefault("Info" as const)
      ),
      rule: `must be one of ${logLevels.join(", ").toLowerCase()}`
    },
    "`info`",
    "least level that is logged"
  ),
  LOG_FORMAT: setting(
    orNone({ config: Config.Literals(["pretty", "json"], "LOG_FORMAT"), rule: "must be pretty or json" }),
    "`pretty` in a terminal, else `json`",
    "form of the log"
  )
} as const

/** The configuration cannot be used; one readable line per fault. */
export class SettingsError extends Data.TaggedError("SettingsError")<{ readonly faults: ReadonlyArray<string> }> {
  override get message(): string {
    return `${this.faults.length === 1 ? "A setting is" : `${this.faults.length} settings are`} not usable:\n${this.faults.map((fault) => `  ${fault}`).join("\n")}`
  }
}

/** Reads every setting; fails with all faults at once. Whatever is wrong, the value is not repeated. */
export const checkSettings: Effect.Effect<void, SettingsError> = Effect.gen(function* () {
  const faults: Array<string> = []
  for (const [name, { config, rule }] of Object.entries<Setting<unknown>>(Settings)) {
    const result = yield* Effect.result(config)
    if (Result.isFailure(result)) faults.push(`${name} ${rule}`)
  }
  // Half a login is taken for a mistake, not for none.
  const isGiven = <A>(config: Config.Config<A>) =>
    Effect.match(config, { onSuccess: (value) => value !== undefined, onFailure: () => true })
  const login = {
    KAFKA_SASL_MECHANISM: yield* isGiven(Settings.KAFKA_SASL_MECHANISM.config),
    KAFKA_SASL_USERNAME: yield* isGiven(Settings.KAFKA_SASL_USERNAME.config),
    KAFKA_SASL_PASSWORD: yield* isGiven(Settings.KAFKA_SASL_PASSWORD.config)
  }
  if (Object.values(login).includes(true)) {
    const missing = Object.entries(login).filter(([, given]) => !given)
    faults.push(...missing.map(([name]) => `${name} must be set too, since a part of the login to Kafka is`))
  }
  if (faults.length > 0) return yield* new SettingsError({ faults })
})
