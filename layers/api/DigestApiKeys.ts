/**
 * The keys of the settings, kept as SHA-256 digests and compared in constant time: every digest is looked at, whichever
 * matches, so that the time taken tells nothing about them.
 */
import { Effect, Layer, Redacted } from "effect"
import { hash, timingSafeEqual } from "node:crypto"
import { ApiKeys, type GrantedKey, type Scope } from "../../src/api/ApiKeys.ts"
import { type ApiKey, Settings } from "../Settings.ts"

const digestOf = (key: Redacted.Redacted): Buffer => hash("sha256", Redacted.value(key), "buffer")

export const digestApiKeys = (granted: ReadonlyArray<GrantedKey>): ApiKeys["Service"] => {
  const known = granted.map(({ key, name, scope }) => ({ name, scope, digest: digestOf(key) }))
  return ApiKeys.of({
    grantsOf: (key) =>
      Effect.sync(() => {
        const shown = digestOf(key)
        const grants = new Map<Scope, string>()
        for (const { digest, name, scope } of known) {
          if (timingSafeEqual(digest, shown)) grants.set(scope, name)
        }
        return grants
      })
  })
}

/** Of fewer characters a key can be guessed by somebody who has the time. */
const leastKeyLength = 16

/** Told once, at the start; by the names of the keys. */
const warnOfWeakKeys = Effect.fnUntraced(function* (keys: ReadonlyArray<GrantedKey>) {
  if (keys.length === 0) {
    yield* Effect.logWarning(
      "keys: no API key is configured, so nobody gets in (LOOKUP_API_KEYS, EVENT_API_KEYS, READ_API_KEYS, ADMIN_API_KEYS)"
    )
  }
  const short = keys.filter(({ key }) => Redacted.value(key).length < leastKeyLength)
  if (short.length === 0) return
  yield* Effect.logWarning(`keys: these are shorter than ${leastKeyLength} characters, and can be guessed`, {
    keys: short.map(({ name, scope }) => `${scope} ${name}`)
  })
})

const granted = (scope: Scope, keys: ReadonlyArray<ApiKey>): ReadonlyArray<GrantedKey> =>
  keys.map(({ key, name }) => ({ scope, name, key }))

export const DigestApiKeys = Layer.effect(
  ApiKeys,
  Effect.gen(function* () {
    const keys = [
      ...granted("lookup", yield* Settings.LOOKUP_API_KEYS.config),
      ...granted("event", yield* Settings.EVENT_API_KEYS.config),
      ...granted("read", yield* Settings.READ_API_KEYS.config),
      ...granted("admin", yield* Settings.ADMIN_API_KEYS.config)
    ]
    yield* warnOfWeakKeys(keys)
    return digestApiKeys(keys)
  })
)
