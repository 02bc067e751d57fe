/**
 * The settings of a demo: keys made for this run, and a pace at which a minute shows what otherwise takes a day.
 *
 * DATABASE_URL, KAFKA_BROKERS and all other settings of flows are overruled: a demo must never write into a database or a
 * topic that is used.
 */
import { randomBytes } from "node:crypto"
import { ConfigProvider } from "effect"
import type { AdapterSimulator } from "../simulators/AdapterSimulator.ts"

export interface DemoKeys {
  readonly lookup: string
  readonly event: string
  readonly read: string
  readonly admin: string
}

/** Accounting points with a controllable unit, all of which are synced once in `SYNC_WITHIN`. */
export const registeredUnits = 400

export const makeKeys = (): DemoKeys => {
  const key = () => randomBytes(12).toString("base64url")
  return { lookup: key(), event: key(), read: key(), admin: key() }
}

export const demoSettings = (options: {
  readonly data: string
  readonly port: number
  readonly keys: DemoKeys
  readonly adapter: AdapterSimulator["Service"]
}): ConfigProvider.ConfigProvider => {
  const { DATABASE_URL: _database, KAFKA_BROKERS: _brokers, ...environment } = process.env
  return ConfigProvider.fromEnvRecord({
    ...environment,
    PENSTOCK_DATA: options.data,
    PENSTOCK_ROLES: "api,sync,crawl,stream",
    HTTP_HOST: "127.0.0.1",
    HTTP_PORT: String(options.port),
    LOOKUP_API_KEYS: `demo:${options.keys.lookup}`,
    EVENT_API_KEYS: `demo:${options.keys.event}`,
    READ_API_KEYS: `demo:${options.keys.read}`,
    ADMIN_API_KEYS: `demo:${options.keys.admin}`,
    ADAPTER_URL: options.adapter.url,
    ADAPTER_API_KEY: options.adapter.apiKey,
    ADAPTER_TIMEOUT: "2 seconds",
    SYNC_INTERVAL: "2 seconds",
    SYNC_WITHIN: "30 seconds",
    LOOKUP_MAX_AGE: "1 minute",
    CRAWL_ALLOW_PRIVATE: "true"
  })
}
