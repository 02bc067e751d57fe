/**
 * Pictures from afar say what all values say, read one by one: whatever was corrected, removed or written by hand since the shapes of their
 * months were made, and at whatever time it was known.
 */
import { assert, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { PgObservationStore } from "../../../layers/observations/PgObservationStore.ts"
import { PgObservationViews } from "../../../layers/observations/PgObservationViews.ts"
import { ObservationViews, type PlotQuery, type PlotView } from "../../../src/api/ObservationViews.ts"
import { formatNzst, monthBounds, monthsBetween } from "../../../src/hilltop/Nzst.ts"
import { ObservationStore } from "../../../src/stream/ObservationStore.ts"
import { TestDatabase } from "../../support/TestDatabase.ts"

const step = 15 * 60_000
const months = monthsBetween(monthBounds("2025-03")!.from, monthBounds("2025-12")!.from)
const bounds = (month: string) => monthBounds(month)!
const begin = bounds("2025-03").from
const seen = (day: number) => Date.UTC(2026, 0, day)

let offset = 0
/** Stores a document of a month, with a value for each step that `value` has one for. */
const store = Effect.fnUntraced(function* (month: string, seenAt: number, value: (at: number) => string | undefined) {
  const { from, until } = bounds(month)
  const observations = Array.from({ length: (until - from) / step }, (_, n) => from + n * step).flatMap((at) => {
    const text = value(at)
    return text === undefined
      ? []
      : [
          {
            observedAt: formatNzst(at),
            value: text,
            quality: at % 7 === 0 ? 200 : 600,
            ...(at % 11 === 0 ? { qualifier: "<" as const } : {})
          }
        ]
  })
  return yield* ObservationStore.use(({ store: keep }) =>
    keep({
      topic: "pictures",
      partition: 0,
      messages: [
        {
          offset: offset++,
          seenAt,
          covers: { from, until: until - 1 },
          message: {
            type: "OBSERVATION_DATA",
            councilId: 1,
            siteName: "Awa",
            measurementName: "Stage",
            units: "m",
            observations
          }
        }
      ]
    })
  )
})
/** A river with a gap of nine days. */
const level = (at: number): string | undefined =>
  at > bounds("2025-06").from && at < bounds("2025-06").from + 9 * 86_400_000
    ? undefined
    : (10 * Math.sin((at - begin) / 3e8) + Math.sin((at - begin) / 1e7)).toFixed(3)

interface Version {
  readonly at: number
  readonly value: number
  readonly qualifier: string | null
  readonly quality: number | null
  readonly first: number
  readonly superseded: number | null
}

/** The picture as it should be, of all versions there are. */
const expected = Effect.fnUntraced(function* (shown: PlotView, { asOf, from, to }: PlotQuery) {
  const sql = yield* SqlClient.SqlClient
  const all = yield* sql<Version>`
    SELECT (extract(epoch FROM observed_at) * 1000)::float8 AS at, value::float8 AS value, qualifier, quality,
      (extract(epoch FROM first_seen_at) * 1000)::float8 AS first, (extract(epoch FROM superseded_at) * 1000)::float8 AS superseded
    FROM observations WHERE series_id = 1 ORDER BY observed_at`
  const within = all.filter(({ at }) => at >= (from ?? -Infinity) && at < (to ?? Infinity))
  const isKnown = ({ first, superseded }: Version) =>
    asOf === undefined ? superseded === null : first < asOf + 1 && (superseded === null || superseded >= asOf + 1)
  const width = shown.bucket_seconds!
  const rows = shown.t.map((t, index) => {
    const those = within.filter(({ at }) => at / 1000 >= t && at / 1000 < t + width)
    const known = those.filter(isKnown)
    const numbers = known.map(({ value }) => value)
    const qualities = known.flatMap(({ quality }) => quality ?? [])
    return shown.n[index] === 0 && known.length === 0
      ? [t, null, null, 0, 0, shown.corrected[index], null]
      : [
          t,
          Math.min(...numbers),
          Math.max(...numbers),
          known.length,
          known.filter(({ qualifier }) => qualifier !== null).length,
          those.filter(
            (one) => !isKnown(one) && one.superseded !== null && (asOf === undefined || one.superseded < asOf + 1)
          ).length,
          qualities.length === 0 ? null : Math.min(...qualities)
        ]
  })
  const changes = within.flatMap(({ first, superseded }) => [first, superseded ?? first])
  return { rows, values: within.filter(isKnown).length, known: [Math.min(...changes), Math.max(...changes)] }
})

const sees = Effect.fnUntraced(function* (what: string, more: Partial<PlotQuery> = {}) {
  const query = { seriesId: 1, from: undefined, to: undefined, asOf: undefined, points: 100, ...more }
  const shown = yield* ObservationViews.use(({ plot }) => plot(query))
  assert.isDefined(shown, what)
  assert.isTrue(shown!.thinned, what)
  assert.strictEqual(shown!.bucket_seconds! % 21_600, 0, `${what}: from afar`)
  assert.isAtMost(shown!.n.filter((n) => n > 0).length, query.points, what)
  const { known, rows, values } = yield* expected(shown!, query)
  const { censored, corrected, max, min, n, quality, t } = shown!
  assert.deepStrictEqual(
    t.map((at, index) => [at, min[index], max[index], n[index], censored[index], corrected[index], quality[index]]),
    rows,
    what
  )
  assert.strictEqual(shown!.values, values, what)
  assert.deepStrictEqual([shown!.known_from, shown!.known_to], known, what)
  return shown!
})
const validShapes = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const rows = yield* sql<{ month: string }>`
    SELECT year_month AS month FROM observation_month_shapes s JOIN observation_months m USING (series_id, year_month, version) ORDER BY 1`
  return rows.map(({ month }) => month)
})

