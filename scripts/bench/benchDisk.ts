/**
 * What a million observations take on disk, as they are kept now and in other shapes: beside a plain table with a primary key,
 * and the data as packed CSV. Rows come as those of living series do, an hour of each of a hundred series at a time.
 *
 * And what a year that is over takes when it is packed: values with noise, so that they pack as those of a sensor do, read a month at a
 * time as the API reads them.
 *
 * Bytes do not depend on the machine, so one round is enough. What reading a month takes shows what a smaller shape costs.
 */
import { Duration, Effect } from "effect"
import { SqlClient } from "effect/sql"
import { gzipSync } from "node:zlib"
import { PgObservationArchive } from "../../layers/observations/PgObservationArchive.ts"
import { PgObservationPacking } from "../../layers/observations/PgObservationPacking.ts"
import { monthBounds } from "../../src/hilltop/Nzst.ts"
import { ObservationArchive } from "../../src/api/ObservationArchive.ts"
import { BenchDatabase, BenchPostgres, postgresVersion, withoutDeadlines } from "./BenchPostgres.ts"
import { type Figure, spread } from "./Figure.ts"
import { milliseconds } from "./Measure.ts"
import type { GroupResult } from "./Report.ts"

const series = 100
const rows = 1_000_000
/** Of a series: five-minute values of 35 days. */
const perSeries = rows / series
const current = "observations_2026"

/** The rows, in the order in which they come. Fetched a few minutes after the hour. */
const invented = `
  SELECT s AS series_id, at AS observed_at, round(((1000 + 300 * sin(n / 40.0 + s) + (n * 7919 + s * 104729) % 17) / 1000)::numeric, 3) AS value,
    date_trunc('hour', at) + interval '1 hour 7 minutes' AS first_seen_at
  FROM generate_series(0, ${perSeries - 1}) AS n CROSS JOIN generate_series(1, ${series}) AS s
    CROSS JOIN LATERAL (SELECT timestamptz '2026-01-01 00:00+12' + n * interval '5 minutes' AS at) AS t
  ORDER BY n / 12, s, n`

const columns = "series_id, observed_at, value, first_seen_at"

interface Shape {
  readonly name: string
  /** Makes and fills the table of that name. */
  readonly make: (table: string) => ReadonlyArray<string>
  /** A month of one series: what a reader asks for. */
  readonly read: (table: string) => string
}

const month = "timestamptz '2026-01-01 00:00+12' AND timestamptz '2026-01-31 23:59:59+12'"
const plainRead = (table: string) => `
  SELECT observed_at, value, first_seen_at FROM ${table} WHERE series_id = 17 AND observed_at BETWEEN ${month} ORDER BY observed_at`

const fill = (table: string) => `INSERT INTO ${table} (${columns}) ${invented}`
const seconds = (time: string) => `extract(epoch FROM ${time})::int4`

