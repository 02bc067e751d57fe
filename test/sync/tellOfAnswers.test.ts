/** What the log says of answers that cannot be used: which points, what is wrong and when it is over, in a few lines. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Logger, References } from "effect"
import { TestClock } from "effect/testing"
import {
  AccountingPointUnknown,
  AdapterClient,
  type AdapterError,
  AdapterFailure
} from "../../src/sync/AdapterClient.ts"
import { tellOfAnswers } from "../../src/sync/tellOfAnswers.ts"
import { gsrnOf } from "../support/gsrns.ts"

const invalid = (detail: string) => new AdapterFailure({ kind: "invalid", detail })
const gone = new AdapterFailure({ kind: "unavailable", detail: "gone" })

/** A client whose answers are told of, and what was said of each since it was asked last. */
const toldBy = () => {
  const lines: Array<string> = []
  let next: AdapterError | undefined
  const client = tellOfAnswers(
    AdapterClient.of({
      configured: true,
      fetch: (gsrn) =>
        next === undefined
          ? Effect.succeed({
              gsrn,
              timelines: { end_user: [], energy_supplier: [], metering_grid_area: [], energy_direction: [] },
              entityTypes: new Map(),
              location: undefined
            })
          : Effect.fail(next)
    })
  )
  const logging = Layer.merge(
    Logger.layer([Logger.map(Logger.formatJson, (line) => void lines.push(line))]),
    Layer.succeed(References.MinimumLogLevel, "Info")
  )
  const ask = Effect.fnUntraced(function* (index: number, ...outcomes: ReadonlyArray<AdapterError | undefined>) {
    lines.length = 0
    for (const outcome of outcomes) {
      next = outcome
      yield* Effect.exit(client.fetch(gsrnOf(index), 0))
    }
    return [...lines]
  }, Effect.provide(logging))
  const told = (index: number, ...outcomes: ReadonlyArray<AdapterError | undefined>) =>
    Effect.map(ask(index, ...outcomes), (said) =>
      said.map((line) => `${/WARN|INFO/.exec(line)?.[0]} ${line.includes(gsrnOf(index))} ${/fault \w/.exec(line)?.[0]}`)
    )
  const words = (index: number, outcome: AdapterError | undefined) =>
    Effect.map(ask(index, outcome), (said) => said.map((line) => (JSON.parse(line) as { message: string }).message))
  return { told, words }
}

const [a, b] = [invalid("fault a"), invalid("fault b")]

describe("answers that cannot be used", () => {
  it.effect("are told of once for each of a few points, and again when the fault is another or comes back", () =>
    Effect.gen(function* () {
      const { told } = toldBy()
      assert.deepStrictEqual(yield* told(1, a, a, gone, a), ["WARN true fault a"])
      assert.deepStrictEqual(yield* told(2, a, a), ["WARN true fault a"])
      assert.deepStrictEqual(yield* told(1, a, b, b), ["WARN true fault b"])
      assert.deepStrictEqual(yield* told(1, undefined, undefined, b), ["INFO true fault b", "WARN true fault b"])
      assert.deepStrictEqual(yield* told(3, undefined, gone, new AccountingPointUnknown()), [])
      assert.deepStrictEqual(yield* told(2, new AccountingPointUnknown()), ["INFO true fault a"])
    })
  )

  it.effect(
    "about ten thousand points are told of in five lines, one a minute that counts, and one when the last is over",
    () =>
      Effect.gen(function* () {
        const { words } = toldBy()
        const said: Array<string> = []
        for (let n = 0; n < 10_000; n++) said.push(...(yield* words(n, invalid(`end_user[${n % 7}].id: is missing`))))
        assert.lengthOf(said, 5)
        assert.deepStrictEqual(
          said.slice(0, 2),
          [0, 1].map(
            (n) => `adapter: the answer about an accounting point cannot be used: end_user[${n}].id: is missing`
          )
        )
        assert.deepStrictEqual(yield* words(0, invalid("end_user[0].id: is missing")), [])
        yield* TestClock.adjust("61 seconds")
        assert.deepStrictEqual(yield* words(0, invalid("end_user[0].id: is missing")), [
          "adapter: the answers about 9995 more accounting points cannot be used, 10000 in all: end_user[].id: is missing"
        ])
        yield* TestClock.adjust("10 minutes")
        const later: Array<string> = []
        for (let n = 0; n < 10_000; n++) later.push(...(yield* words(n, invalid("end_user[1].id: is missing"))))
        assert.deepStrictEqual(later, [], "nothing is new")
        for (let n = 0; n < 10_000; n++) later.push(...(yield* words(n, undefined)))
        assert.deepStrictEqual(later, [
          "adapter: the answers about 10000 accounting points can be used again, after 661 s: end_user[].id: is missing"
        ])
      })
  )

  it.effect("that come and go, or have a thousand faults, fill no log either", () =>
    Effect.gen(function* () {
      const { words } = toldBy()
      const flapping: Array<string> = []
      for (let n = 0; n < 1_000; n++) flapping.push(...(yield* words(1, n % 2 === 0 ? a : undefined)))
      assert.lengthOf(flapping, 10)
      const many: Array<string> = []
      for (let n = 0; n < 1_000; n++) many.push(...(yield* words(n, invalid(`field${n} is missing`))))
      assert.isAtMost(many.length, 150)
      yield* TestClock.adjust("61 seconds")
      assert.match((yield* words(999, invalid("field999 is missing")))[0]!, /9\d\d in all: other faults$/)
    })
  )

  it.effect("about a point that nobody has asked for since a day hold up no end", () =>
    Effect.gen(function* () {
      const { told } = toldBy()
      yield* told(1, a)
      yield* TestClock.adjust("25 hours")
      assert.deepStrictEqual(yield* told(2, a, undefined), ["WARN true fault a", "INFO true fault a"])
    })
  )
})
