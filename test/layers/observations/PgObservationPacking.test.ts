/**
 * Years that are over, packed: every answer is what it is without, at every time and whatever is corrected later; nobody who reads or
 * writes meanwhile notices; and the room is given back.
 */
import { assert, layer } from "@effect/vitest"
import { Context, Duration, Effect, Fiber, Layer, Ref } from "effect"
import { SqlClient } from "effect/sql"
import * as fc from "fast-check"
import { PgHistoryRetention } from "../../../layers/observations/PgHistoryRetention.ts"
import { PgObservationArchive } from "../../../layers/observations/PgObservationArchive.ts"
import { type PieceLimits, PgObservationPacking } from "../../../layers/observations/PgObservationPacking.ts"
import { PgObservationStore } from "../../../layers/observations/PgObservationStore.ts"
import { PgObservationViews } from "../../../layers/observations/PgObservationViews.ts"
import { connectionsTo } from "../../../layers/postgres/PgConnections.ts"
import { type ArchivedObservation, ObservationArchive } from "../../../src/api/ObservationArchive.ts"
import { ObservationViews } from "../../../src/api/ObservationViews.ts"
import { Loops } from "../../../src/running/Loop.ts"
import { makePackingRound } from "../../../src/stream/ObservationPacking.ts"
import { ObservationStore, type StoreMessage } from "../../../src/stream/ObservationStore.ts"
import { TestDatabase } from "../../support/TestDatabase.ts"

const world = Layer.mergeAll(PgObservationStore, PgObservationArchive, PgObservationViews, Loops.layer).pipe(
  Layer.provideMerge(TestDatabase.layer)
)

const rested = Duration.days(30)
const byMonth: PieceLimits = { fewInYear: 0, mostInPiece: 200_000 }
const byYear: PieceLimits = { fewInYear: 10_000, mostInPiece: 200_000 }

/** A sweep of the years that the tests are about, as if a day had gone by since the last. */
const sweep = Effect.fnUntraced(function* (limits: PieceLimits = byMonth, after = rested) {
  const sql = yield* SqlClient.SqlClient
  const packing = yield* PgObservationPacking(after, limits)
  yield* sql`UPDATE observation_packing SET swept_at = now() - interval '25 hours', swept_table = 'observations_2023', swept_id = 0,
    swept_to = '-infinity', left_some = false`
  let packed = 0
  while (true) {
    const { isMore, values } = yield* packing.packSome
    packed += values
    if (!isMore) return { packed, packing }
  }
})
const packAll = (limits?: PieceLimits) => Effect.map(sweep(limits), ({ packed }) => packed)

const versionsOf = (from: string) =>
  SqlClient.SqlClient.use((sql) =>
    sql.unsafe(`SELECT series_id, observed_at::text, value::text, qualifier, quality, first_seen_at::text, superseded_at::text
      FROM ${from} ORDER BY series_id, observed_at, first_seen_at, superseded_at`)
  )
const inRows = versionsOf("observations")
const anywhere = versionsOf("all_observations")
const packs = SqlClient.SqlClient.use(
  (sql) => sql`
    SELECT series_id AS series, to_char(starts_at AT TIME ZONE interval '12:00', 'YYYY-MM') AS starts,
      to_char(ends_at AT TIME ZONE interval '12:00', 'YYYY-MM') AS ends, cardinality(observed_at) AS values
    FROM observation_packs ORDER BY series_id, starts_at`
)
const sizeOf = (table: string) =>
  SqlClient.SqlClient.use((sql) =>
    Effect.map(
      sql<{ bytes: number }>`SELECT pg_total_relation_size(${table}::regclass)::float8 AS bytes`,
      ([row]) => row!.bytes
    )
  )

let offset = 0
const store = (messages: ReadonlyArray<Omit<StoreMessage, "offset">>, partition = 0) =>
  ObservationStore.use((observations) =>
    observations.store({
      topic: "packed",
      partition,
      messages: messages.map((message) => ({ ...message, offset: offset++ }))
    })
  )

