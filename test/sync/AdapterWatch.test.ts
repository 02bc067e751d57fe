/**
 * How the adapter's calls are told to people.
 */
import { assert, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { TestClock } from "effect/testing"
import { Gsrn } from "../../src/domain/Identifiers.ts"
import { AdapterClient, AdapterFailure } from "../../src/sync/AdapterClient.ts"
import { AdapterWatch } from "../../src/sync/AdapterWatch.ts"

const gsrn = Schema.decodeUnknownSync(Gsrn)("707057500012345671")

it.effect("the calls of the last minute are told, and since when the circuit is as it is", () =>
  Effect.gen(function* () {
    const { noteCircuit, told, watched } = yield* AdapterWatch
    const none = yield* AdapterClient
    const call = Effect.fnUntraced(function* (millis: number, kind?: "unavailable" | "paused") {
      const client = watched({
        ...none,
        fetch: () =>
          Effect.andThen(
            TestClock.adjust(millis),
            kind === undefined ? Effect.succeed({} as never) : Effect.fail(new AdapterFailure({ kind, detail: "" }))
          )
      })
      yield* Effect.exit(client.fetch(gsrn, 0))
    })
    yield* call(40)
    yield* call(0, "paused")
    yield* TestClock.adjust("29400 millis")
    yield* call(560, "unavailable")
    yield* noteCircuit("open", 99_000)
    assert.deepInclude(yield* told, { calls: 2, failed: 1, total_millis: 600, slowest_millis: 560, seconds: 30 })
    yield* TestClock.adjust("10 seconds")
    yield* noteCircuit("open", 120_000)
    yield* TestClock.adjust("50 seconds")
    const later = yield* told
    assert.deepInclude(later, { calls: 0, failed: 0 })
    assert.deepStrictEqual(later.circuit, { state: "open", since: 30_000, next_call_at: 120_000 })
  }).pipe(Effect.provide([AdapterWatch.layer, AdapterClient.layerNone]))
)
