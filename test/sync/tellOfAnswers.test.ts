/** What the log says of answers that cannot be used: which point and what is wrong, once. */
import { assert, it } from "@effect/vitest"
import { Effect, Layer, Logger, References } from "effect"
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

it.effect(
  "an answer that cannot be used is told once for each point, and again when the fault is another or comes back",
  () =>
    Effect.gen(function* () {
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
      const told = (index: number, ...outcomes: ReadonlyArray<AdapterError | undefined>) =>
        Effect.gen(function* () {
          lines.length = 0
          for (const outcome of outcomes) {
            next = outcome
            yield* Effect.exit(client.fetch(gsrnOf(index), 0))
          }
          return lines.map(
            (line) => `${/WARN|INFO/.exec(line)?.[0]} ${line.includes(gsrnOf(index))} ${/fault \w/.exec(line)?.[0]}`
          )
        }).pipe(
          Effect.provide(
            Layer.merge(
              Logger.layer([Logger.map(Logger.formatJson, (line) => void lines.push(line))]),
              Layer.succeed(References.MinimumLogLevel, "Info")
            )
          )
        )
      const [a, b] = [invalid("fault a"), invalid("fault b")]
      assert.deepStrictEqual(yield* told(1, a, a, gone, a), ["WARN true fault a"])
      assert.deepStrictEqual(yield* told(2, a, a), ["WARN true fault a"])
      assert.deepStrictEqual(yield* told(1, a, b, b), ["WARN true fault b"])
      assert.deepStrictEqual(yield* told(1, undefined, undefined, b), ["INFO true undefined", "WARN true fault b"])
      assert.deepStrictEqual(yield* told(3, undefined, gone, new AccountingPointUnknown()), [])
    })
)