/** Moments around New Year, nine hours apart; seen in February, in any order. */
const newYearsEve = Date.UTC(2023, 11, 30, 8)
const momentOf = (step: number) => newYearsEve + step * 9 * 3_600_000
const seenAtOf = (n: number) => Date.UTC(2024, 1, 1) + n
const anyMessage = fc.record({
  seenAt: fc.integer({ min: 0, max: 9 }),
  measurementName: fc.constantFrom("Flow", "Stage"),
  source: fc.constantFrom(undefined, "http://a", "http://a", "http://b"),
  covers: fc.option(fc.tuple(fc.integer({ min: 0, max: 3 }), fc.integer({ min: 0, max: 3 })), {
    nil: undefined,
    freq: 3
  }),
  observations: fc.array(
    fc.record({
      step: fc.integer({ min: 0, max: 9 }),
      value: fc.constantFrom("1", "1.0", "2", "-0.50", "1234567890123456789.000000000000000000001"),
      qualifier: fc.constantFrom(undefined, undefined, "<" as const),
      quality: fc.constantFrom(undefined, undefined, 200)
    }),
    { minLength: 1, maxLength: 7 }
  )
})
/** What happens one after the other: documents in batches, and what there is is packed in between, or not. */
const anyHistory = fc.array(
  fc.record({
    messages: fc.array(anyMessage, { minLength: 1, maxLength: 4 }),
    packed: fc.constantFrom(undefined, byMonth, byYear, byMonth)
  }),
  { minLength: 1, maxLength: 5 }
)
const messageOf = (
  siteName: string,
  { covers, measurementName, observations, seenAt, source }: typeof anyMessage extends fc.Arbitrary<infer A> ? A : never
): Omit<StoreMessage, "offset"> => ({
  seenAt: seenAtOf(seenAt),
  covers: covers && {
    from: momentOf(Math.min(...observations.map(({ step }) => step)) - covers[0]),
    until: momentOf(Math.max(...observations.map(({ step }) => step)) + covers[1])
  },
  message: {
    type: "OBSERVATION_DATA",
    councilId: 1,
    siteName,
    measurementName,
    ...(source === undefined ? {} : { source }),
    observations: observations.map(({ qualifier, quality, step, value }) => ({
      observedAt: new Date(momentOf(step)).toISOString(),
      value,
      ...(qualifier === undefined ? {} : { qualifier }),
      ...(quality === undefined ? {} : { quality })
    }))
  }
})

/** All that readers can ask about the site, at all times. */
const answersAbout = Effect.fnUntraced(function* (siteName: string) {
  const archive = yield* ObservationArchive
  const views = yield* ObservationViews
  const [listed] = yield* views.sites({ after: 0, limit: 10, council: undefined, name: siteName })
  const site = yield* archive.findSite(listed!.id)
  const series = yield* Effect.forEach(site!.series, ({ id: seriesId }) =>
    Effect.gen(function* () {
      const open = { seriesId, from: undefined, to: undefined, after: undefined }
      const part = { seriesId, from: momentOf(2), to: momentOf(7), after: undefined }
      const known = yield* Effect.forEach([undefined, -1, 0, 2, 5, 8, 9], (n) =>
        Effect.gen(function* () {
          const asOf = n === undefined ? undefined : seenAtOf(n)
          const all = yield* archive.read({ ...open, asOf, limit: 1_000 })
          const paged: Array<ArchivedObservation> = []
          let after: number | undefined
          while (true) {
            const page = yield* archive.read({ ...open, after, asOf, limit: 2 })
            paged.push(...page)
            if (page.length < 2) break
            after = page.at(-1)!.at
          }
          assert.deepStrictEqual(paged, all)
          return {
            all,
            part: yield* archive.read({ ...part, asOf, limit: 1_000 }),
            picture: yield* views.plot({ ...(n === 5 ? part : open), asOf, points: n === 0 ? 2 : 1_000 })
          }
        })
      )
      return {
        known,
        versions: yield* views.versions({ ...open, limit: 1_000 }),
        some: yield* views.versions({ ...part, limit: 1 })
      }
    })
  )
  return { site, series }
})

/** Those of one database are not those of another. */
const withoutIds = (answers: unknown): unknown =>
  JSON.parse(JSON.stringify(answers), (key, value: unknown) => (key === "id" || key === "site_id" ? undefined : value))

