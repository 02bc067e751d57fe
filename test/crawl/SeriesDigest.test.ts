/**
 * Change detection on series: tables for the cases one can name, and random series, edits and windows against a model that
 * compares the rows themselves.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { compareSeries, formatSeriesDigest, parseSeriesDigest, seriesDigest } from "../../src/crawl/SeriesDigest.ts"
import { formatHilltopTime } from "../../src/hilltop/Nzst.ts"
import { seriesRowsOf } from "../support/seriesRowsOf.ts"

const about = (header: string) => ({ header, context: "0123456789abcdef", closed: true })

interface Row {
  readonly at: number
  readonly cells: string
  readonly gap?: boolean
}

const minute = 60_000
const hour = 60 * minute
const day = 24 * hour
const start = Date.parse("2026-03-01T00:00:00+12:00")

const textOf = (rows: ReadonlyArray<Row>, gapAtEnd = false): string =>
  `<?xml version="1.0" ?>\n<Hilltop>\n<Agency>A</Agency>\n<Measurement SiteName="S">\n<DataSource Name="D" NumItems="1">\n` +
  `</DataSource>\n<Data DateFormat="Calendar" NumItems="1">\n` +
  rows
    .map(({ at, cells, gap }) => `${gap === true ? "<Gap/>\n" : ""}<E><T>${formatHilltopTime(at)}</T>${cells}</E>\n`)
    .join("") +
  `${gapAtEnd ? "<Gap/>\n" : ""}</Data>\n</Measurement>\n</Hilltop>\n`

const cut = (rows: ReadonlyArray<Row>, gapAtEnd = false) => seriesRowsOf(textOf(rows, gapAtEnd))

const value = (n: number) => `<I1>${n}</I1>`
/** A five-minute series. */
const series = (from: number, count: number, step = 5 * minute): ReadonlyArray<Row> =>
  Array.from({ length: count }, (_, i) => ({ at: from + i * step, cells: value(i % 17) }))

const length = 35 * day
const inWindow = (rows: ReadonlyArray<Row>, now: number) => rows.filter(({ at }) => at >= now - length && at <= now)

/** How the document of `after` differs from that of `before`, with the digest kept in between as text. */
const compared = Effect.fnUntraced(function* (
  before: ReadonlyArray<Row>,
  after: ReadonlyArray<Row>,
  options: {
    /** When the second document was asked for, of a window; else it is a month. */
    readonly now?: number
    readonly reach?: number
    readonly header?: string
    readonly gapAtEnd?: boolean
  } = {}
) {
  const { header = "h", now, reach = 3 * hour } = options
  const digest = seriesDigest(yield* cut(before), about("h"), now === undefined ? undefined : reach)
  const kept = parseSeriesDigest(formatSeriesDigest(digest))
  assert.deepStrictEqual(kept, digest)
  return compareSeries(digest, yield* cut(after, options.gapAtEnd), about(header), now && now - length)
})

const equal = { unchanged: true, added: 0, revised: false }

describe("what a month means", () => {
  const month = series(start, 40)
  const changed = (index: number, row: Partial<Row>) => month.with(index, { ...month[index]!, ...row })
  const cases: ReadonlyArray<readonly [string, ReadonlyArray<Row>, object]> = [
    ["the same", month, equal],
    ["a new value", [...month, { at: start + day, cells: value(1) }], { unchanged: false, added: 1, revised: false }],
    ["a corrected value", changed(7, { cells: value(99) }), { unchanged: false, added: 0, revised: true }],
    ["the first value corrected", changed(0, { cells: value(99) }), { unchanged: false, added: 0, revised: true }],
    ["the last value corrected", changed(39, { cells: value(99) }), { unchanged: false, added: 0, revised: true }],
    [
      "another quality",
      changed(7, { cells: `${value(7)}<Q1>400</Q1>` }),
      { unchanged: false, added: 0, revised: true }
    ],
    ["a value gone", month.toSpliced(7, 1), { unchanged: false, added: 0, revised: true }],
    ["the first value gone", month.slice(1), { unchanged: false, added: 0, revised: true }],
    ["the last value gone", month.slice(0, -1), { unchanged: false, added: 0, revised: true }],
    [
      "a value filled in",
      month.toSpliced(7, 0, { at: start + 31 * minute, cells: value(1) }),
      { unchanged: false, added: 0, revised: true }
    ],
    ["a gap", changed(7, { gap: true }), { unchanged: false, added: 0, revised: true }],
    ["a time twice", month.toSpliced(7, 0, month[7]!), { unchanged: false, added: 0, revised: true }],
    ["everything gone", [], { unchanged: false, added: 0, revised: true }]
  ]
  for (const [name, after, change] of cases) {
    it.effect(`${name}`, () =>
      Effect.map(compared(month, after), (found) => assert.deepStrictEqual(found, change as never))
    )
  }

  it.effect(
    "takes another order of rows for the same, also of those of one time, and another value among them for a correction",
    () =>
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* compared(month, month.toReversed()), equal)
        const twice = [...month, { at: month[39]!.at, cells: value(50) }]
        const swapped = [...month.slice(0, 39), twice[40]!, twice[39]!]
        assert.deepStrictEqual(yield* compared(twice, swapped), equal)
        assert.isTrue((yield* compared(twice, swapped.with(40, { ...swapped[40]!, cells: value(51) }))).revised)
      })
  )

  it.effect("takes a gap at the end for a change, and another header", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* compared(month, month, { gapAtEnd: true }), { ...equal, unchanged: false })
      assert.deepStrictEqual(yield* compared(month, month, { header: "other units" }), {
        unchanged: false,
        added: 0,
        revised: true
      })
    })
  )

  it.effect("takes an empty month that stays empty for the same, and its first values for new", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* compared([], []), equal)
      assert.deepStrictEqual(yield* compared([], month), { unchanged: false, added: 40, revised: false })
    })
  )
})

