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

const granted = (scope: Scope, keys: ReadonlyArray<ApiKey>): ReadonlyArray<GrantedKey> =>
  keys.map(({ key, name }) => ({ scope, name, key }))

export const DigestApiKeys = Layer.effect(
  ApiKeys,
  Effect.gen(function* () {
    return digestApiKeys([
      ...granted("lookup", yield* Settings.LOOKUP_API_KEYS.config),
      ...granted("event", yield* Settings.EVENT_API_KEYS.config),
      ...granted("read", yield* Settings.READ_API_KEYS.config),
      ...granted("admin", yield* Settings.ADMIN_API_KEYS.config)
    ])
  })
)
