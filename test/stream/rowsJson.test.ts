/** Rows as JSON: the very text that the message makes of the observations they stand for. */
import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { formatObservationMessage, type Observation, type ObservationData } from "../../src/domain/Observation.ts"
import { DataColumns } from "../../src/hilltop/DataColumns.ts"
import type { DataRow } from "../../src/hilltop/HilltopDocument.ts"
import { formatNzst } from "../../src/hilltop/Nzst.ts"
import { rowsJson } from "../../src/stream/rowsJson.ts"

const message = (observations: ReadonlyArray<Observation>): ObservationData => ({
  type: "OBSERVATION_DATA",
  councilId: 9,
  siteName: "Awa",
  measurementName: "Flow",
  observations
})
const observationOf = ({ observedAt, qualifier, quality, value }: DataRow): Observation => ({
  observedAt: formatNzst(observedAt),
  value,
  ...(qualifier === undefined ? {} : { qualifier }),
  ...(quality === undefined ? {} : { quality })
})

const digits = fc.stringMatching(/^-?(?:0|[1-9][0-9]{0,20})(?:\.[0-9]{1,20})?(?:[eE][+-]?[0-9]{1,3})?$/)
const someDay = { min: Date.UTC(2025, 0, 1), max: Date.UTC(2025, 0, 3) }
const times = fc.oneof(
  fc.integer({ min: -62_167_219_200_000, max: 253_402_300_000_000 }),
  fc.integer({ min: someDay.min / 1_000, max: someDay.max / 1_000 }).map((seconds) => seconds * 1_000),
  fc.integer(someDay)
)
const row: fc.Arbitrary<DataRow> = fc.record(
  { observedAt: times, value: digits, qualifier: fc.constantFrom("<" as const, ">" as const), quality: fc.integer() },
  { requiredKeys: ["observedAt", "value"], noNullPrototype: true }
)

describe("rows as JSON", () => {
  it("are what the message makes of their observations, whatever their times and values", () => {
    fc.assert(
      fc.property(fc.array(row, { maxLength: 30 }), (rows) => {
        const plainly = formatObservationMessage(message(rows.map(observationOf)))
        assert.strictEqual(formatObservationMessage(message([]), rowsJson(DataColumns.of(rows))), plainly)
      })
    )
  })

  it("may be more than there is room for at first, one document after the other", () => {
    const rows = (count: number) =>
      Array.from({ length: count }, (_, n): DataRow => ({ observedAt: someDay.min + n * 1_000, value: String(n) }))
    for (const count of [3, 50_000, 4]) {
      assert.deepStrictEqual(
        JSON.parse(rowsJson(DataColumns.of(rows(count)))),
        rows(count).map(({ observedAt, value }) => ({ observedAt: formatNzst(observedAt), value: Number(value) }))
      )
    }
  })

  it("are refused where one has a value that is no number", () => {
    for (const value of ["", "five", "0x10", "1 2", '1,"quality":3', "--1", "1-2"])
      assert.throws(() => rowsJson(DataColumns.of([{ observedAt: 0, value }])))
  })
})
