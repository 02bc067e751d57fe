/** When a task is tried again. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type { Failure } from "../../src/domain/FetchTask.ts"
import { delayAfterFailure, delayAfterSuccess } from "../../src/crawl/RefreshPolicy.ts"

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

describe("the latest data", () => {
  it.effect(
    "are asked for at their own step, more seldom the longer they are silent, and a time in the future is no harm",
    () =>
      Effect.gen(function* () {
        const now = Date.parse("2026-03-01T00:00:00Z")
        const cases: ReadonlyArray<readonly [ReadonlyArray<number>, number]> = [
          [[now - 10 * minute, now - 5 * minute], 5 * minute],
          [[now - 30 * minute, now - 15 * minute], 15 * minute],
          [[now - 2 * hour, now - hour], hour],
          [[now - 3 * day, now - 2 * day], 6 * hour],
          [[now - 10 * day, now - 9 * day], day],
          [[], day],
          [[now + 50 * minute, now + 55 * minute], 5 * minute],
          [[now, now + 365 * day], 6 * hour]
        ]
        for (const [times, expected] of cases) {
          const delay = yield* delayAfterSuccess("MEASUREMENT_DATA_LATEST", now, times)
          assert.isTrue(delay >= 0.95 * expected && delay <= 1.05 * expected, `${delay} for ${expected}`)
        }
      })
  )
})