const shapes: ReadonlyArray<Shape> = [
  {
    name: "as they are",
    make: () => [fill("observations")],
    read: plainRead
  },
  {
    name: "the index without the values",
    make: (table) => [
      `CREATE TABLE ${table} (LIKE ${current} INCLUDING DEFAULTS)`,
      `CREATE UNIQUE INDEX ON ${table} (series_id, observed_at, superseded_at) NULLS NOT DISTINCT`,
      fill(table)
    ],
    read: plainRead
  },
  {
    name: "the widest columns first",
    make: (table) => [
      `CREATE TABLE ${table} (observed_at timestamptz NOT NULL, first_seen_at timestamptz NOT NULL, superseded_at timestamptz,
        series_id integer NOT NULL, quality integer, value numeric NOT NULL, qualifier text)`,
      `CREATE UNIQUE INDEX ON ${table} (series_id, observed_at, superseded_at) INCLUDE (first_seen_at, quality, value, qualifier)
        NULLS NOT DISTINCT`,
      fill(table)
    ],
    read: plainRead
  },
  {
    name: "times in seconds, four bytes each",
    make: (table) => [
      `CREATE TABLE ${table} (series_id integer NOT NULL, observed_at integer NOT NULL, first_seen_at integer NOT NULL,
        superseded_at integer, quality integer, value numeric NOT NULL, qualifier text)`,
      `CREATE UNIQUE INDEX ON ${table} (series_id, observed_at, superseded_at) INCLUDE (first_seen_at, quality, value, qualifier)
        NULLS NOT DISTINCT`,
      `INSERT INTO ${table} (${columns}) SELECT series_id, ${seconds("observed_at")}, value, ${seconds("first_seen_at")}
        FROM (${invented}) AS invented`
    ],
    read: (table) => `
      SELECT observed_at, value, first_seen_at FROM ${table} WHERE series_id = 17
        AND observed_at BETWEEN ${seconds("timestamptz '2026-01-01 00:00+12'")} AND ${seconds("timestamptz '2026-01-31 23:59:59+12'")}
      ORDER BY observed_at`
  },
  {
    name: "a row for each month, its columns as arrays",
    make: (table) => [
      `CREATE TABLE ${table} (series_id integer NOT NULL, year_month text NOT NULL, steps int4[] NOT NULL, "values" text NOT NULL,
        seen int4[] NOT NULL, PRIMARY KEY (series_id, year_month))`,
      `INSERT INTO ${table} SELECT series_id, to_char(observed_at AT TIME ZONE '+12', 'YYYY-MM'),
          array_agg(step ORDER BY observed_at), string_agg(value::text, ' ' ORDER BY observed_at), array_agg(late ORDER BY observed_at)
        FROM (SELECT *, ${seconds("observed_at")} - coalesce(lag(${seconds("observed_at")}) OVER one, 0) AS step,
            ${seconds("first_seen_at")} - coalesce(lag(${seconds("first_seen_at")}) OVER one, 0) AS late
          FROM (${invented}) AS invented WINDOW one AS (PARTITION BY series_id, to_char(observed_at AT TIME ZONE '+12', 'YYYY-MM')
            ORDER BY observed_at)) AS stepped GROUP BY 1, 2`
    ],
    read: (table) => `
      SELECT to_timestamp(sum(step) OVER (ORDER BY n)) AS observed_at, value::numeric, to_timestamp(sum(late) OVER (ORDER BY n)) AS first_seen_at
      FROM ${table}, unnest(steps, string_to_array("values", ' '), seen) WITH ORDINALITY AS row (step, value, late, n)
      WHERE series_id = 17 AND year_month = '2026-01'`
  }
]

/** The same of a year that is over: each series walks at random about its wave, to three digits, and has a quality. */
const over = "observations_2023"
const overInvented = `
  INSERT INTO ${over} (series_id, observed_at, value, quality, first_seen_at)
  SELECT s, at, round((1 + 0.3 * sin(n / 400.0 + s) + 0.004 * sum(random() - 0.5) OVER (PARTITION BY s ORDER BY n) + 0.01 * random())::numeric, 3), 600,
    date_trunc('hour', at) + interval '1 hour 7 minutes' + s * interval '613 milliseconds'
  FROM generate_series(0, ${perSeries - 1}) AS n CROSS JOIN generate_series(1, ${series}) AS s
    CROSS JOIN LATERAL (SELECT timestamptz '2023-01-01 00:00+12' + n * interval '5 minutes' AS at) AS t
  ORDER BY n / 12, s, n`
const overMonth = { from: monthBounds("2023-01")!.from, to: monthBounds("2023-01")!.until }

/** What an observation takes, and how long reading a month takes, as rows, with their index built anew, and packed. */
const packedYear = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const archive = yield* ObservationArchive
  const [{ id } = { id: 0 }] = yield* sql<{ id: number }>`
    WITH site AS (INSERT INTO observation_sites (council_id, name) VALUES (1, 'packed') RETURNING id), named AS (
      INSERT INTO observation_sites_measurements (site_id, measurement_name) SELECT id, 'Flow ' || n FROM site, generate_series(1, ${series}::int4) n RETURNING id)
    SELECT min(id) AS id FROM named`
  yield* sql.unsafe("SELECT setseed(0.25)").unprepared
  yield* sql.unsafe(overInvented).unprepared
  yield* sql`UPDATE observations_2023 SET series_id = series_id + ${id - 1}`
  yield* sql`VACUUM (FULL, ANALYZE) observations_2023`.unprepared
  const look = Effect.gen(function* () {
    const [row] = yield* sql<{ bytes: number }>`
      SELECT (pg_total_relation_size('observations_2023') + pg_total_relation_size('observation_packs'))::float8 AS bytes`
    const range = { seriesId: id + 16, ...overMonth, after: undefined, limit: 100_000 }
    const readsAt = (asOf: number | undefined) =>
      Effect.map(
        Effect.replicateEffect(milliseconds(archive.read({ ...range, asOf })), 12),
        (reads) => spread(reads.slice(2)).median
      )
    return {
      bytes: (row?.bytes ?? 0) / rows,
      read: yield* readsAt(undefined),
      readAsOf: yield* readsAt(Date.UTC(2023, 5, 1))
    }
  })
  const asRows = yield* look
  const { giveBack, packSome } = yield* PgObservationPacking(Duration.days(30), { fewInYear: 0, mostInPiece: 200_000 })
  yield* sql`UPDATE observation_packing SET swept_table = ${over}`
  let steps = 0
  const packing = yield* milliseconds(
    Effect.gen(function* () {
      while ((yield* packSome).isMore) steps++
    })
  )
  yield* giveBack
  yield* sql`VACUUM ANALYZE observation_packs`.unprepared
  return { asRows, packed: yield* look, step: packing / steps }
}).pipe(Effect.provide(PgObservationArchive))

