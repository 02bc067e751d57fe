/** The merge of timelines: the named cases one by one, then any case against a model that looks at single moments. */
import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import {
  applyChange,
  findOverlap,
  isUnchanged,
  type KeptPeriod,
  mergeTimeline,
  type Period
} from "../../src/domain/Timeline.ts"

const kept = (id: number, value: string, from: number, to?: number): KeptPeriod => ({ id, value, from, to })
const period = (value: string, from: number, to?: number): Period => ({ value, from, to })
const merged = (stored: ReadonlyArray<KeptPeriod>, answer: ReadonlyArray<Period>, asked: number) =>
  applyChange(stored, mergeTimeline(stored, answer, asked)).map(({ from, to, value }) => ({ value, from, to }))

describe("merging a timeline", () => {
  it("writes nothing when the answer says what is kept", () => {
    const stored = [kept(1, "a", 0, 10), kept(2, "b", 10)]
    assert.isTrue(isUnchanged(mergeTimeline(stored, [period("a", 0, 10), period("b", 10)], 5)))
  })

  it("keeps an answer's own start when nothing is stored before it", () => {
    assert.deepStrictEqual(merged([], [period("a", 0)], 5), [period("a", 0, undefined)])
  })

  it("keeps the start of a stored period when the adapter clips to what was asked", () => {
    assert.isTrue(isUnchanged(mergeTimeline([kept(1, "a", 0)], [period("a", 5)], 5)))
  })

  it("merges a switch that was announced, reverted and postponed", () => {
    const before = [kept(1, "a", 0)]
    const announced = [kept(1, "a", 0, 20), kept(2, "b", 20)]
    assert.deepStrictEqual(merged(before, [period("a", 0, 20), period("b", 20)], 5), [
      period("a", 0, 20),
      period("b", 20, undefined)
    ])
    assert.deepStrictEqual(mergeTimeline(announced, [period("a", 0)], 5), {
      remove: [2],
      update: [kept(1, "a", 0, undefined)],
      insert: []
    })
    assert.deepStrictEqual(merged(announced, [period("a", 0, 30), period("b", 30)], 5), [
      period("a", 0, 30),
      period("b", 30, undefined)
    ])
  })

  it("keeps what ended before the time asked", () => {
    const stored = [kept(1, "old", 0, 3), kept(2, "a", 3)]
    assert.deepStrictEqual(merged(stored, [period("b", 5)], 5), [
      period("old", 0, 3),
      period("a", 3, 5),
      period("b", 5, undefined)
    ])
  })

  it("ends what held when an empty timeline empties the time asked", () => {
    assert.deepStrictEqual(merged([kept(1, "a", 0)], [], 5), [period("a", 0, 5)])
    assert.deepStrictEqual(merged([kept(1, "a", 5)], [], 5), [])
  })

  it("corrects the value of a period that keeps its start", () => {
    assert.deepStrictEqual(mergeTimeline([kept(1, "a", 0)], [period("b", 0)], 5), {
      remove: [],
      update: [kept(1, "b", 0, undefined)],
      insert: []
    })
  })

  const horizon = 40
  const timeline = fc.uniqueArray(fc.integer({ min: 0, max: horizon }), { maxLength: 8 }).chain((cuts) => {
    const sorted = [...cuts].sort((a, b) => a - b)
    return fc
      .tuple(
        fc.array(fc.constantFrom("a", "b", "c", undefined), { minLength: sorted.length, maxLength: sorted.length }),
        fc.boolean()
      )
      .map(([values, open]) =>
        sorted.flatMap((from, i) => {
          const value = values[i]
          const to = sorted[i + 1]
          return value === undefined || (to === undefined && !open && i > 0) ? [] : [period(value, from, to)]
        })
      )
  })
  const at = (list: ReadonlyArray<Period>, moment: number) =>
    list.find((each) => each.from <= moment && moment < (each.to ?? Infinity))?.value

  it("agrees with the answer from the time asked on and with history before, whatever is stored, answered, and in which order", () => {
    fc.assert(
      fc.property(
        timeline,
        timeline,
        fc.integer({ min: 0, max: horizon }),
        fc.infiniteStream(fc.nat()),
        (stored, answer, asked, order) => {
          const withIds = stored.map((each, i) => ({ ...each, id: i + 1 }))
          const shuffled = [...answer]
            .map((each) => ({ each, key: order.next().value as number }))
            .sort((a, b) => a.key - b.key)
            .map(({ each }) => each)
          const change = mergeTimeline(withIds, shuffled, asked)
          const result = applyChange(withIds, change)
          assert.isUndefined(findOverlap(result))
          for (const each of result) assert.isTrue(each.from < (each.to ?? Infinity))
          for (let moment = asked; moment <= horizon + 1; moment++) {
            assert.strictEqual(at(result, moment), at(answer, moment), `at ${moment}`)
          }
          const ended = withIds.filter((each) => (each.to ?? Infinity) <= asked)
          for (const each of ended)
            assert.isTrue(result.some((one) => "id" in one && one.id === each.id && one.to === each.to))
          const again = result.map((each, i) => ({ ...each, id: i + 1 }))
          assert.isTrue(isUnchanged(mergeTimeline(again, answer, asked)), "a second merge changes nothing")
        }
      ),
      { numRuns: 2_000 }
    )
  })
})