/** Another database, of which nothing is packed. */
const another = Layer.build(Layer.fresh(world))
let councils = 100
/** Values of 2023 of new series, from the first of January, and nothing else. */
const fill = Effect.fnUntraced(function* (series: number, months: number, step = "5 minutes") {
  const sql = yield* SqlClient.SqlClient
  const council = ++councils
  yield* sql`TRUNCATE observations, observation_packs, observation_months, observation_month_shapes, observation_strand_values`
  yield* sql`INSERT INTO observation_sites (council_id, name) VALUES (${council}, 'Awa')`
  yield* sql`
    INSERT INTO observation_sites_measurements (site_id, measurement_name)
    SELECT s.id, 'Flow ' || n FROM observation_sites s, generate_series(1, ${series}::int4) n WHERE council_id = ${council} ORDER BY n`
  yield* sql.unsafe(`
    INSERT INTO observations_2023 (series_id, observed_at, value, quality, first_seen_at)
    SELECT m.id, at, round((5 + random())::numeric, 3), 600, at + interval '1 hour'
    FROM observation_sites_measurements m JOIN observation_sites s ON s.id = m.site_id,
      generate_series(timestamptz '2023-01-01 00:00+12', timestamptz '2023-01-01 00:00+12' + interval '${months} months' - interval '1 s', '${step}') at
    WHERE s.council_id = ${council}`)
  return yield* sql<{ id: number }>`
    SELECT m.id FROM observation_sites_measurements m JOIN observation_sites s ON s.id = m.site_id WHERE council_id = ${council} ORDER BY m.id`
})
/** A connection of its own. */
const stranger = Effect.gen(function* () {
  const { url } = yield* TestDatabase
  return Context.get(
    yield* Layer.build(Layer.fresh(connectionsTo({ url, applicationName: "penstock-test", maxConnections: 1 }))),
    SqlClient.SqlClient
  )
})