const measured = Effect.gen(function* () {
  const { url } = yield* BenchPostgres
  const found = yield* withoutDeadlines(url)(
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const unsafe = <A extends object>(text: string) => sql.unsafe<A>(text).unprepared
      const bytesOf = (table: string) =>
        Effect.map(
          unsafe<{ bytes: number }>(`SELECT pg_total_relation_size('${table}')::float8 AS bytes`),
          ([row]) => (row?.bytes ?? 0) / rows
        )
      yield* unsafe(`CREATE TABLE plain (series_id integer NOT NULL, observed_at timestamptz NOT NULL, value numeric NOT NULL,
        PRIMARY KEY (series_id, observed_at))`)
      yield* unsafe(`INSERT INTO plain SELECT series_id, observed_at, value FROM (${invented}) AS invented`)
      const plain = yield* bytesOf("plain")
      const csv = yield* unsafe<{ text: string }>(`
        SELECT string_agg(concat_ws(',', series_id, to_char(observed_at AT TIME ZONE '+12', 'YYYY-MM-DD"T"HH24:MI:SS'), value),
          E'\\n' ORDER BY observed_at) AS text FROM plain GROUP BY series_id ORDER BY series_id`)
      const packed = gzipSync(csv.map(({ text }) => text).join("\n")).length / rows
      const measuredShapes: Array<{
        readonly name: string
        readonly bytes: number
        readonly reads: ReadonlyArray<number>
      }> = []
      for (const [n, { make, name, read }] of shapes.entries()) {
        const table = `shape_${n}`
        for (const statement of make(table)) yield* unsafe(statement)
        const stored = n === 0 ? current : table
        yield* sql`VACUUM ANALYZE ${sql(stored)}`.unprepared
        const bytes = yield* bytesOf(stored)
        const reads = yield* Effect.replicateEffect(milliseconds(unsafe(read(stored))), 12)
        measuredShapes.push({ name, bytes, reads: reads.slice(2) })
      }
      return { plain, packed, measuredShapes, year: yield* packedYear }
    })
  )
  const { measuredShapes, packed, plain, year } = found
  const asNow = measuredShapes[0]!
  const common = { unit: "bytes", better: "lower", targets: [] } as const
  const figures: ReadonlyArray<Figure> = [
    {
      ...common,
      name: "an observation, as they are",
      yardstick: "packed CSV without the history",
      rounds: [{ figure: asNow.bytes, yardstick: packed }]
    },
    ...measuredShapes.map(({ bytes, name }): Figure => ({
      ...common,
      name: `an observation, ${name}`,
      yardstick: "plain table with a primary key",
      rounds: [{ figure: bytes, yardstick: plain }]
    })),
    ...measuredShapes.slice(1).map(({ name, reads }): Figure => ({
      ...common,
      name: `a month of one series, ${name}`,
      yardstick: "as they are",
      unit: "ms",
      rounds: [{ figure: spread(reads).median, yardstick: spread(asNow.reads).median }]
    })),
    {
      ...common,
      name: "an observation of a year that is over, packed",
      yardstick: "as rows, whose table and index were built anew",
      targets: [{ of: "figure", bound: 41 }],
      rounds: [{ figure: year.packed.bytes, yardstick: year.asRows.bytes }]
    },
    {
      ...common,
      name: "a month of one series of a year that is packed, as the API reads it",
      yardstick: "as rows",
      unit: "ms",
      targets: [{ of: "figure", bound: 50 }],
      rounds: [{ figure: year.packed.read, yardstick: year.asRows.read }]
    },
    {
      ...common,
      name: "the same as it was known at an earlier time",
      yardstick: "as rows",
      unit: "ms",
      targets: [{ of: "figure", bound: 50 }],
      rounds: [{ figure: year.packed.readAsOf, yardstick: year.asRows.readAsOf }]
    },
    {
      ...common,
      name: "packing a month of one series",
      yardstick: "reading it",
      unit: "ms",
      rounds: [{ figure: year.step, yardstick: year.asRows.read }]
    }
  ]
  return { figures, postgres: yield* postgresVersion } satisfies GroupResult
})

export const benchDisk = Effect.provide(measured, BenchDatabase)
