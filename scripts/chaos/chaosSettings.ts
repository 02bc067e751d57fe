/**
 * The settings of the instances: what a deployment would leave alone is left alone, deadlines above all.
 *
 * Only what takes hours or minutes otherwise is faster: the rounds of the background sync, and when a copy is old.
 */
import { Duration } from "effect"
import { packAfter } from "./hurried.ts"

export const keys = {
  lookup: "chaos-lookup-key",
  event: "chaos-event-key",
  read: "chaos-read-key",
  admin: "chaos-admin-key"
}

/** Who looks up, in the audit. */
export const caller = "chaos"

/** What each of the simulated councils allows, over all instances. */
export const councilBudget = { requestsPerSecond: 10, maxConcurrent: 3 }

/** In which every copy is to be synced. */
export const syncWithin = Duration.minutes(2)

/** A claim whose instance lost its database is taken over after this long. */
export const syncDeadAfter = Duration.seconds(15)

/** A fetch that hangs keeps its place at its server until then; documents here take milliseconds. */
export const fetchWithin = Duration.seconds(10)

export const chaosSettings = (options: {
  readonly databaseUrl: string
  readonly adapterUrl: string
  readonly adapterKey: string
  readonly kafkaBrokers: string | undefined
  readonly processes: number
  /** Whether it packs the years that are over. */
  readonly isPacking: boolean
}): Readonly<Record<string, string>> => ({
  DATABASE_URL: options.databaseUrl,
  ADAPTER_URL: options.adapterUrl,
  ADAPTER_API_KEY: options.adapterKey,
  ...(options.kafkaBrokers === undefined ? {} : { KAFKA_BROKERS: options.kafkaBrokers }),
  LOOKUP_API_KEYS: `${caller}:${keys.lookup}`,
  EVENT_API_KEYS: `${caller}:${keys.event}`,
  READ_API_KEYS: `${caller}:${keys.read}`,
  ADMIN_API_KEYS: `${caller}:${keys.admin}`,
  SYNC_INTERVAL: "2 seconds",
  SYNC_WITHIN: `${Duration.toSeconds(syncWithin)} seconds`,
  SYNC_DEAD_AFTER: `${Duration.toSeconds(syncDeadAfter)} seconds`,
  LOOKUP_MAX_AGE: "10 seconds",
  CRAWL_ALLOW_PRIVATE: "true",
  // As many all the time: by load, on a machine as busy as this, further ones would come and go.
  PENSTOCK_PROCESSES: String(options.processes),
  ...(options.isPacking ? { OBSERVATIONS_PACK_AFTER: packAfter } : {}),
  CRAWL_TIMEOUT: `${Duration.toSeconds(fetchWithin)} seconds`,
  LOG_LEVEL: "info"
})