describe("what a moving window means", () => {
  const now = start + 36 * day
  const all = series(start, 36 * 288)
  const moved = (by: number, after: ReadonlyArray<Row> = all, before: ReadonlyArray<Row> = all) =>
    compared(inWindow(before, now), inWindow(after, now + by), { now: now + by })
  const first = inWindow(all, now)[0]!.at
  const without = (at: number) => all.filter((row) => row.at !== at)
  const corrected = (at: number) => all.map((row) => (row.at === at ? { at, cells: value(99) } : row))

  it.effect("is unchanged when it only lost its oldest rows", () =>
    Effect.gen(function* () {
      for (const by of [0, 1, 5 * minute, 17 * minute, hour, 2 * hour + 59 * minute]) {
        assert.deepStrictEqual(yield* moved(by), equal, `${by}`)
      }
    })
  )

  it.effect("is changed by what comes, and by what changes or goes anywhere inside it", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* moved(hour, [...all, { at: now + 2 * minute, cells: value(3) }]), {
        unchanged: false,
        added: 1,
        revised: false
      })
      const revised = { unchanged: false, added: 0, revised: true }
      for (const at of [first + 65 * minute, first + 70 * minute, first + 10 * day, now - 5 * minute]) {
        assert.deepStrictEqual(yield* moved(hour, without(at)), revised)
        assert.deepStrictEqual(yield* moved(hour, corrected(at)), revised)
      }
      // The very first row of the window: whether it left is a matter of milliseconds, what it says is not.
      assert.deepStrictEqual(yield* moved(hour, corrected(first + hour)), revised)
    })
  )

  it.effect("is unchanged however fast its oldest rows go: where it begins is for the server to say", () =>
    Effect.gen(function* () {
      for (const lost of [1, 2, 50, 100]) {
        const from = first + lost * 5 * minute
        const after = all.filter(({ at }) => at >= from)
        assert.deepStrictEqual(yield* moved(0, after), equal, `${lost}`)
        const next = { at: now + minute, cells: value(3) }
        assert.deepStrictEqual(yield* moved(hour, [...after, next]), { ...equal, unchanged: false, added: 1 })
      }
      const few = series(now - day, 10)
      for (const lost of [1, 5, 9]) assert.deepStrictEqual(yield* moved(0, few.slice(lost), few), equal, `${lost}`)
      assert.isTrue((yield* moved(0, [], few)).revised)
      assert.isTrue((yield* moved(0, few.slice(3).toSpliced(2, 1), few)).revised)
    })
  )

  it.effect("counts as changed when it moved further than its edge was kept for", () =>
    Effect.map(moved(9 * hour), ({ revised, unchanged }) => assert.isTrue(revised && !unchanged))
  )

  it.effect("that begins within the rows of one time has lost some of them from within", () =>
    Effect.gen(function* () {
      const alike = (count: number) => Array.from({ length: count }, () => ({ at: start, cells: value(1) }))
      const after = (lost: number) => [...alike(500 - lost), ...series(start + minute, 10)]
      assert.isTrue((yield* compared(after(0), after(7), { now: start + day })).revised)
    })
  )

  it.effect("does not take a single old row in the middle for one that left", () =>
    Effect.gen(function* () {
      const sparse = [{ at: now - 15 * day, cells: value(1) }]
      assert.isTrue((yield* moved(day, [], sparse)).revised)
      assert.deepStrictEqual(yield* moved(21 * day, [], sparse), equal)
      assert.deepStrictEqual(yield* moved(21 * day, [{ at: now + 20 * day, cells: value(2) }], sparse), {
        unchanged: false,
        added: 1,
        revised: false
      })
    })
  )

  it.effect("lets a gap leave with the row before it", () =>
    Effect.gen(function* () {
      const gap = all.map((row) => (row.at === first + 10 * minute ? { ...row, gap: true } : row))
      const after = inWindow(gap, now + 10 * minute).map((row, i) => (i === 0 ? { at: row.at, cells: row.cells } : row))
      assert.deepStrictEqual(yield* compared(inWindow(gap, now), after, { now: now + 10 * minute }), equal)
    })
  )

  it.effect("keeps 100 to 400 rows of an edge, 11 bytes each", () =>
    Effect.gen(function* () {
      const rows = yield* cut(series(start, 35 * 1440, minute))
      assert.isAtMost(formatSeriesDigest(seriesDigest(rows, about("0123456789abcdef"), 30 * day)).length, 6_200)
      const hourly = yield* cut(series(start, 35 * 24, hour))
      assert.isAtMost(formatSeriesDigest(seriesDigest(hourly, about("0123456789abcdef"), 4 * hour)).length, 1_800)
    })
  )
})

