/** A row that is held for long makes one statement in two seconds wait for it, and no more. */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { SqlError } from "effect/sql"
import { TestClock } from "effect/testing"
import { makeUnlessHeld } from "../../../layers/postgres/heldRows.ts"

const failing = (reason: SqlError.SqlError["reason"]) => Effect.fail(new SqlError.SqlError({ reason }))
const held = failing(new SqlError.LockTimeoutError({ cause: undefined }))
const broken = failing(new SqlError.ConnectionError({ cause: undefined }))

it.effect("what is held is passed over at once for two seconds after it was waited for in vain", () =>
  Effect.gen(function* () {
    const unlessHeld = makeUnlessHeld()
    const waited: Effect.Effect<string, SqlError.SqlError> = Effect.succeed("waited")
    const passedOver = () => Effect.succeed("passed over")
    assert.strictEqual(yield* unlessHeld(waited, passedOver), "waited")
    assert.strictEqual(yield* unlessHeld<string, SqlError.SqlError, never>(held, passedOver), "passed over")
    assert.strictEqual(yield* unlessHeld(waited, passedOver), "passed over")
    yield* TestClock.adjust("1999 millis")
    assert.strictEqual(yield* unlessHeld(waited, passedOver), "passed over")
    yield* TestClock.adjust("1 millis")
    assert.strictEqual(yield* unlessHeld(waited, passedOver), "waited")
  })
)

it.effect("whatever else fails is no held row, and nothing is passed over for it", () =>
  Effect.gen(function* () {
    const unlessHeld = makeUnlessHeld()
    const passedOver = () => Effect.succeed("passed over")
    const error = yield* Effect.flip(unlessHeld<string, SqlError.SqlError, never>(broken, passedOver))
    assert.strictEqual(error.reason._tag, "ConnectionError")
    assert.strictEqual(yield* unlessHeld(Effect.succeed("waited"), passedOver), "waited")
  })
)
