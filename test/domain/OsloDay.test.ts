/** Days begin at 00:00 in Oslo, whatever the process's time zone: the file runs its cases in processes under three. */
import { assert, describe, it } from "@effect/vitest"
import { execFileSync } from "node:child_process"
import { askFrom, osloDate, PlainDate, startOfOsloDay } from "../../src/domain/OsloDay.ts"

const utc = (text: string) => Date.parse(text)

describe("Oslo days", () => {
  it("begin at 23:00 UTC the day before in winter and 22:00 in summer", () => {
    assert.strictEqual(startOfOsloDay(PlainDate.make("2026-01-15")), utc("2026-01-14T23:00:00Z"))
    assert.strictEqual(startOfOsloDay(PlainDate.make("2026-07-15")), utc("2026-07-14T22:00:00Z"))
  })

  it("are 23 and 25 hours long when the clock changes", () => {
    const hours = (a: string, b: string) =>
      (startOfOsloDay(PlainDate.make(b)) - startOfOsloDay(PlainDate.make(a))) / 3_600_000
    assert.strictEqual(hours("2026-03-29", "2026-03-30"), 23)
    assert.strictEqual(hours("2026-10-25", "2026-10-26"), 25)
  })

  it("tell the date at a moment", () => {
    assert.strictEqual(osloDate(utc("2026-01-14T22:59:59Z")), "2026-01-14")
    assert.strictEqual(osloDate(utc("2026-01-14T23:00:00Z")), "2026-01-15")
  })

  it("tell the same date however often, and whatever was asked between", () => {
    for (let hour = 0; hour < 3_000; hour++) {
      const instant = utc("2026-01-01T00:00:00Z") + hour * 3_600_000
      const date = osloDate(instant + 3_599_999)
      assert.strictEqual(date, osloDate(instant))
      const start = startOfOsloDay(date)
      assert.isTrue(start <= instant && instant < start + 25 * 3_600_000)
      assert.strictEqual(osloDate(start), date)
      assert.notStrictEqual(osloDate(start - 1), date)
    }
  })

  it("ask from the earliest unit's start, else from today, and never from a day to come", () => {
    const now = utc("2026-06-10T12:00:00Z")
    const today = utc("2026-06-09T22:00:00Z")
    assert.strictEqual(askFrom(now, undefined), today)
    assert.strictEqual(askFrom(now, PlainDate.make("2026-01-01")), utc("2025-12-31T23:00:00Z"))
    assert.strictEqual(askFrom(now, PlainDate.make("2026-12-24")), today)
  })

  it.each(["UTC", "Pacific/Auckland", "America/Los_Angeles"])("are the same under TZ=%s", (TZ) => {
    const code = `import { PlainDate, startOfOsloDay, osloDate } from ${JSON.stringify(new URL("../../src/domain/OsloDay.ts", import.meta.url).href)};
      console.log(startOfOsloDay(PlainDate.make("2026-07-15")), osloDate(Date.parse("2026-01-14T23:00:00Z")))`
    const output = execFileSync(process.execPath, ["--input-type=module", "--eval", code], {
      env: { ...process.env, TZ },
      encoding: "utf8"
    })
    assert.strictEqual(output.trim(), `${utc("2026-07-14T22:00:00Z")} 2026-01-15`)
  })
})
