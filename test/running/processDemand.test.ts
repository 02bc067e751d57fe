/** Another process is started when all that there are have been busy for a while, and one is ended when nobody would miss it. */
import { assert, describe, it } from "@effect/vitest"
import { demandAfter, isAnotherWanted, isOneTooMany, noDemand } from "../../src/running/processDemand.ts"

/** That many processors were had as the loop had work for. */
const loaded = (share: number | undefined) => (share === undefined ? undefined : { loop: share, processor: share })
const after = (looks: number, ...shares: ReadonlyArray<number | undefined>) =>
  Array.from({ length: looks }).reduce<typeof noDemand>((demand) => demandAfter(demand, shares.map(loaded)), noDemand)

describe("another process", () => {
  it("is wanted after three looks at which every one was busy, the only one as well as all of several", () => {
    assert.isFalse(isAnotherWanted(after(2, 0.99)))
    assert.isTrue(isAnotherWanted(after(3, 0.8)))
    assert.isTrue(isAnotherWanted(after(3, 1, 0.9, 0.85)))
  })

  it("is not wanted while one has time, nor after a look at which one had", () => {
    assert.isFalse(isAnotherWanted(after(100, 1, 0.5)))
    assert.isFalse(isAnotherWanted(demandAfter(after(3, 1), [loaded(0.7)])))
  })

  it("is not wanted where the machine has no processor left for those that there are, nor are these too many", () => {
    const starved = Array.from({ length: 200 }).reduce<typeof noDemand>(
      (demand) =>
        demandAfter(demand, [
          { loop: 1, processor: 0.4 },
          { loop: 1, processor: 0.1 }
        ]),
      noDemand
    )
    assert.deepStrictEqual([isAnotherWanted(starved), isOneTooMany(starved)], [false, false])
  })

  it("is wanted although threads beside the loop take a second processor", () => {
    assert.isTrue(isAnotherWanted(demandAfter(after(2, 1), [{ loop: 0.95, processor: 1.6 }])))
  })

  it("is not wanted while one is still starting", () => {
    assert.isFalse(isAnotherWanted(after(100, 1, undefined)))
    assert.isFalse(isOneTooMany(after(1_000, 0, undefined)))
  })

  it("is too many after five minutes in which the others could have done its work in half of their time", () => {
    assert.isFalse(isOneTooMany(after(149, 0.1, 0.1)))
    assert.isTrue(isOneTooMany(after(150, 0.1, 0.1)))
    assert.isFalse(isOneTooMany(after(1_000, 0.3, 0.3)))
    assert.isTrue(isOneTooMany(after(150, 0.3, 0.3, 0.3)))
    assert.isFalse(isOneTooMany(demandAfter(after(200, 0.1, 0.1), [loaded(1), loaded(0.1)])))
  })

  it("is never too many where there is one only", () => {
    assert.isFalse(isOneTooMany(after(1_000, 0)))
  })
})
