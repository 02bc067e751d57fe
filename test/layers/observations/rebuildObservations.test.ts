/**
 * A rebuild of the observations from the raw topic, beside a service that goes on: the table that a reader ends with who
 * starts from nothing, under the ids there were, and none of what comes meanwhile missing or twice.
 */
import { assert, layer } from "@effect/vitest"
import { PgClient } from "@effect/sql-pg"
import { Deferred, Duration, Effect, Fiber, Layer, Schedule } from "effect"
import { DatabasePlace } from "../../../layers/postgres/Database.ts"
import { PgObservationArchive } from "../../../layers/observations/PgObservationArchive.ts"
import { PgObservationPacking } from "../../../layers/observations/PgObservationPacking.ts"
import { PgObservationRebuild } from "../../../layers/observations/PgObservationRebuild.ts"
import { PgObservationStore } from "../../../layers/observations/PgObservationStore.ts"
import { PgTopicRetention } from "../../../layers/topics/PgTopicRetention.ts"
import { PgTopics } from "../../../layers/topics/PgTopics.ts"
import { SaxesXmlScanner } from "../../../layers/hilltop/SaxesXmlScanner.ts"
import { ObservationArchive } from "../../../src/api/ObservationArchive.ts"
import { Loops } from "../../../src/running/Loop.ts"
import { makeRetentionRound } from "../../../src/running/retentionRounds.ts"
import { KafkaSink, type OutgoingRecord } from "../../../src/stream/KafkaSink.ts"
import { MappingStage, mapperGroup } from "../../../src/stream/mappingStage.ts"
import { ObservationStage, storeGroup } from "../../../src/stream/observationStage.ts"
import { ObservationRebuild } from "../../../src/stream/ObservationRebuild.ts"
import { rebuildObservations, type RebuildOptions } from "../../../src/stream/rebuildObservations.ts"
import { streamTopics } from "../../../src/stream/streamTopics.ts"
import { TopicReader } from "../../../src/stream/TopicReader.ts"
import { dataRecord, observationsTopic, rawTopic, siteListRecord } from "../../stream/rawDocuments.ts"
import { TestDatabase } from "../../support/TestDatabase.ts"

const topics = { rawTopic, observationsTopic }
const place = Layer.effect(
  DatabasePlace,
  Effect.map(TestDatabase, ({ url }) => DatabasePlace.of({ url, description: "a test's", psql: undefined }))
)
const services = Layer.mergeAll(
  PgTopics({ topics: streamTopics(topics) }),
  PgObservationStore,
  PgObservationRebuild,
  PgObservationArchive,
  SaxesXmlScanner,
  Loops.layer
).pipe(Layer.provideMerge(place), Layer.provideMerge(TestDatabase.layer))

/** Fetch after fetch of a window that slides over New Year; values are corrected, removed and brought back. */
const documents = (councilId: number, from: number, until: number): ReadonlyArray<OutgoingRecord> =>
  Array.from({ length: until - from }, (_, n) => {
    const fetch = from + n
    const at = Date.UTC(2026, 0, 10) + fetch * 60_000
    const data = ["Awa", "Hutt River"].flatMap((siteName) =>
      ["Flow", "Stage"].map((measurementName) => {
        const rows = Array.from({ length: 40 }, (_, row) => {
          const hour = fetch + row
          const time = new Date(Date.UTC(2025, 11, 31, 0) + hour * 3_600_000).toISOString().slice(0, 19)
          return [time, `${hour}.${hour % 5 === fetch % 3 ? fetch : 0}0`] as const
        }).filter((_, row) => row === 0 || row === 39 || (row + fetch) % 7 > 0)
        return dataRecord({ councilId, at, siteName, measurementName, rows })
      })
    )
    return [siteListRecord(councilId, at, ["Awa", "Hutt River", `Site ${fetch}`]), ...data]
  }).flat()

const send = (records: ReadonlyArray<OutgoingRecord>) => KafkaSink.use((sink) => sink.send(records))
const settled = Effect.gen(function* () {
  const reader = yield* TopicReader
  const raw = yield* reader.lag({ topic: rawTopic, group: mapperGroup })
  return raw + (yield* reader.lag({ topic: observationsTopic, group: storeGroup }))
}).pipe(
  Effect.repeat({ until: (left) => left === 0, schedule: Schedule.spaced("20 millis") }),
  Effect.timeout("30 seconds")
)

/** The stages, until the scope closes. */
const running = Layer.build(Layer.fresh(Layer.merge(MappingStage(topics), ObservationStage(topics))))

