/** How long a server wants to be left alone, by its `Retry-After`. */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { retryAfterSeconds } from "../../src/running/retryAfter.ts"

it.effect.each([
  ["7", 7],
  [" 120 ", 120],
  ["0", 0],
  ["Sun, 22 Nov 2026 00:02:00 GMT", 120],
  ["Sunday, 22-Nov-26 00:02:00 GMT", 120],
  ["Sun Nov 22 00:02:00 2026", 120],
  ["Sun, 22 Nov 2026 00:00:00 GMT", 0],
  ["Sat, 21 Nov 2026 00:00:00 GMT", 0],
  ["", undefined],
  [undefined, undefined],
  ["soon", undefined],
  ["-5", undefined],
  ["1.5", undefined],
  ["12345678901", 366 * 24 * 3600],
  ["Sun, 99 Nov 2026 00:00:00 GMT", undefined]
] as const)("%j is %j seconds", ([header, seconds]) =>
  Effect.gen(function* () {
    yield* TestClock.setTime(Date.UTC(2026, 10, 22))
    assert.strictEqual(yield* retryAfterSeconds(header), seconds)
  })
)
