/** Hilltop's clock against known moments, and against the platform's own calendar, under several process time zones. */
import { afterEach, assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import {
  formatHilltopTime,
  formatNzst,
  monthBounds,
  monthsBetween,
  parseMowsecs,
  parseNzst,
  yearMonth
} from "../../src/hilltop/Nzst.ts"

const iso = (text: string): number => Date.parse(text)

describe.each(["UTC", "Pacific/Auckland", "America/New_York", "Pacific/Chatham"])("in a process on %s time", (zone) => {
  const before = process.env["TZ"]
  afterEach(() => {
    if (before === undefined) delete process.env["TZ"]
    else process.env["TZ"] = before
  })

  it.each([
    ["2025-01-01T00:05:00", "2025-01-01T00:05:00+12:00"],
    ["2025-01-01 00:05:00", "2025-01-01T00:05:00+12:00"],
    ["2025-01-01T00:05", "2025-01-01T00:05:00+12:00"],
    ["2025-01-01", "2025-01-01T00:00:00+12:00"],
    ["  2025-01-01T00:05:00\n", "2025-01-01T00:05:00+12:00"],
    ["2025-01-01T00:05:00.5", "2025-01-01T00:05:00.500+12:00"],
    ["2025-01-01T00:05:00.123456", "2025-01-01T00:05:00.123+12:00"],
    ["2025-01-01T00:05:00.000", "2025-01-01T00:05:00+12:00"],
    ["2024-12-31T24:00:00", "2025-01-01T00:00:00+12:00"],
    ["2024-02-29T12:00:00", "2024-02-29T12:00:00+12:00"],
    ["1/2/2012", "2012-02-01T00:00:00+12:00"],
    ["23/09/2020 06:07:08", "2020-09-23T06:07:08+12:00"],
    ["23/09/2020 6:07", "2020-09-23T06:07:00+12:00"],
    ["24-Jan-2019 10:00:00", "2019-01-24T10:00:00+12:00"],
    [" 4-FEB-2019 9:30", "2019-02-04T09:30:00+12:00"],
    ["31-dec-2019", "2019-12-31T00:00:00+12:00"],
    ["1880-01-01T00:00:00", "1880-01-01T00:00:00+12:00"],
    ["2682460800", "2025-01-01T00:00:00+12:00"],
    ["2012-03-01T09:00:00+12:00", "2012-03-01T09:00:00+12:00"],
    ["2012-03-01T09:00:00+13:00", "2012-03-01T08:00:00+12:00"],
    ["2012-03-01T09:00:00Z", "2012-03-01T21:00:00+12:00"],
    // Both sides of a change to and from daylight saving: nothing is skipped, nothing comes twice.
    ["2024-09-29T02:30:00", "2024-09-29T02:30:00+12:00"],
    ["2025-04-06T02:30:00", "2025-04-06T02:30:00+12:00"]
  ])("%j is %s", (text, expected) => {
    process.env["TZ"] = zone
    assert.strictEqual(new Intl.DateTimeFormat().resolvedOptions().timeZone, zone)
    const parsed = parseNzst(text)
    assert.strictEqual(parsed, iso(expected))
    assert.strictEqual(parsed === undefined ? "" : formatNzst(parsed), expected)
  })

  it("months are those of NZST, 12 hours ahead of UTC", () => {
    process.env["TZ"] = zone
    assert.strictEqual(yearMonth(iso("2023-07-31T11:59:59Z")), "2023-07")
    assert.strictEqual(yearMonth(iso("2023-07-31T12:00:00Z")), "2023-08")
    // In Auckland, on daylight-saving time, it is already February.
    assert.strictEqual(yearMonth(iso("2024-01-31T11:30:00Z")), "2024-01")
  })
})

it.each([
  "",
  " ",
  "now",
  "????",
  "2025-13-01T00:00:00",
  "2025-00-01T00:00:00",
  "2025-17-01T00:00:00",
  "2025-02-29T00:00:00",
  "2025-04-31",
  "2025-01-32T00:00:00",
  "2025-01-33T00:00:00",
  "2025-01-01T25:00:00",
  "2025-01-01T24:00:01",
  "2025-01-01T00:60:00",
  "2025-01-01T00:00:60",
  "2025-01-01Tab:00:00",
  "2O25-01-01T00:00:00",
  "2025/01/01T00:00:00",
  "31/4/2012",
  "31-Apr-2012",
  "1-Foo-2012",
  "13/13/2012",
  "584",
  "12345678",
  "2025-01-01T00:3",
  "99999999999999999999"
])("%j is no time", (text) => {
  // A day that exists comes first: the day that is remembered between rows must not make a wrong one right.
  for (const before of ["2025-01-01T00:00:00", "2025-02-01T00:00:00", "2026-01-01T00:00:00"]) {
    parseNzst(before)
    assert.isUndefined(parseNzst(text))
  }
})

describe("mowsecs", () => {
  it.each([
    ["0", "1940-01-01T00:00:00+12:00"],
    ["2682460800", "2025-01-01T00:00:00+12:00"],
    ["2682461100", "2025-01-01T00:05:00+12:00"],
    ["2682460800.25", "2025-01-01T00:00:00.250+12:00"],
    ["-86400", "1939-12-31T00:00:00+12:00"]
  ])("%s is %s", (text, expected) => {
    assert.strictEqual(parseMowsecs(text), iso(expected))
  })

  it.each(["", "x", "1e9", "2025-01-01", "999999999999", "--1"])("%j is none", (text) => {
    assert.isUndefined(parseMowsecs(text))
  })
})

describe("months", () => {
  it("between two moments include both ends", () => {
    assert.deepStrictEqual(monthsBetween(iso("2023-11-30T00:00:00+12:00"), iso("2024-02-01T00:00:00+12:00")), [
      "2023-11",
      "2023-12",
      "2024-01",
      "2024-02"
    ])
    assert.deepStrictEqual(monthsBetween(iso("2024-02-29T00:00:00Z"), iso("2024-02-01T00:00:00Z")), ["2024-02"])
  })

  it("between a moment and one in an earlier month are none", () => {
    assert.deepStrictEqual(monthsBetween(iso("2023-03-13T17:48:00+12:00"), iso("2023-02-07T09:42:00+12:00")), [])
  })

  it("have bounds: the first moment, and that of the next month", () => {
    assert.deepStrictEqual(monthBounds("2024-02"), {
      from: iso("2024-02-01T00:00:00+12:00"),
      until: iso("2024-03-01T00:00:00+12:00")
    })
    assert.deepStrictEqual(monthBounds("2023-12")?.until, iso("2024-01-01T00:00:00+12:00"))
    for (const nonsense of ["", "2023", "2023-13", "2023-00", "2023-1", "x"]) assert.isUndefined(monthBounds(nonsense))
  })
})

const Moment = Schema.Int.check(Schema.isBetween({ minimum: -62_167_176_000_000, maximum: 253_402_257_599_999 }))

it.prop(
  "every moment comes back from its text, and the text agrees with the platform's calendar",
  { ms: Moment },
  ({ ms }) => {
    const shifted = new Date(ms + 12 * 3_600_000).toISOString().slice(0, 23).replace(".000", "")
    assert.strictEqual(formatHilltopTime(ms), shifted)
    assert.strictEqual(parseNzst(formatHilltopTime(ms)), ms)
    assert.strictEqual(parseNzst(formatNzst(ms)), ms)
    assert.strictEqual(yearMonth(ms), shifted.slice(0, 7))
    const bounds = monthBounds(yearMonth(ms))
    assert.isTrue(bounds !== undefined && bounds.from <= ms && ms < bounds.until)
  }
)
