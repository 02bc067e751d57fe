/**
 * Keys as the settings name them.
 */
import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect, Layer, Redacted } from "effect"
import { DigestApiKeys, digestApiKeys } from "../../layers/api/DigestApiKeys.ts"
import { ApiKeys } from "../../src/api/ApiKeys.ts"
import { keys } from "./ApiUnderTest.ts"

const grantsOf = (key: string) =>
  Effect.flatMap(ApiKeys, (all) => Effect.map(all.grantsOf(Redacted.make(key)), (grants) => Object.fromEntries(grants)))

for (const [name, layer] of [
  ["in memory", ApiKeys.layerMemory(keys)],
  ["as digests", Layer.succeed(ApiKeys, digestApiKeys(keys))]
] as const) {
  describe(`keys ${name}`, () => {
    it.effect("open what they were granted, and nothing for anybody else", () =>
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* grantsOf("lookup-key-0001"), { lookup: "lookup-caller" })
        assert.deepStrictEqual(yield* grantsOf("lookup-key-0002"), { lookup: "lookup-caller" })
        assert.deepStrictEqual(yield* grantsOf("admin-key-0001"), { admin: "admin-caller" })
        for (const wrong of ["", "lookup-key-000", "lookup-key-00011", "LOOKUP-KEY-0001"]) {
          assert.deepStrictEqual(yield* grantsOf(wrong), {})
        }
      }).pipe(Effect.provide(layer))
    )
  })
}

const from = (settings: Readonly<Record<string, string>>) =>
  DigestApiKeys.pipe(Layer.provide(ConfigProvider.layer(ConfigProvider.fromEnvRecord(settings))))

describe("keys of the settings", () => {
  it.effect("may be the same in several scopes, and several for one name", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* grantsOf("shared-key"), { lookup: "ours", read: "ours" })
      assert.deepStrictEqual(yield* grantsOf("former-key"), { lookup: "ours" })
      assert.deepStrictEqual(yield* grantsOf("admin-key-1"), {})
    }).pipe(
      Effect.provide(from({ LOOKUP_API_KEYS: "ours:shared-key,ours:former-key", READ_API_KEYS: "ours:shared-key" }))
    )
  )

  it.effect("open nothing when there are none", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* grantsOf(""), {})
    }).pipe(Effect.provide(from({})))
  )
})
