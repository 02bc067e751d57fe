/** Messages of observations as JSON: as `JSON.stringify` writes them, but for the digits, which stay those of the source. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as fc from "fast-check"
import {
  formatObservationMessage,
  type Observation,
  type ObservationData,
  parseObservationMessage
} from "../../src/domain/Observation.ts"
import { formatNzst } from "../../src/hilltop/Nzst.ts"

const message = (observations: ReadonlyArray<Observation>, siteName = "Awa"): ObservationData => ({
  type: "OBSERVATION_DATA",
  councilId: 9,
  siteName,
  measurementName: 'Flow "x"',
  observations
})

/** What says what is meant, and takes three times as long. */
const plainly = (one: ObservationData): string =>
  JSON.stringify({
    ...one,
    observations: one.observations.map((observation) => ({ ...observation, value: JSON.rawJSON(observation.value) }))
  })

const digits = fc.stringMatching(/^-?(?:0|[1-9][0-9]{0,20})(?:\.[0-9]{1,20})?(?:[eE][+-]?[0-9]{1,3})?$/)
const times = fc.integer({ min: -62_167_219_200_000, max: 253_402_300_000_000 }).map(formatNzst)
const observation = fc.record(
  {
    observedAt: fc.oneof({ weight: 9, arbitrary: times }, { weight: 1, arbitrary: fc.string({ unit: "binary" }) }),
    value: digits,
    qualifier: fc.constantFrom("<", ">"),
    quality: fc.integer()
  },
  { requiredKeys: ["observedAt", "value"], noNullPrototype: true }
)

describe("a message of observations", () => {
  it("is written as JSON.stringify would write it, whatever is in it", () => {
    fc.assert(
      fc.property(fc.array(observation), fc.string({ unit: "binary" }), (observations, siteName) => {
        const one = message(observations.map(inOrder), siteName)
        assert.strictEqual(formatObservationMessage(one), plainly(one))
      })
    )
  })

  it.effect("is read as it was written, with all its digits", () =>
    Effect.gen(function* () {
      const one = message([
        { observedAt: "2026-01-01T00:00:00+12:00", value: "12.50" },
        { observedAt: "2026-01-01T00:05:00.250+12:00", value: "-0.000000000000000000012", qualifier: "<", quality: 500 }
      ])
      assert.deepStrictEqual(yield* parseObservationMessage(formatObservationMessage(one)), one)
      assert.deepStrictEqual(yield* parseObservationMessage(formatObservationMessage(message([]))), message([]))
    })
  )

  it.each(["", "x", "007", "1.", ".5", "1e", '1,"quality":2', "NaN", "{}", " 1"])(
    "refuses %j for a number",
    (value) => {
      assert.throws(() => formatObservationMessage(message([{ observedAt: "2026-01-01T00:00:00+12:00", value }])))
    }
  )
})

/** Its fields in the order in which they are written. */
const inOrder = ({ observedAt, qualifier, quality, value }: Observation): Observation => ({
  observedAt,
  value,
  ...(qualifier === undefined ? {} : { qualifier }),
  ...(quality === undefined ? {} : { quality })
})