/** All that is kept, under the ids it is kept under. */
const everything = Effect.gen(function* () {
  const sql = yield* PgClient.PgClient
  return {
    rows: yield* sql`
      SELECT series_id, observed_at::text, value::text, first_seen_at::text, superseded_at::text FROM observations
      ORDER BY series_id, observed_at, first_seen_at`,
    months: yield* sql`
      SELECT series_id, year_month, seen_at::text, covers_from::text, covers_until::text, is_complete
      FROM observation_months ORDER BY series_id, year_month`,
    series: yield* sql`
      SELECT id, site_id, measurement_name, units, first_observed_at::text, last_observed_at::text,
        observation_count::text AS count
      FROM observation_sites_measurements ORDER BY id`,
    sites: yield* sql`
      SELECT id, council_id, name, easting, northing, projection, located_at::text FROM observation_sites ORDER BY id`
  }
})
/** What a fault of ours might have done. */
const spoil = Effect.gen(function* () {
  const sql = yield* PgClient.PgClient
  yield* sql`DELETE FROM observations WHERE extract(minute FROM first_seen_at)::int % 3 = 0`
  yield* sql`UPDATE observations SET value = value + 1 WHERE superseded_at IS NULL AND series_id % 2 = 0`
  yield* sql`UPDATE observation_sites_measurements SET observation_count = 5, first_observed_at = NULL, units = 'x'`
  yield* sql`UPDATE observation_sites SET easting = 0, projection = 'x' WHERE id % 2 = 0`
})
const schemas = PgClient.PgClient.use((sql) => sql`SELECT nspname FROM pg_namespace WHERE nspname LIKE 'observation%'`)

/** With their indexes and settings: what a later migration finds. */
const tables = PgClient.PgClient.use(
  (sql) => sql`
    SELECT c.relname AS name, c.relkind, pg_get_expr(c.relpartbound, c.oid) AS bounds, c.reloptions::text AS options,
      (SELECT array_agg(pg_get_indexdef(indexrelid) ORDER BY indexrelid::regclass::text)::text FROM pg_index
        WHERE indrelid = c.oid) AS indexes,
      (SELECT array_agg(pg_get_constraintdef(oid) ORDER BY conname)::text FROM pg_constraint
        WHERE conrelid = c.oid) AS constraints,
      (SELECT array_agg(pg_get_triggerdef(oid) ORDER BY tgname)::text FROM pg_trigger
        WHERE tgrelid = c.oid AND NOT tgisinternal) AS triggers
    FROM pg_class c WHERE c.relname LIKE 'observation%' AND c.relkind IN ('r', 'p') ORDER BY c.relname`
)

const loseLock = PgClient.PgClient.use(
  (sql) => sql`
    SELECT pg_terminate_backend(pid, 5000) FROM pg_locks JOIN pg_stat_activity USING (pid)
    WHERE locktype = 'advisory' AND granted AND datname = current_database()`
).pipe(Effect.orDie)

const options: RebuildOptions = {
  rawTopic,
  fresh: false,
  dropMissing: false,
  onBegin: () => Effect.void,
  onProgress: () => Effect.void
}