layer(world, { excludeTestServices: true, timeout: 240_000 })("observations of years that are over, packed", (it) => {
  it.effect(
    "answer as they do unpacked, at every time, whatever comes in after they were packed",
    () =>
      Effect.gen(function* () {
        const reference = yield* another
        const histories = fc.sample(anyHistory, { numRuns: 25, seed: 7 })
        let packed = 0
        for (const [index, history] of histories.entries()) {
          const siteName = `Site ${index} of all`
          for (const { messages, packed: limits } of history) {
            const batch = messages.map((message) => messageOf(siteName, message))
            const at = offset
            const outcome = yield* store(batch, index)
            offset = at
            assert.deepStrictEqual(outcome, yield* store(batch, index).pipe(Effect.provide(reference)))
            if (limits !== undefined) packed += yield* packAll(limits)
          }
          const told = JSON.stringify(history)
          const answers = yield* answersAbout(siteName)
          assert.deepStrictEqual(answers, yield* answersAbout(siteName).pipe(Effect.provide(reference)), told)
        }
        assert.isAbove(packed, 300)
        assert.isAbove((yield* packs).length, 20)
        assert.deepStrictEqual(yield* anywhere, yield* inRows.pipe(Effect.provide(reference)))
        const sql = yield* SqlClient.SqlClient
        const between = `observation_sites_measurements m CROSS JOIN LATERAL observations_between(m.id, '-infinity', 'infinity') o`
        assert.deepStrictEqual(
          yield* versionsOf(`(SELECT o.* FROM ${between}) AS o`),
          yield* inRows.pipe(Effect.provide(reference))
        )
        yield* sql`SELECT unpack_observations(id, '-infinity', 'infinity') FROM observation_sites_measurements`
        assert.deepStrictEqual(yield* packs, [])
        assert.deepStrictEqual(yield* inRows, yield* inRows.pipe(Effect.provide(reference)))
      }).pipe(Effect.scoped),
    240_000
  )

  it.effect("are one row for a year of few values, else for a month, and rows while something was news lately", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const [five, daily, fresh] = yield* fill(3, 2)
      yield* sql`DELETE FROM observations WHERE series_id <> ${five!.id} AND observed_at <> date_trunc('day', observed_at)`
      yield* sql`
        INSERT INTO observation_months (series_id, year_month, seen_at, covers_from, covers_until, day_digests)
        VALUES (${fresh!.id}, '2023-02', now() - interval '29 days', now(), now(), '')`
      const before = yield* inRows
      assert.strictEqual(yield* packAll({ fewInYear: 10_000, mostInPiece: 8_500 }), 28 * 288 + 59)
      assert.deepStrictEqual(yield* packs, [
        { series: five!.id, starts: "2023-02", ends: "2023-03", values: 28 * 288 },
        { series: daily!.id, starts: "2023-01", ends: "2024-01", values: 59 }
      ])
      assert.deepStrictEqual(yield* anywhere, before)
      assert.strictEqual((yield* sql`SELECT FROM observations WHERE series_id = ${fresh!.id}`).length, 59)
      // It has rested a day later, and so many are not too many.
      assert.strictEqual((yield* sweep(byYear, Duration.days(28))).packed, 31 * 288 + 59)
      assert.deepStrictEqual(yield* inRows, [])
      assert.deepStrictEqual(
        (yield* packs).map(({ series, starts }) => [series, starts]),
        [
          [five!.id, "2023-01"],
          [five!.id, "2023-02"],
          [daily!.id, "2023-01"],
          [fresh!.id, "2023-01"]
        ]
      )
      assert.deepStrictEqual(yield* anywhere, before)
      assert.strictEqual(yield* packAll(), 0)
    })
  )

  it.effect("are looked for once a day, a year at a time, and never before a year is over for so long", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      yield* fill(2, 1, "1 hour")
      const [{ age } = { age: 0 }] = yield* sql<{
        age: number
      }>`SELECT (extract(epoch FROM now() - '2024-01-01 00:00+12') / 86400)::float8 AS age`
      const packSome = (days: number) =>
        Effect.flatMap(PgObservationPacking(Duration.days(days)), (packing) => packing.packSome)
      const state = sql`UPDATE observation_packing SET swept_table = '', swept_at = now() - interval '23 hours'`
      yield* state
      assert.deepStrictEqual(yield* packSome(1), { values: 0, isMore: false })
      yield* sql`UPDATE observation_packing SET swept_at = now() - interval '25 hours'`
      let steps = 0
      while ((yield* packSome(age + 0.1)).isMore) steps++
      assert.isAbove(steps, 30)
      assert.deepStrictEqual(yield* packs, [])
      assert.deepStrictEqual(yield* packSome(age - 0.1), { values: 0, isMore: false })
      yield* sql`UPDATE observation_packing SET swept_at = now() - interval '25 hours'`
      while ((yield* packSome(age - 0.1)).isMore);
      assert.strictEqual((yield* packs).length, 2)
      assert.deepStrictEqual(yield* inRows, [])
    })
  )

  it.effect("give their room back once nobody sees their rows any more", () =>
    Effect.gen(function* () {
      yield* fill(4, 2)
      const before = yield* anywhere
      const table = yield* sizeOf("observations_2023")
      const own = yield* stranger
      yield* Effect.gen(function* () {
        yield* own`SET TRANSACTION ISOLATION LEVEL REPEATABLE READ`
        yield* own`SELECT 1 FROM observation_sites LIMIT 1`
        const { packing } = yield* sweep()
        yield* packing.giveBack
        // Whoever began to read before sees what there was, though the years are packed and were cleaned up.
        const seen = yield* own`
          SELECT series_id, observed_at::text, value::text, qualifier, quality, first_seen_at::text, superseded_at::text
          FROM all_observations ORDER BY series_id, observed_at, first_seen_at, superseded_at`
        assert.deepStrictEqual(seen, before)
        assert.isAbove(yield* sizeOf("observations_2023"), 0.9 * table)
      }).pipe(own.withTransaction)
      const { packed, packing } = yield* sweep()
      assert.strictEqual(packed, 0)
      yield* packing.giveBack
      assert.isAtMost(yield* sizeOf("observations_2023"), 32_768)
      assert.isBelow(yield* sizeOf("observation_packs"), table / 8)
      assert.deepStrictEqual(yield* anywhere, before)
      yield* packing.giveBack
    }).pipe(Effect.scoped)
  )

  it.effect("are seen once by whoever reads while they are packed and unpacked", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const [{ id } = { id: 0 }] = yield* fill(1, 3, "10 minutes")
      const archive = yield* ObservationArchive
      const from = Date.UTC(2022, 11, 31, 12)
      const range = { seriesId: id, from, to: from + 90 * 86_400_000, after: undefined, limit: 100_000 }
      let reads = 0
      const reader = yield* Effect.forkChild(
        Effect.forever(
          Effect.gen(function* () {
            const [current, known, [counted]] = yield* Effect.all(
              [
                archive.read({ ...range, asOf: undefined }),
                archive.read({ ...range, asOf: Date.UTC(2023, 5, 1) }),
                sql<{
                  n: number
                }>`SELECT count(*)::int4 AS n FROM all_observations WHERE series_id = ${id} AND superseded_at IS NULL`
              ],
              { concurrency: 3 }
            )
            assert.deepStrictEqual([current.length, known.length, counted?.n], [90 * 144, 90 * 144, 90 * 144])
            reads++
          })
        )
      )
      for (let round = 0; round < 4; round++) {
        yield* packAll()
        assert.strictEqual((yield* packs).length, 3)
        yield* sql`SELECT unpack_observations(${id}, '-infinity', 'infinity')`
        assert.strictEqual((yield* packs).length, 0)
      }
      assert.isUndefined(reader.pollUnsafe())
      yield* Fiber.interrupt(reader)
      assert.isAbove(reads, 3)
    })
  )

  it.effect("end as they would have, whoever stores while they are packed", () =>
    Effect.gen(function* () {
      const reference = yield* another
      const messages = fc.sample(anyMessage, { numRuns: 60, seed: 3 }).map((one) => messageOf("Busy", one))
      const first = offset
      const isStored = yield* Ref.make(false)
      const packer = yield* Effect.forkChild(
        Effect.gen(function* () {
          let packed = 0
          while (!(yield* Ref.get(isStored))) packed += yield* packAll()
          return packed
        })
      )
      for (const message of messages) yield* store([message], 77)
      yield* Ref.set(isStored, true)
      assert.isAbove(yield* Fiber.join(packer), 0)
      offset = first
      for (const message of messages) yield* store([message], 77).pipe(Effect.provide(reference))
      const answers = Effect.map(answersAbout("Busy"), withoutIds)
      assert.deepStrictEqual(yield* answers, yield* answers.pipe(Effect.provide(reference)))
    }).pipe(Effect.scoped)
  )

  it.effect("are what each of two sources says, though both say in one batch what was packed of nobody", () =>
    Effect.gen(function* () {
      const reference = yield* another
      const said = (source: "http://a" | "http://b" | undefined, seenAt: number) =>
        messageOf("Two", {
          seenAt,
          measurementName: "Flow",
          source,
          covers: [0, 0],
          observations: [1, 2].map((step) => ({ step, value: "1", qualifier: undefined, quality: undefined }))
        })
      yield* packAll()
      const batches = [[said(undefined, 0)], [said("http://a", 1), said("http://b", 2)]]
      const storeAll = Effect.fnUntraced(function* (isPacked: boolean) {
        for (const batch of batches) {
          yield* store(batch, 88)
          if (isPacked) assert.strictEqual(yield* packAll(), 2)
        }
        const sql = yield* SqlClient.SqlClient
        const strands = yield* sql`
          SELECT source, observed_at::text, value::text, first_seen_at::text FROM observation_strands s JOIN observation_strand_values v ON v.series_id = s.id
          WHERE s.series_id = (SELECT m.id FROM observation_sites_measurements m JOIN observation_sites o ON o.id = m.site_id WHERE name = 'Two') ORDER BY 1, 2`
        return { strands, answers: withoutIds(yield* answersAbout("Two")) }
      })
      const packed = yield* storeAll(true)
      const unpacked = yield* storeAll(false).pipe(Effect.provide(reference))
      assert.strictEqual(packed.strands.length, 4)
      assert.deepStrictEqual(packed, unpacked)
    }).pipe(Effect.scoped)
  )

  it.effect("are whole wherever the one who packs them is killed, and another goes on from there", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      yield* fill(3, 3, "1 hour")
      const before = yield* anywhere
      yield* sql`CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$`
      const points = [
        ["DELETE", "observations_2023"],
        ["INSERT", "observation_packs"],
        ["UPDATE", "observation_sites_measurements"],
        ["UPDATE", "observation_packing"]
      ] as const
      yield* sql`UPDATE observation_packing SET swept_table = 'observations_2023', swept_id = 0, swept_to = '-infinity'`
      const packing = yield* PgObservationPacking(rested, byMonth)
      for (const [statement, table] of points) {
        assert.strictEqual((yield* packing.packSome).values > 0, true)
        yield* sql.unsafe(`CREATE TRIGGER die AFTER ${statement} ON ${table} FOR EACH STATEMENT EXECUTE FUNCTION die()`)
        const there = (yield* packs).length
        assert.strictEqual((yield* Effect.flip(packing.packSome))._tag, "StoreUnavailable")
        assert.strictEqual((yield* packs).length, there)
        assert.deepStrictEqual(yield* anywhere, before)
        yield* sql.unsafe(`DROP TRIGGER die ON ${table}`)
      }
      while ((yield* packing.packSome).isMore);
      assert.strictEqual((yield* packs).length, 9)
      assert.deepStrictEqual(yield* inRows, [])
      assert.deepStrictEqual(yield* anywhere, before)
      yield* sql`DROP FUNCTION die`
    })
  )

  it.effect("pass over a series that is being written, and take what was inserted by hand into the pack", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const [busy, free] = yield* fill(2, 1, "1 hour")
      const own = yield* stranger
      yield* own.withTransaction(
        Effect.gen(function* () {
          yield* own`SELECT FROM observation_sites_measurements WHERE id = ${busy!.id} FOR NO KEY UPDATE`
          assert.strictEqual(yield* packAll(), 31 * 24)
        })
      )
      assert.strictEqual((yield* inRows).length, 31 * 24)
      assert.strictEqual(yield* packAll(), 31 * 24)
      const insert = (at: string) => sql`
        INSERT INTO observations (series_id, observed_at, value, first_seen_at) VALUES (${free!.id}, ${at}::timestamptz, 77, now())`
      assert.strictEqual((yield* Effect.flip(insert("2023-01-05 00:00:00+12"))).reason._tag, "UniqueViolation")
      assert.strictEqual((yield* packs).length, 2)
      yield* insert("2023-01-05 00:07:00+12")
      assert.strictEqual((yield* packs).length, 1)
      assert.strictEqual((yield* inRows).length, 31 * 24 + 1)
      // Rows of a series that is none belong to nobody who could lock it.
      yield* sql`INSERT INTO observations (series_id, observed_at, value, first_seen_at) VALUES (2147483647, '2023-01-01Z', 1, now())`
      assert.strictEqual(yield* packAll(), 31 * 24 + 1)
      assert.strictEqual((yield* inRows).length, 1)
      yield* sql`DELETE FROM observations`
    }).pipe(Effect.scoped)
  )

  it.effect("hold up nothing where a value lies in a pack and beside it", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const [spoilt, sound] = yield* fill(2, 1, "1 hour")
      yield* packAll()
      yield* sql`INSERT INTO observations_2023 (series_id, observed_at, value, first_seen_at)
        VALUES (${spoilt!.id}, '2023-01-05 00:00:00+12', 1, now()), (${sound!.id}, '2023-01-05 00:07:00+12', 1, now())`
      assert.strictEqual(yield* packAll(), 31 * 24 + 1)
      assert.strictEqual((yield* inRows).length, 1)
    })
  )

  it.effect("let go of their history where it is kept for a time, and of no current value", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const [{ id } = { id: 0 }] = yield* fill(1, 1, "1 hour")
      yield* sql`
        INSERT INTO observations (series_id, observed_at, value, first_seen_at, superseded_at)
        SELECT series_id, observed_at, -n, first_seen_at - n * interval '1 day', now() - (100 - 35 * n) * interval '1 day'
        FROM observations, generate_series(0, 1) n`
      yield* sql`INSERT INTO observations (series_id, observed_at, value, first_seen_at, superseded_at)
        VALUES (${id}, '2023-03-01 00:00+12', 5, now() - interval '200 days', now() - interval '100 days')`
      yield* sql`
        INSERT INTO observation_months (series_id, year_month, seen_at, covers_from, covers_until, day_digests)
        SELECT ${id}::int4, m, '2023-02-01', now(), now(), '' FROM unnest(ARRAY['2023-01', '2023-02']) m`
      const kept = yield* versionsOf(
        "(SELECT * FROM observations WHERE superseded_at IS NULL OR superseded_at > now() - interval '80 days') o"
      )
      yield* packAll()
      const { removeSome } = yield* PgHistoryRetention(Duration.days(80))
      yield* removeSome
      yield* sql`UPDATE observation_history SET sweeping_since = now() - interval '2 hours'`
      let removed = 0
      while (true) {
        const some = yield* removeSome
        removed += some.removed
        if (!some.isMore) break
      }
      assert.strictEqual(removed, 31 * 24 + 1)
      assert.deepStrictEqual(yield* anywhere, kept)
      assert.deepStrictEqual(yield* inRows, [])
      assert.strictEqual((yield* packs).length, 1)
      assert.deepStrictEqual(yield* sql`SELECT year_month AS month, version FROM observation_months ORDER BY 1`, [
        { month: "2023-01", version: 1 },
        { month: "2023-02", version: 0 }
      ])
      yield* sql`UPDATE observation_history SET complete_since = NULL, sweeping_since = NULL`
    })
  )

  it.effect("are packed by rounds that give back their room", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      yield* fill(2, 2, "1 hour")
      yield* sql`UPDATE observation_packing SET swept_table = 'observations_2023', swept_id = 0, swept_to = '-infinity', left_some = false`
      const round = makePackingRound(yield* PgObservationPacking(rested))
      while (yield* round);
      assert.deepStrictEqual(yield* inRows, [])
      assert.isBelow(yield* sizeOf("observations_2023"), 65_536)
    })
  )
})
