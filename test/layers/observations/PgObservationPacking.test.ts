/**
 * Years that are over, packed: every answer is what it is without, at every time and whatever is corrected later; nobody who reads or
 * writes meanwhile notices; and the room is given back.
 */
import { assert, layer } from "@effect/vitest"
import { Context, Duration, Effect, Fiber, Layer } from "effect"
import { SqlClient } from "effect/sql"
import * as fc from "fast-check"
import { PgHistoryRetention } from "../../../layers/observations/PgHistoryRetention.ts"
import { PgObservationArchive } from "../../../layers/observations/PgObservationArchive.ts"
import { type PieceLimits, PgObservationPacking } from "../../../layers/observations/PgObservationPacking.ts"
import { PgObservationStore } from "../../../layers/observations/PgObservationStore.ts"
import { PgObservationViews } from "../../../layers/observations/PgObservationViews.ts"
import { connectionsTo } from "../../../layers/postgres/PgConnections.ts"
import { ObservationArchive } from "../../../src/api/ObservationArchive.ts"
import { ObservationViews } from "../../../src/api/ObservationViews.ts"
import { Loops } from "../../../src/running/Loop.ts"
import { makePackingRound } from "../../../src/stream/ObservationPacking.ts"
import { ObservationStore, type StoreMessage } from "../../../src/stream/ObservationStore.ts"
import { TestDatabase } from "../../support/TestDatabase.ts"

const world = Layer.mergeAll(PgObservationStore, PgObservationArchive, PgObservationViews, Loops.layer).pipe(
  Layer.provideMerge(TestDatabase.layer)
)
type World = Layer.Success<typeof world>

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
  covers: fc.option(fc.tuple(fc.integer({ min: 0, max: 3 }), fc.integer({ min: 0, max: 3 })), { nil: undefined, freq: 3 }),
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
          const paged: Array<unknown> = []
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

/** Another database with all that the first has. */
const another = Layer.build(Layer.fresh(world))
/** A month of five-minute values in each month of a year, for some series: as a fetch of the next January has them. */
const fill = Effect.fnUntraced(function* (series: number, months: number, step = "5 minutes") {
  const sql = yield* SqlClient.SqlClient
  yield* sql`TRUNCATE observations, observation_packs, observation_months, observation_month_shapes`
  yield* sql`UPDATE observation_packing SET swept_table = '', left_some = false`
  yield* sql`INSERT INTO observation_sites (council_id, name) VALUES (5, 'Awa') ON CONFLICT DO NOTHING`
  yield* sql`
    INSERT INTO observation_sites_measurements (site_id, measurement_name) SELECT s.id, 'Flow ' || n
    FROM observation_sites s, generate_series(1, ${series}::int4) n WHERE council_id = 5 ON CONFLICT DO NOTHING`
  yield* sql.unsafe(`
    INSERT INTO observations_2023 (series_id, observed_at, value, quality, first_seen_at)
    SELECT m.id, at, round((5 + random())::numeric, 3), 600, at + interval '1 hour'
    FROM observation_sites_measurements m JOIN observation_sites s ON s.id = m.site_id,
      generate_series(timestamptz '2023-01-01 00:00+12', timestamptz '2023-01-01 00:00+12' + interval '${months} months' - interval '1 s', '${step}') at
    WHERE s.council_id = 5`)
  return yield* sql<{ id: number }>`
    SELECT m.id FROM observation_sites_measurements m JOIN observation_sites s ON s.id = m.site_id WHERE council_id = 5 ORDER BY m.id`
})
/** A connection of its own. */
const stranger = Effect.gen(function* () {
  const { url } = yield* TestDatabase
  return Context.get(
    yield* Layer.build(Layer.fresh(connectionsTo({ url, applicationName: "penstock-test", maxConnections: 1 }))),
    SqlClient.SqlClient
  )
})

layer(world, { excludeTestServices: true, timeout: 120_000 })("observations of years that are over, packed", (it) => {
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
    120_000
  )
})