layer(services, { excludeTestServices: true })("a rebuild of the observations", (it) => {
  it.effect(
    "ends with the same table and the same ids, and the service goes on",
    () =>
      Effect.gen(function* () {
        yield* running
        const asMigrated = yield* tables
        yield* send(documents(1, 0, 8))
        yield* settled
        const expected = yield* everything
        assert.isAbove(expected.rows.length, 300)
        yield* spoil
        const { read } = yield* rebuildObservations(options)
        assert.strictEqual(read, 8 * 5)
        assert.deepStrictEqual(yield* everything, expected)
        assert.deepStrictEqual(yield* schemas, [])
        assert.deepStrictEqual(yield* tables, asMigrated)

        // What is stored afterwards goes into the new tables, as it would have into the old.
        yield* send(documents(1, 8, 11))
        yield* settled
        const later = yield* everything
        assert.isAbove(later.rows.length, expected.rows.length)
        yield* rebuildObservations(options)
        assert.deepStrictEqual(yield* everything, later)
        const archive = yield* ObservationArchive
        const [first] = later.series
        const site = yield* archive.findSite(Number(first?.["site_id"]))
        const found = site?.series.find(({ id }) => id === first?.["id"])
        assert.strictEqual(found?.count, Number(first?.["count"]))
      }),
    60_000
  )

  it.effect(
    "reads what was packed from its documents, and the same is packed again",
    () =>
      Effect.gen(function* () {
        const sql = yield* PgClient.PgClient
        yield* running
        yield* send(documents(6, 0, 6))
        yield* settled
        const packing = yield* PgObservationPacking(Duration.days(30), { fewInYear: 20, mostInPiece: 1_000 })
        const packAll = Effect.gen(function* () {
          yield* sql`UPDATE observation_packing SET swept_table = 'observations_2025', swept_id = 0, swept_to = '-infinity'`
          while ((yield* packing.packSome).isMore);
          return yield* sql`
            SELECT series_id, starts_at::text, value::text, first_seen_at::text, superseded_at::text FROM observation_packs
            ORDER BY series_id, starts_at`
        })
        const all = Effect.map(
          sql`SELECT series_id, observed_at::text, value::text, first_seen_at::text, superseded_at::text FROM all_observations
            ORDER BY series_id, observed_at, first_seen_at`,
          (rows) => rows
        )
        const before = yield* everything
        const packed = yield* packAll
        assert.isAbove(packed.length, 3)
        assert.deepStrictEqual(yield* all, before.rows)
        assert.isBelow((yield* everything).rows.length, before.rows.length)
        yield* sql`CREATE VIEW how_many AS SELECT count(*)::int4 AS n FROM all_observations`
        yield* rebuildObservations(options)
        assert.deepStrictEqual(yield* everything, before)
        assert.deepStrictEqual(yield* sql`SELECT FROM observation_packs`, [])
        assert.deepStrictEqual(yield* sql`SELECT n FROM how_many`, [{ n: before.rows.length }])
        assert.deepStrictEqual(yield* packAll, packed)
        assert.deepStrictEqual(yield* all, before.rows)
        assert.deepStrictEqual(yield* sql`SELECT n FROM how_many`, [{ n: before.rows.length }])

        // What comes in for packed months is stored as a rebuild from all documents has it.
        yield* send(documents(6, 6, 9))
        yield* settled
        yield* packAll
        const later = yield* all
        assert.isAbove(later.length, before.rows.length)
        yield* rebuildObservations(options)
        assert.deepStrictEqual((yield* everything).rows, later)
        yield* sql`DROP VIEW how_many`
      }),
    60_000
  )

  it.effect(
    "leaves readers what they may read, and their views",
    () =>
      Effect.gen(function* () {
        const sql = yield* PgClient.PgClient
        yield* running
        yield* send(documents(4, 0, 2))
        yield* settled
        // Roles are the server's, not the database's.
        const { name: reader } = yield* TestDatabase
        yield* Effect.acquireRelease(sql`CREATE ROLE ${sql(reader)} NOLOGIN`, () =>
          Effect.andThen(sql`DROP OWNED BY ${sql(reader)}`, sql`DROP ROLE ${sql(reader)}`).pipe(Effect.orDie)
        )
        yield* sql`GRANT SELECT ON observations, observations_2026 TO ${sql(reader)}`
        yield* sql`GRANT SELECT (series_id, year_month) ON observation_months TO ${sql(reader)} WITH GRANT OPTION`
        yield* sql`CREATE VIEW current_values WITH (security_barrier = true) AS
          SELECT series_id, observed_at, value FROM observations WHERE superseded_at IS NULL`
        yield* sql`CREATE VIEW largest AS SELECT max(value) AS value FROM current_values`
        yield* sql`GRANT SELECT ON current_values TO ${sql(reader)}`
        const grants = sql`
          SELECT table_name, privilege_type, is_grantable FROM information_schema.table_privileges WHERE grantee = ${reader}
          UNION ALL
          SELECT table_name || '.' || column_name, privilege_type, is_grantable
          FROM information_schema.column_privileges WHERE grantee = ${reader} ORDER BY 1, 2`
        const views = sql`
          SELECT c.relname, c.reloptions::text AS options, (SELECT count(*)::text FROM current_values) AS count,
            (SELECT value::text FROM largest) AS largest
          FROM pg_class c WHERE c.relname IN ('current_values', 'largest') ORDER BY 1`
        const before = { grants: yield* grants, views: yield* views }
        assert.isAbove(before.grants.length, 4)
        yield* rebuildObservations(options)
        assert.deepStrictEqual({ grants: yield* grants, views: yield* views }, before)
        yield* send(documents(4, 2, 4))
        yield* settled
        assert.notDeepEqual(yield* views, before.views)
      }).pipe(Effect.scoped),
    60_000
  )

  it.effect(
    "takes in what comes meanwhile, once",
    () =>
      Effect.gen(function* () {
        yield* running
        yield* send(documents(2, 0, 6))
        yield* settled
        const sending = Effect.forEach(documents(2, 6, 16), (record) => send([record]), { discard: true })
        const sender = yield* Effect.forkChild(sending)
        yield* rebuildObservations(options)
        yield* Fiber.join(sender)
        yield* settled
        const { rows, months, series, sites } = yield* everything
        // A rebuild in peace is the yardstick: it is what a reader from nothing ends with.
        yield* rebuildObservations(options)
        assert.deepStrictEqual(yield* everything, { rows, months, series, sites })
      }),
    60_000
  )

  it.effect(
    "leaves everything as it is when it is interrupted, and goes on from there",
    () =>
      Effect.gen(function* () {
        yield* running
        yield* send(documents(3, 0, 10))
        yield* settled
        const expected = yield* everything
        const rebuild = yield* ObservationRebuild
        const stopping = yield* Deferred.make<void>()
        let batches = 0
        const store: typeof rebuild.store = (batch) =>
          batches++ === 0 ? rebuild.store(batch) : Effect.andThen(Deferred.succeed(stopping, undefined), Effect.never)
        yield* Effect.raceFirst(
          Effect.provideService(rebuildObservations(options), ObservationRebuild, { ...rebuild, store }),
          Deferred.await(stopping)
        )
        assert.deepStrictEqual(yield* everything, expected)
        yield* spoil
        let resumed = false
        yield* rebuildObservations({
          ...options,
          onBegin: (begun) =>
            Effect.sync(() => {
              resumed = begun.resumed
            })
        })
        assert.isTrue(resumed)
        assert.deepStrictEqual(yield* everything, expected)
        assert.deepStrictEqual(yield* schemas, [])
      }),
    60_000
  )

  it.effect(
    "puts nothing in place that lacks what was stored meanwhile, and reads that first",
    () =>
      Effect.gen(function* () {
        yield* running
        yield* send(documents(4, 0, 4))
        yield* settled
        const rebuild = yield* ObservationRebuild
        const context = yield* Effect.context<KafkaSink | TopicReader>()
        // While the rebuild can read no more, because its tables are about to change places.
        const overtaking = Effect.andThen(send(documents(4, 4, 6)), settled).pipe(
          Effect.provideContext(context),
          Effect.orDie
        )
        const swaps: Array<boolean> = []
        const swap: typeof rebuild.swap = (lacksNothing) =>
          Effect.when(
            overtaking,
            Effect.sync(() => swaps.length === 0)
          ).pipe(
            Effect.andThen(rebuild.swap(lacksNothing)),
            Effect.tap((swapped) => Effect.sync(() => swaps.push(swapped)))
          )
        const { read } = yield* Effect.provideService(rebuildObservations(options), ObservationRebuild, {
          ...rebuild,
          swap
        })
        assert.deepStrictEqual(swaps, [false, true])
        assert.isAbove(read, 6 * 5)
        const { months, rows, series, sites } = yield* everything
        yield* rebuildObservations(options)
        assert.deepStrictEqual(yield* everything, { months, rows, series, sites })
      }),
    60_000
  )

  it.effect(
    "needs nothing of the topic while the stores are held back",
    () =>
      Effect.gen(function* () {
        yield* running
        const reader = yield* TopicReader
        const rebuild = yield* ObservationRebuild
        let held = false
        const swap: typeof rebuild.swap = (lacksNothing) =>
          Effect.acquireUseRelease(
            Effect.sync(() => (held = true)),
            () => rebuild.swap(lacksNothing),
            () => Effect.sync(() => (held = false))
          )
        const orNever = Effect.suspend(() => (held ? Effect.never : Effect.void))
        const silent: typeof reader = {
          unread: reader.unread,
          lag: (of) => Effect.andThen(orNever, reader.lag(of)),
          consume: (of, handle) => Effect.onInterrupt(reader.consume(of, handle), () => orNever)
        }
        yield* send(documents(5, 0, 2))
        yield* rebuildObservations(options).pipe(
          Effect.provideService(ObservationRebuild, { ...rebuild, swap }),
          Effect.provideService(TopicReader, silent)
        )
        assert.deepStrictEqual(yield* schemas, [])
      }),
    60_000
  )

  it.effect(
    "drops no month that has no raw document any more, unless told so",
    () =>
      Effect.gen(function* () {
        const sql = yield* PgClient.PgClient
        yield* Effect.scoped(
          Effect.gen(function* () {
            yield* running
            yield* send(documents(9, 0, 2))
            yield* settled
          })
        )
        const expected = yield* everything
        yield* sql`
          INSERT INTO observation_months (series_id, year_month, seen_at, covers_from, covers_until, day_digests)
          SELECT id, '1999-0' || month, now(), '1999-01-01', '1999-02-01', '' FROM observation_sites_measurements,
            generate_series(1, 2) AS month ORDER BY id LIMIT 4`
        const lacking = yield* everything
        const error = yield* Effect.flip(rebuildObservations(options))
        assert.deepInclude(error, { _tag: "RebuildLacksMonths", months: 4, series: 2 })
        assert.deepStrictEqual(yield* everything, lacking)
        yield* rebuildObservations({ ...options, dropMissing: true })
        assert.deepStrictEqual(yield* everything, expected)
        assert.deepStrictEqual(yield* schemas, [])
      }),
    60_000
  )

  it.effect(
    "is one at a time, and can begin when the other has ended",
    () =>
      Effect.gen(function* () {
        const rebuild = yield* ObservationRebuild
        const storing = yield* Deferred.make<void>()
        const store: typeof rebuild.store = () => Effect.andThen(Deferred.succeed(storing, undefined), Effect.never)
        yield* send(documents(6, 0, 1))
        const first = yield* Effect.forkChild(
          Effect.provideService(rebuildObservations(options), ObservationRebuild, { ...rebuild, store })
        )
        yield* Deferred.await(storing)
        for (const fresh of [false, true]) {
          const second = yield* Effect.flip(
            Effect.provide(rebuildObservations({ ...options, fresh }), Layer.fresh(PgObservationRebuild))
          )
          assert.strictEqual(second._tag, "RebuildUnderWay")
        }
        yield* Fiber.interrupt(first)
        yield* rebuildObservations(options)
        assert.deepStrictEqual(yield* schemas, [])
      }),
    60_000
  )

  it.effect(
    "begins anew where another version had begun, and takes in what was stored before sources were noted",
    () =>
      Effect.gen(function* () {
        const sql = yield* PgClient.PgClient
        const rebuild = yield* ObservationRebuild
        const expected = yield* Effect.scoped(
          Effect.gen(function* () {
            yield* running
            yield* send(documents(8, 0, 3))
            yield* settled
            return yield* everything
          })
        )
        yield* Effect.scoped(rebuild.begin(true))
        yield* sql`ALTER TABLE observation_rebuild.rebuild DROP COLUMN made_by`
        yield* sql`ALTER TABLE observation_rebuild.observation_offsets DROP COLUMN raw_offsets`
        yield* sql`UPDATE observation_offsets SET raw_offsets = '{}'`
        let resumed = true
        yield* rebuildObservations({
          ...options,
          onBegin: (begun) => Effect.sync(() => void (resumed = begun.resumed))
        })
        assert.isFalse(resumed)
        assert.deepStrictEqual(yield* everything, expected)
      }),
    60_000
  )

  it.effect(
    "stops when it lost its lock and another has begun in its place",
    () =>
      Effect.gen(function* () {
        const rebuild = yield* ObservationRebuild
        const { group } = yield* Effect.scoped(rebuild.begin(true))
        yield* Effect.scoped(
          Effect.gen(function* () {
            assert.isTrue(yield* rebuild.resume(group))
            yield* loseLock
            const another = ObservationRebuild.use(({ begin }) => Effect.scoped(begin(true)))
            yield* Effect.provide(another, Layer.fresh(PgObservationRebuild))
            const stored = yield* Effect.flip(rebuild.store({ topic: rawTopic, partition: 0, messages: [] }))
            assert.strictEqual(stored._tag, "StoreUnavailable")
          })
        )
        const resumed = yield* Effect.flip(Effect.scoped(rebuild.resume(group)))
        assert.strictEqual(resumed._tag, "RebuildUnderWay")
        yield* rebuildObservations(options)
        assert.deepStrictEqual(yield* schemas, [])
      }),
    60_000
  )

  it.effect(
    "goes on under a new lock when the connection that held it was lost",
    () =>
      Effect.gen(function* () {
        const sql = yield* PgClient.PgClient
        const lose = Effect.provideService(loseLock, PgClient.PgClient, sql)
        const rebuild = yield* ObservationRebuild
        yield* send(documents(7, 0, 2))
        const swaps: Array<string> = []
        const swap: typeof rebuild.swap = (lacksNothing) =>
          Effect.when(
            lose,
            Effect.sync(() => swaps.length === 0)
          ).pipe(
            Effect.andThen(rebuild.swap(lacksNothing)),
            Effect.onExit(({ _tag }) => Effect.sync(() => swaps.push(_tag)))
          )
        yield* Effect.provideService(rebuildObservations(options), ObservationRebuild, { ...rebuild, swap })
        assert.deepStrictEqual(swaps, ["Failure", "Success"])
        assert.deepStrictEqual(yield* schemas, [])
      }),
    60_000
  )

  it.effect(
    "ends with the same values where two sources tell of one series, in whatever order it reads their documents",
    () =>
      Effect.gen(function* () {
        yield* running
        const of = (n: number) =>
          ["http://archive.example/a.hts", "http://telemetry.example/t.hts"].map((source, index) =>
            dataRecord({
              councilId: 80,
              at: Date.UTC(2026, 0, 10) + n * 60_000 + index * 1_000,
              siteName: "Awa",
              measurementName: "Flow",
              source,
              // Each has hours that the other has not, and they differ in some of those that both have.
              rows: Array.from({ length: 40 }, (_, row) => {
                const hour = n * 2 + row + index * 5
                const time = new Date(Date.UTC(2025, 11, 30) + hour * 3_600_000).toISOString().slice(0, 19)
                return [time, `${hour}.${(hour + index * n) % 4}`] as const
              }).filter((_, row) => row % 39 === 0 || (row + n + index) % 6 > 0)
            })
          )
        yield* send([0, 1, 2, 3, 4, 5].flatMap(of))
        yield* settled
        const sql = yield* PgClient.PgClient
        const kept = Effect.all([
          sql`
            SELECT m.id, o.observed_at::text, o.value::text, o.first_seen_at::text, o.superseded_at::text
            FROM observations o JOIN observation_sites_measurements m ON m.id = o.series_id
              JOIN observation_sites s ON s.id = m.site_id AND s.council_id = 80
            ORDER BY 1, 2, 4`,
          sql`
            SELECT m.id, observation_count::text, first_observed_at::text, last_observed_at::text
            FROM observation_sites_measurements m JOIN observation_sites s ON s.id = m.site_id AND s.council_id = 80`
        ])
        const expected = yield* kept
        assert.lengthOf(expected[1], 1)
        assert.isAbove(expected[0].length, 60)
        yield* sql`UPDATE observations SET value = value + 1 WHERE superseded_at IS NULL`
        yield* rebuildObservations({ ...options, fresh: true })
        assert.deepStrictEqual(yield* kept, expected)
        // And goes on where it is.
        yield* send(of(6))
        yield* settled
        assert.isAbove((yield* kept)[0].length, expected[0].length)
      }),
    60_000
  )

  it.effect(
    "ends with the same table when the raw topic was compacted, and holds back nothing afterwards",
    () =>
      Effect.gen(function* () {
        const sql = yield* PgClient.PgClient
        yield* running
        yield* send(documents(20, 0, 4))
        // As after a crash between the acknowledgement and the settlement.
        yield* send(documents(20, 0, 4))
        yield* settled
        // Of which documents a month of two sources has its frontier depends on the order; see the test before.
        const kept = Effect.map(everything, ({ rows, series, sites }) => ({ rows, series, sites }))
        const expected = yield* kept
        const rule = { topic: rawTopic, reader: mapperGroup, keep: undefined, compactAfter: Duration.zero }
        const round = makeRetentionRound(yield* PgTopicRetention(rule))
        const removed = yield* round.pipe(
          Effect.map((done) => done.removed.get(rawTopic) ?? 0),
          Effect.repeat({ until: (rows) => rows === 0 }),
          Effect.andThen(
            sql<{ rows: number }>`SELECT sum(compacted)::int4 AS rows FROM topic_retention WHERE topic = ${rawTopic}`
          )
        )
        assert.isAtLeast(removed[0]?.rows ?? 0, 4 * 5)
        yield* spoil
        yield* rebuildObservations(options)
        assert.deepStrictEqual(yield* kept, expected)
        assert.deepStrictEqual(yield* sql`SELECT FROM topic_groups WHERE group_name LIKE 'penstock-rebuild%'`, [])
      }),
    60_000
  )
})
