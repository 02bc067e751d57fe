/** Times to the microsecond, which a number of milliseconds holds as its fraction. */
import { assert, it } from "@effect/vitest"
import { Option } from "effect"
import { formatPreciseInstant, microsOf, parsePreciseInstant } from "../../src/domain/Instant.ts"

it.each([
  ["2026-01-01T00:00:00Z", "2026-01-01T00:00:00.000000Z"],
  ["2026-01-01T00:00:00.123456Z", "2026-01-01T00:00:00.123456Z"],
  ["2026-01-01T02:00:00.000999+02:00", "2026-01-01T00:00:00.000999Z"],
  ["2026-01-01T00:00:00.1234569Z", "2026-01-01T00:00:00.123456Z"],
  ["2026-01-01T00:00:00.999999999Z", "2026-01-01T00:00:00.999999Z"],
  ["1969-12-31T23:59:59.123456Z", "1969-12-31T23:59:59.123456Z"],
  ["2199-12-31T23:59:59.999999Z", "2199-12-31T23:59:59.999999Z"]
])("%s is read and written as %s", (text, written) => {
  assert.strictEqual(formatPreciseInstant(Option.getOrThrow(parsePreciseInstant(text))), written)
})

it("every microsecond of a millisecond is another one", () => {
  const all = Array.from({ length: 1000 }, (_, micro) =>
    microsOf(Option.getOrThrow(parsePreciseInstant(`2026-11-29T10:00:00.123${String(micro).padStart(3, "0")}Z`)))
  )
  assert.deepStrictEqual(
    all,
    Array.from({ length: 1000 }, (_, micro) => all[0]! + micro)
  )
})

it.each([
  "2026-01-01T00:00:00.123456",
  "2026-02-30T00:00:00.123456Z",
  "2026-01-01T00:00:00.Z",
  "2026-01-01T24:00:00Z",
  "2026-01-01T23:60:00Z",
  "2026-01-01T23:59:60Z",
  "2026-01-01T00:00:00+24:00",
  "2026-01-01T00:00:00-99:99",
  ""
])("%s is no time", (text) => {
  assert.isTrue(Option.isNone(parsePreciseInstant(text)))
})
