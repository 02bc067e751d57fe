/** What other processes of an instance say of themselves is told where that of this one is: by health, and by metrics. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Metric } from "effect"
import { metricsText } from "../../src/api/metricsText.ts"
import { Loops, repeatPass } from "../../src/running/Loop.ts"
import { forgetLoop, forgetLoopsOf, noteLoopsOf } from "../../src/running/loopsElsewhere.ts"
import { allSnapshots, ofProcess, showAlso } from "../../src/running/OtherSnapshots.ts"
import { stuckLoops } from "../../src/running/stuckLoops.ts"

describe("loops of another process", () => {
  it.effect("are stuck as it says, until it says otherwise or is gone", () =>
    Effect.gen(function* () {
      yield* Effect.forkScoped(
        repeatPass({ name: "crawl", pauses: "1 second" }, Effect.void, () => Effect.sleep("1 second"))
      )
      yield* noteLoopsOf("process 2", { crawl: true, "crawl-heartbeat": false })
      yield* noteLoopsOf("process 12", { crawl: true })
      assert.sameMembers(yield* stuckLoops, ["crawl of process 2", "crawl of process 12"])
      yield* forgetLoopsOf("process 2")
      assert.sameMembers(yield* stuckLoops, ["crawl of process 12"])
      yield* noteLoopsOf("process 12", { crawl: false })
      assert.deepStrictEqual(yield* stuckLoops, [])
    }).pipe(Effect.scoped, Effect.provide(Loops.layer))
  )

  it.effect("that are not meant to run any more are stuck no more", () =>
    Effect.gen(function* () {
      yield* noteLoopsOf("process 3", { crawl: true })
      yield* forgetLoop("crawl of process 3")
      assert.deepStrictEqual(yield* stuckLoops, [])
    }).pipe(Effect.provide(Loops.layer))
  )
})

describe("metrics of another process", () => {
  it.effect("stand beside the own ones, in the same family and by its number, for as long as it is known", () =>
    Effect.gen(function* () {
      const counted = Metric.counter("penstock.test.things", { attributes: { unit: "{thing}" }, incremental: true })
      yield* Metric.update(counted, 3)
      const text = Effect.map(allSnapshots, (all) => metricsText(all, "text"))
      const own = (yield* Metric.snapshot).filter(({ id }) => id === "penstock.test.things")
      yield* Effect.scoped(
        Effect.gen(function* () {
          yield* showAlso(() => ofProcess(2, own))
          assert.include(
            yield* text,
            '# TYPE penstock_test_things_total counter\npenstock_test_things_total 3\npenstock_test_things_total{process="2"} 3\n'
          )
        })
      )
      assert.notInclude(yield* text, 'process="2"')
    })
  )
})
