/** What a run of `npm run chaos` takes off the service's times: what the machine lost, and no more of it than lies between them. */
import { expect, it } from "@effect/vitest"
import { Duration, Effect, FileSystem } from "effect"
import { TestClock } from "effect/testing"
import { stallsOf, watchStalls } from "../../scripts/chaos/Stalls.ts"

it("takes off of what was lost the part that lies between two moments", () => {
  const stalls = stallsOf([
    [1_000, 0],
    [1_100, 40],
    [1_200, 40],
    [3_200, 1_940]
  ])
  expect(stalls.between(1_000, 1_100)).toBe(40)
  expect(stalls.between(1_050, 1_200)).toBe(20)
  expect(stalls.between(1_100, 1_200)).toBe(0)
  expect(stalls.between(2_200, 3_200)).toBe(950)
  expect(stalls.between(0, 9_000)).toBe(1_940)
})

it.effect("counts what the system says that this process waited for a processor, up to half of the time", () => {
  let waited = 0
  const system = FileSystem.layerNoop({ readFileString: () => Effect.succeed(`5 ${waited * 1_000_000} 7`) })
  return Effect.gen(function* () {
    const stalls = yield* watchStalls
    const pass = (millis: number, waiting: number) => {
      waited += waiting
      return TestClock.adjust(Duration.millis(millis))
    }
    yield* pass(100, 0)
    yield* pass(100, 30)
    yield* pass(100, 80)
    expect(stalls.between(0, 200)).toBe(30)
    expect(stalls.between(0, 300)).toBe(80)
    expect(stalls.between(0, 100)).toBe(0)
  }).pipe(Effect.scoped, Effect.provide(system))
})
