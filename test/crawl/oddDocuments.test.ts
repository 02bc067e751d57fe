/** Documents that are right but for something odd in them: what becomes of it. */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { formatHilltopTime } from "../../src/hilltop/Nzst.ts"
import { crawledWorld, htsUrl } from "./crawledWorld.ts"

const minute = 60_000
const now = Date.parse("2026-02-20T12:00:00+12:00")
const latest = `${htsUrl}?Service=Hilltop&Request=GetData&Site=Awa&Measurement=Rainfall&TimeInterval=P35D/now`
const details = { siteName: "Awa", measurementName: "Rainfall", measurement: "Rainfall", item: 1 }
const document = (rows: string, items = [1]) =>
  `<Hilltop><Agency>Council</Agency><Measurement SiteName="Awa"><DataSource Name="Rainfall" NumItems="${items.length}">` +
  `<TSType>StdSeries</TSType>${items.map((n) => `<ItemInfo ItemNumber="${n}"/>`).join("")}</DataSource>` +
  `<Data DateFormat="Calendar" NumItems="${items.length}">${rows}</Data></Measurement></Hilltop>`
const row = (time: string, cells: string) => `<E><T>${time}</T>${cells}</E>\n`
const live = (until: number, count = 50) =>
  Array.from({ length: count }, (_, i) =>
    row(formatHilltopTime(until - (count - 1 - i) * 5 * minute), `<I1>${i % 7}</I1>`)
  ).join("")
const far = row("2036-02-20T12:00:00", "<I1>3</I1>")

const arranged = Effect.gen(function* () {
  yield* TestClock.setTime(now)
  const world = yield* crawledWorld
  yield* world.add("MEASUREMENT_DATA_LATEST", latest, details)
  return world
})

it.effect(
  "a row of a year to come neither slows a live series nor is its newest, and its history says that it is there",
  () =>
    Effect.gen(function* () {
      const { run, stored, task } = yield* arranged
      for (const time of [now, now + 5 * minute, now + 5 * minute]) {
        yield* TestClock.setTime(time)
        yield* run(latest, document(live(time) + far))
        // Every few minutes, as its values come.
        assert.isAtMost(task(latest).nextFetchAt, time + 10 * minute)
        assert.deepInclude(task(latest).history.at(-1), { newest: formatHilltopTime(time) })
      }
      assert.deepInclude(task(latest).history[1], { ahead: 1 })
      assert.strictEqual(task(latest).history[2]?.result, "UNCHANGED")
      const series = yield* stored("Awa", "Rainfall")
      assert.deepInclude(series, { lastObservedAt: now + 5 * minute, count: 52 })
    })
)

it.effect("an item that the document does not have is an error, and nothing of the series is lost", () =>
  Effect.gen(function* () {
    const { run, stored, task } = yield* arranged
    yield* run(latest, document(live(now, 3)))
    const other = document(row("2026-02-20T12:05:00", "<I2>1</I2><I3>2</I3>").repeat(3), [2, 3])
    assert.deepStrictEqual(yield* run(latest, other), [])
    const { detail, result } = task(latest).history.at(-1)!
    assert.deepStrictEqual([result, detail], ["PARSE_ERROR", "data without the item 1 that was asked for"])
    assert.strictEqual((yield* stored("Awa", "Rainfall"))?.count, 3)
    // One that is there and empty is a row that says that it has no value.
    yield* run(latest, document(row("2026-02-20T12:05:00", "<I1/><I2>1</I2>"), [1, 2]))
    assert.strictEqual(task(latest).history.at(-1)?.result, "SUCCESS")
  })
)

it.effect("two rows of one time in another order are no correction", () =>
  Effect.gen(function* () {
    const { run, task } = yield* arranged
    const [one, two] = [row("2026-02-20T10:00:00", "<I1>1</I1>"), row("2026-02-20T10:00:00", "<I1>2</I1>")]
    yield* run(latest, document(one + two))
    assert.deepStrictEqual(yield* run(latest, document(two + one)), [])
    assert.deepInclude(task(latest).history.at(-1), { result: "UNCHANGED", revised: false })
  })
)
