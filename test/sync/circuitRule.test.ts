/** When an adapter is doubted, when it is left alone, and how long. */
import { assert, describe, it } from "vitest"
import { afterFailure, afterSilence, type CircuitState, closed, nextRoundIn } from "../../src/sync/circuitRule.ts"

const failing = (...points: ReadonlyArray<string>) => points.reduce(afterFailure, closed)
const ten = Array.from({ length: 10 }, (_, index) => String(index))
const silent = (rounds: number): CircuitState =>
  Array.from({ length: rounds }).reduce((state: CircuitState) => afterSilence(state), failing(...ten))

describe("a circuit", () => {
  it("is in doubt after ten failures in a row, of two accounting points at least", () => {
    assert.strictEqual(failing(...ten.slice(1)).phase, "closed")
    assert.strictEqual(failing(...ten).phase, "doubted")
    assert.strictEqual(failing(...ten.map(() => "a")).phase, "closed")
    assert.strictEqual(failing(...ten.map(() => "a"), "b").phase, "doubted")
  })

  it("is open once a round of probes was not answered, and stays so whatever fails", () => {
    assert.strictEqual(silent(1).phase, "open")
    const open = silent(1)
    assert.strictEqual(afterFailure(open, "a"), open)
  })

  it("is asked after 5, 10, 20 and then every 30 seconds", () => {
    assert.deepStrictEqual(
      [1, 2, 3, 4, 5, 100].map((rounds) => nextRoundIn(silent(rounds))),
      [5, 10, 20, 30, 30, 30]
    )
  })

  it("waits as long as the adapter asks for, up to two minutes", () => {
    assert.strictEqual(nextRoundIn(silent(1), 2), 5)
    assert.strictEqual(nextRoundIn(silent(1), 60), 60)
    assert.strictEqual(nextRoundIn(silent(1), 3600), 120)
  })

  it("is left as it is by probes of a doubt that was answered meanwhile", () => {
    assert.strictEqual(afterSilence(closed), closed)
  })
})
