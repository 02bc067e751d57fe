/** Pieces become one array, whether they are few or many, and its memory can be given back. */
import { assert, describe, it } from "@effect/vitest"
import { CollectedBytes } from "../../../layers/hilltop/CollectedBytes.ts"

const small = 100_000
const most = 5_000_000

/** Pieces of all lengths that differ from each other, so many bytes in all. */
const pieces = (total: number): Array<Uint8Array> => {
  const list: Array<Uint8Array> = []
  for (let n = 0, left = total; left > 0; n++) {
    const piece = new Uint8Array(Math.min(left, 1 + ((n * 7919) % 65_536))).fill(n % 251)
    list.push(piece)
    left -= piece.length
  }
  return list
}

const collect = (list: ReadonlyArray<Uint8Array>): CollectedBytes => {
  const collected = new CollectedBytes(small, most)
  for (const piece of list) collected.add(piece)
  return collected
}

describe("collected bytes", () => {
  it.each([0, 1, small, small + 1, 1_234_567, most])("are all of %d, in order", (total) => {
    const list = pieces(total)
    const collected = collect(list)
    assert.strictEqual(collected.length, total)
    assert.isTrue(Buffer.concat(list).equals(collected.bytes()))
  })

  it("may all come in one piece", () => {
    const whole = new Uint8Array(most).fill(7)
    assert.isTrue(Buffer.from(whole).equals(collect([whole]).bytes()))
  })

  it("are empty once they are freed, when they were many", () => {
    const collected = collect(pieces(most))
    const bytes = collected.bytes()
    collected.free()
    collected.free()
    assert.strictEqual(bytes.length, 0)
  })
})
