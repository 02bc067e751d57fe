/**
 * The stretches that a picture of a series is made of: value by value, or from afar, where they are longer than a quarter of a day, from
 * the shapes of months; only months that have none, or change as we speak, are read value by value then.
 */
import { Clock, Effect } from "effect"
import type { SqlClient, Statement } from "effect/sql"
import { monthBounds, monthsBetween } from "../../src/hilltop/Nzst.ts"
import { moments } from "../postgres/statementArrays.ts"
import { writableMillis } from "../postgres/writableValues.ts"
import { valueSources } from "./packStatements.ts"
import { type Grid, monthShapes, quarter } from "./monthShapes.ts"

export const isNumber = "value NOT IN ('NaN', 'Infinity', '-Infinity')"

/** Not through a schema: there may be thousands. */
export interface StretchRow {
  readonly t: number
  readonly least: number | null
  readonly most: number | null
  readonly n: number
  readonly censored: number
  readonly corrected: number
  readonly quality: number | null
  readonly known_from: number | null
  readonly known_to: number | null
}
/** From `first` up to but not including `last`. */
interface Range {
  readonly seriesId: number
  readonly first: number
  readonly last: number
  readonly asOf: number | undefined
}

/** Months whose shapes are made by one statement. */
const madeAtOnce = 12
/** A month that ended less long ago mostly changes yet. */
const settledAfter = 86_400_000
/** The range without these months, in pieces. */
export const rangesWithout = (
  months: ReadonlyArray<string>,
  first: number,
  last: number
): ReadonlyArray<readonly [from: number, until: number]> => {
  const pieces: Array<readonly [number, number]> = []
  let from = first
  for (const month of months.toSorted()) {
    const bounds = monthBounds(month)
    if (bounds === undefined) continue
    if (bounds.from > from) pieces.push([from, bounds.from])
    from = bounds.until
  }
  if (last > from) pieces.push([from, last])
  return pieces
}

/** What two tell of the same stretch. */
const joined = (a: StretchRow, b: StretchRow): StretchRow => ({
  t: a.t,
  least: extreme(Math.min, a.least, b.least),
  most: extreme(Math.max, a.most, b.most),
  n: a.n + b.n,
  censored: a.censored + b.censored,
  corrected: a.corrected + b.corrected,
  quality: extreme(Math.min, a.quality, b.quality),
  known_from: extreme(Math.min, a.known_from, b.known_from),
  known_to: extreme(Math.max, a.known_to, b.known_to)
})
const extreme = (choose: (...all: ReadonlyArray<number>) => number, ...of: ReadonlyArray<number | null>) => {
  const numbers = of.filter((one) => one !== null)
  return numbers.length === 0 ? null : choose(...numbers)
}

/** The conditions of ranges, and of what was known when. */
export const valueConditions = (sql: SqlClient.SqlClient) => {
  const moment = (instant: number) => sql`to_timestamp(${instant}::float8 / 1000)`
  return {
    rangeOf: (seriesId: number, from: number, to: number): Statement.Fragment =>
      sql`series_id = ${seriesId} AND observed_at >= ${moment(from)} AND observed_at < ${moment(to)}`,
    knownAt: (asOf: number | undefined): Statement.Fragment =>
      asOf === undefined
        ? sql`superseded_at IS NULL`
        : sql`(first_seen_at < ${moment(asOf + 1)} AND (superseded_at IS NULL OR superseded_at >= ${moment(asOf + 1)}))`,
    supersededBy: (asOf: number | undefined): Statement.Fragment =>
      asOf === undefined ? sql.literal("true") : sql`superseded_at < ${moment(asOf + 1)}`
  }
}

