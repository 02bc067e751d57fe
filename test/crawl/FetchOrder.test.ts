/** Which of a server's due tasks go first. */
import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { type Candidate, firstOf, rankOf } from "../../src/crawl/FetchOrder.ts"
import { RequestType } from "../../src/domain/FetchTask.ts"

const candidates = (requestType: RequestType, n: number): ReadonlyArray<Candidate> =>
  Array.from({ length: n }, (_, turn) => ({ requestType, turn, lot: 0.5 }))

/** What a server is asked when so many requests at a time are claimed from what never gets less. */
const asked = (due: ReadonlyArray<Candidate>, requests: number, room: number) =>
  Array.from({ length: requests / room }, (_, claim) =>
    firstOf(due, claim * room, room).map(({ requestType }) => requestType)
  ).flat()

describe("the order of a server's tasks", () => {
  it("gives history an eighth and lists an eighth, however much new data wait", () => {
    const due = RequestType.literals.flatMap((type) => (type === "SITES_LIST" ? [] : candidates(type, 50)))
    for (const room of [1, 2, 4, 8]) {
      const counts = Map.groupBy(asked(due, 80, room), (type) => type)
      assert.strictEqual(counts.get("MEASUREMENT_DATA_LATEST")?.length, 60)
      assert.strictEqual(counts.get("MEASUREMENT_DATA")?.length, 10)
      assert.strictEqual(counts.get("MEASUREMENTS_LIST")?.length, 10)
    }
    assert.isFalse(firstOf(due, 0, 2).some(({ requestType }) => requestType !== "MEASUREMENT_DATA_LATEST"))
  })

  it("takes as many as there is room for, each once, and all kinds in order where there is room for all", () => {
    const due = fc.uniqueArray(
      fc.record({ requestType: fc.constantFrom(...RequestType.literals), turn: fc.nat(20), lot: fc.nat(1000) }),
      { selector: ({ lot, requestType, turn }) => `${requestType} ${turn} ${lot}` }
    )
    fc.assert(
      fc.property(due, fc.nat(100), fc.nat(30), (list, turns, room) => {
        const first = firstOf(list, turns, room)
        assert.strictEqual(first.length, Math.min(room, list.length))
        assert.strictEqual(new Set(first).size, first.length)
        const ranks = firstOf(list.slice(0, 3), 0, 10).map(({ requestType }) => rankOf[requestType])
        assert.deepStrictEqual(ranks, [...ranks].sort())
      })
    )
  })

  it("lets the sources of a server take turns", () => {
    const big = candidates("MEASUREMENT_DATA", 100)
    const small = { requestType: "MEASUREMENT_DATA", turn: 0, lot: 0.9 } as const
    assert.include(firstOf([...big, small], 0, 2), small)
  })
})