describe("random series, edits and windows", () => {
  const Case = Schema.Struct({
    steps: Schema.Array(Schema.Literals([1, 5, 5, 5, 60, 0, 700])).check(Schema.isMinLength(1), Schema.isMaxLength(60)),
    span: Schema.Int.check(Schema.isBetween({ minimum: 10, maximum: 4_000 })),
    moves: Schema.Array(Schema.Literals([0, 1, 5, 17, 60, 300])).check(Schema.isMinLength(1), Schema.isMaxLength(6)),
    edits: Schema.Array(
      Schema.Struct({
        kind: Schema.Literals(["add", "correct", "remove", "gap", "none", "none"]),
        where: Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 0.999 }))
      })
    ).check(Schema.isMaxLength(6)),
    ahead: Schema.Literals([0, 0, 60])
  })

  it.effect.prop(
    "are called unchanged when nothing but their oldest rows went, and never else",
    { scenario: Case },
    ({ scenario }) =>
      Effect.gen(function* () {
        const length = scenario.span * minute
        let world: ReadonlyArray<Row> = scenario.steps.map((_, i) => ({
          at: start + scenario.steps.slice(0, i + 1).reduce<number>((sum, each) => sum + each, 0) * minute,
          cells: value(i)
        }))
        let now = world.at(-1)!.at + minute
        const offset = scenario.ahead * minute
        /** Which of the rows of one time a gap stands before makes no difference. */
        const visible = () => {
          const rows = world.filter(({ at }) => at >= now + offset - length)
          return rows.map((row, i): Row => {
            const isFirst = i === 0 || rows[i - 1]!.at !== row.at
            return { ...row, gap: isFirst && rows.some(({ at, gap }) => at === row.at && gap === true) }
          })
        }
        const first = yield* cut(visible())
        let digest = seriesDigest(first, about("h"), 120 * minute)
        let known = visible()
        for (const [turn, move] of scenario.moves.entries()) {
          now += move * minute
          const edit = scenario.edits[turn]
          if (edit !== undefined && edit.kind !== "none") {
            const at = Math.floor(edit.where * world.length)
            const row = world[at]
            if (edit.kind === "add") world = world.concat({ at: now, cells: value(1000 + turn) })
            else if (row === undefined) world = []
            else if (edit.kind === "remove") world = world.toSpliced(at, 1)
            else if (edit.kind === "correct") world = world.with(at, { ...row, cells: value(2000 + turn) })
            else world = world.with(at, { ...row, gap: true })
          }
          const seen = visible()
          const rows = yield* cut(seen)
          const change = compareSeries(digest, rows, about("h"), now - length)
          // The model: nothing is new when what is there are the newest of the rows that were there.
          const rest = known.slice(known.length - seen.length)
          const same = (a: Row, b: Row, i: number) =>
            a.at === b.at && a.cells === b.cells && (i === 0 || (a.gap ?? false) === (b.gap ?? false))
          const lost = known.length - seen.length
          const isCut = lost <= 0 || known[lost - 1]!.at !== seen[0]?.at
          const isRest = lost >= 0 && isCut && seen.every((row, i) => same(rest[i]!, row, lost === 0 ? i + 1 : i))
          if (seen.length > 0) assert.strictEqual(change.unchanged, isRest, JSON.stringify({ turn, change }))
          else if (known.some(({ at }) => at >= now - length + 2 * hour)) assert.isFalse(change.unchanged)
          digest = seriesDigest(rows, about("h"), 120 * minute)
          known = seen
        }
      }),
    { arbitrary: { runs: 2_000 } }
  )
})
