/** When a task is tried again. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type { Failure } from "../../src/domain/FetchTask.ts"
import { delayAfterFailure } from "../../src/crawl/RefreshPolicy.ts"

const minute = 60_000
const hour = 60 * minute
const day = 24 * hour

describe("a task that failed", () => {
  const bounds: ReadonlyArray<readonly [Failure, number, number]> = [
    ["FETCH_ERROR", 0.5 * minute, 6 * hour],
    ["UNKNOWN_ERROR", 5 * minute, 6 * hour],
    ["PARSE_ERROR", 10 * minute, day],
    ["HILLTOP_ERROR", 30 * minute, day],
    ["RESPONSE_TOO_LARGE", 6 * hour, 7 * day]
  ]
  for (const [result, first, longest] of bounds) {
    it.effect(
      `waits ${first / minute} minutes after the first ${result}, twice as long after each more, at most ${longest / hour} hours`,
      () =>
        Effect.gen(function* () {
          let expected = first
          for (let attempts = 0; attempts < 30; attempts++) {
            const delay = yield* delayAfterFailure(result, attempts)
            assert.isTrue(delay >= 0.8 * expected && delay <= 1.2 * expected, `${attempts}: ${delay}`)
            expected = Math.min(longest, expected * 2)
          }
        })
    )
  }

  it.effect("waits as long as the server asked for, and not for ever", () =>
    Effect.gen(function* () {
      assert.isAtLeast(yield* delayAfterFailure("FETCH_ERROR", 0, 3_600), hour)
      assert.isAtMost(yield* delayAfterFailure("FETCH_ERROR", 0, 1e12), day)
      assert.isAtMost(yield* delayAfterFailure("FETCH_ERROR", 0, -5), minute)
    })
  )
})
