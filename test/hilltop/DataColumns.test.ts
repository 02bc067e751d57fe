/** Rows as columns: the same rows, whatever they say and however many there are. */
import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { DataColumns, GrowingColumns } from "../../src/hilltop/DataColumns.ts"
import type { DataRow } from "../../src/hilltop/HilltopDocument.ts"

const row: fc.Arbitrary<DataRow> = fc.record(
  {
    observedAt: fc.integer(),
    value: fc.stringMatching(/^-?[0-9]{1,30}(?:\.[0-9]{1,30})?$/),
    qualifier: fc.constantFrom("<" as const, ">" as const),
    quality: fc.integer()
  },
  { requiredKeys: ["observedAt", "value"], noNullPrototype: true }
)

describe("columns", () => {
  it("hold the rows they were made of, and any of them in another order", () => {
    fc.assert(
      fc.property(fc.array(row, { maxLength: 60 }), fc.array(fc.nat()), (rows, picked) => {
        const columns = DataColumns.of(rows)
        assert.strictEqual(columns.length, rows.length)
        assert.deepStrictEqual([...columns], rows)
        const order = rows.length === 0 ? [] : picked.map((n) => n % rows.length)
        assert.deepStrictEqual(
          [...columns.pick(order)],
          order.map((at) => rows[at])
        )
      })
    )
  })

  it("take values from codes as from text", () => {
    const codes = new TextEncoder().encode("<I1>12.50</I1>")
    const growing = new GrowingColumns()
    growing.add(1, "7")
    growing.addCodes(2, codes, 4, 9)
    assert.deepStrictEqual(
      [...growing.columns()],
      [
        { observedAt: 1, value: "7" },
        { observedAt: 2, value: "12.50" }
      ]
    )
  })

  it("are written as JSON as a list of rows", () => {
    const rows = [{ observedAt: 1, value: "0.10", qualifier: "<" as const }]
    assert.strictEqual(JSON.stringify(DataColumns.of(rows)), JSON.stringify(rows))
  })
})