layer(Layer.merge(PgObservationStore, PgObservationViews).pipe(Layer.provideMerge(TestDatabase.layer)), {
  excludeTestServices: true,
  timeout: 60_000
})("a picture from afar", (it) => {
  it.effect(
    "says what all values say",
    () =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        for (const month of months) yield* store(month, seen(1), level)
        assert.deepStrictEqual(yield* validShapes, months, "made with the first documents")
        const whole = yield* sees("the whole")
        assert.include(whole.n, 0, "the gap is seen")
        yield* sees("a part", { from: begin + 20 * 86_400_000 + 1, to: bounds("2025-12").from + 20 * 86_400_000 })
        yield* sees("few points", { points: 10 })

        yield* store("2025-05", seen(1), level)
        yield* store("2025-05", seen(2), level)
        assert.deepStrictEqual(yield* validShapes, months, "what says nothing new leaves them as they are")
        const peak = bounds("2025-05").from + 100 * step
        yield* store("2025-05", seen(3), (at) => (at === peak ? "99" : at === peak + step ? undefined : level(at)))
        assert.notInclude(yield* validShapes, "2025-05", "what was corrected is read anew")
        const corrected = yield* sees("after a correction")
        assert.strictEqual(Math.max(...corrected.max.map(Number)), 99, "no peak is lost")
        assert.include(yield* validShapes, "2025-05")
        for (const day of [1, 2, 3, 4]) yield* sees(`as it was known on day ${day}`, { asOf: seen(day) })
        yield* sees("a part as it was known before", { asOf: seen(2), from: begin + 86_400_000 })

        yield* sql`UPDATE observations SET value = 77 WHERE series_id = 1 AND observed_at = to_timestamp(${(bounds("2025-08").from + 40 * step) / 1000}::float8)`
        yield* sql`DELETE FROM observations WHERE series_id = 1 AND observed_at = to_timestamp(${bounds("2025-09").from / 1000}::float8)`
        yield* sql`INSERT INTO observations (series_id, observed_at, value, first_seen_at)
          VALUES (1, to_timestamp(${(bounds("2025-10").from + 1000) / 1000}::float8), -55, '2026-01-05T00:00:00Z')`
        assert.deepStrictEqual(
          yield* validShapes,
          months.filter((month) => !["2025-08", "2025-09", "2025-10"].includes(month)),
          "what was written by hand is read anew"
        )
        const byHand = yield* sees("what was written by hand")
        assert.deepStrictEqual([Math.min(...byHand.min.map(Number)), Math.max(...byHand.max.map(Number))], [-55, 99])
        yield* sql`DELETE FROM observation_month_shapes`
        yield* sees("without shapes as it was known", { asOf: seen(2) })
        assert.deepStrictEqual(yield* validShapes, [])
        yield* sees("without shapes")
        // The first and the last month are not whole in the range.
        assert.isAtLeast((yield* validShapes).length, months.length - 2)
      }),
    60_000
  )
})