export const pictureStretches = (sql: SqlClient.SqlClient) => {
  const { knownAt, supersededBy } = valueConditions(sql)
  const { valuesBetween } = valueSources(sql)
  const millis = (column: string) => sql.literal(`(${writableMillis(column)})::float8`)
  const isNumeric = sql.literal(isNumber)
  const shapes = monthShapes(sql)

  /**
   * Value by value. Plan (PostgreSQL 18, a million values in ten years): index-only scans of `observations_current`, year by year, into
   * one hash of the stretches; 10,600 buffers, and 3 s on two busy cores: the time is that of a million rows.
   */
  const readValues = (
    seriesId: number,
    pieces: ReadonlyArray<readonly [from: number, until: number]>,
    asOf: number | undefined,
    key: Statement.Fragment
  ) => {
    const known = knownAt(asOf)
    const values =
      pieces.length === 1
        ? sql`${valuesBetween(seriesId, ...pieces[0]!)} WHERE ${isNumeric}`
        : sql`unnest(${moments(pieces.map(([from]) => from))}, ${moments(pieces.map(([, until]) => until))}) AS piece (piece_from, piece_until)
          CROSS JOIN LATERAL (SELECT * FROM observations_between(${seriesId}, piece_from, piece_until) OFFSET 0) v WHERE ${isNumeric}`
    return sql<StretchRow>`
      SELECT key AS t, least::float8 AS least, most::float8 AS most, n::int4 AS n, censored::int4 AS censored, corrected::int4 AS corrected,
        quality, ${millis("known_from")} AS known_from, ${millis("known_to")} AS known_to
      FROM (SELECT ${key} AS key, min(value) FILTER (WHERE ${known}) AS least, max(value) FILTER (WHERE ${known}) AS most,
          count(*) FILTER (WHERE ${known}) AS n, count(qualifier) FILTER (WHERE ${known}) AS censored,
          count(superseded_at) FILTER (WHERE NOT ${known} AND ${supersededBy(asOf)}) AS corrected,
          min(quality) FILTER (WHERE ${known}) AS quality, min(first_seen_at) AS known_from,
          max(greatest(first_seen_at, superseded_at)) AS known_to
        FROM ${values} GROUP BY 1) stretch ORDER BY key`
  }
  const knownIn = (rows: ReadonlyArray<StretchRow>, from: number | null = null, to: number | null = null) => ({
    from: rows.reduce((least, row) => extreme(Math.min, least, row.known_from), from),
    to: rows.reduce((most, row) => extreme(Math.max, most, row.known_to), to)
  })
  const fromNear = Effect.fnUntraced(function* ({
    asOf,
    first,
    last,
    points,
    seriesId
  }: Range & { readonly points: number | undefined }) {
    const width = points === undefined ? 0 : Math.max(0.001, (last - first) / points / 1000)
    const key =
      points === undefined
        ? sql`date_part('epoch', observed_at)`
        : sql`least(${points - 1}, floor((date_part('epoch', observed_at) - ${first / 1000}::float8) / ${width}::float8))`
    const rows = yield* readValues(seriesId, [[first, last]], asOf, key)
    const timed = points === undefined ? rows : rows.map((row) => ({ ...row, t: first / 1000 + row.t * width }))
    return { rows: timed, width, known: knownIn(rows) }
  })

  /** In stretches of whole quarters of days, from the shapes of the months that lie in the range. Those that have none get one first. */
  const fromAfar = Effect.fnUntraced(function* ({
    asOf,
    first,
    last,
    points,
    seriesId
  }: Range & { readonly points: number }) {
    const origin = Math.floor(first / (1_000 * quarter)) * quarter
    const grid: Grid = { origin, width: Math.ceil((last / 1_000 - origin) / points / quarter) * quarter }
    const whole = monthsBetween(first, last).filter((month) => {
      const bounds = monthBounds(month)
      return bounds !== undefined && bounds.from >= first && bounds.until <= last
    })
    const read = shapes.stretches(seriesId, whole[0], whole.at(-1), asOf, grid)
    const now = yield* Clock.currentTimeMillis
    let found = yield* read
    const lacking = whole.filter(
      (month) => !found.months.includes(month) && monthBounds(month)!.until < now - settledAfter
    )
    if (asOf === undefined && lacking.length > 0) {
      for (let at = 0; at < lacking.length; at += madeAtOnce) {
        yield* shapes.make(seriesId, lacking.slice(at, at + madeAtOnce))
      }
      found = yield* read
    }
    const pieces = rangesWithout(found.months, first, last)
    const values =
      pieces.length === 0
        ? []
        : yield* readValues(
            seriesId,
            pieces,
            asOf,
            sql`floor((date_part('epoch', observed_at) - ${grid.origin}::float8) / ${grid.width}::float8)`
          )
    const rows = new Map<number, StretchRow>()
    for (const row of [...found.rows.map(({ key, ...row }) => ({ ...row, t: key })), ...values]) {
      const other = rows.get(row.t)
      rows.set(row.t, other === undefined ? row : joined(other, row))
    }
    return {
      rows: [...rows.values()]
        .sort((a, b) => a.t - b.t)
        .map((row) => ({ ...row, t: grid.origin + row.t * grid.width })),
      width: grid.width,
      known: knownIn(values, found.known.from, found.known.to)
    }
  })
  return { fromNear, fromAfar }
}
