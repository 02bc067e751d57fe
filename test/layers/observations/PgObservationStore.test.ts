/**
 * The suite of the observation store over PostgreSQL, a comparison with the store in memory on invented histories, and
 * what only tables have: rows that are not written, writers that meet.
 */
import { assert, layer } from "@effect/vitest"
import { PgClient } from "@effect/sql-pg"
import { Effect, Layer } from "effect"
import * as fc from "fast-check"
import { PgObservationStore } from "../../../layers/observations/PgObservationStore.ts"
import type { ObservationMessage, Qualifier } from "../../../src/domain/Observation.ts"
import { MemoryObservations } from "../../../src/stream/MemoryObservations.ts"
import { ObservationStore, type StoreMessage } from "../../../src/stream/ObservationStore.ts"
import { observationStoreSuite, Stored } from "../../stream/observationStoreSuite.ts"
import { TestDatabase } from "../../support/TestDatabase.ts"

interface SiteRow {
  readonly easting: number | null
  readonly northing: number | null
  readonly projection: string | null
  readonly latitude: number | null
  readonly longitude: number | null
  readonly located_at: number | null
}
interface SeriesRow {
  readonly id: number
  readonly units: string | null
  readonly listed_units: string | null
  readonly first: number | null
  readonly last: number | null
  readonly count: number
}
interface VersionRow {
  readonly at: number
  readonly value: string
  readonly qualifier: Qualifier | null
  readonly quality: number | null
  readonly first: number
  readonly superseded: number | null
}

const pgStored = Layer.effect(
  Stored,
  Effect.gen(function* () {
    const sql = yield* PgClient.PgClient
    const millis = (column: string) => sql.literal(`(extract(epoch FROM ${column}) * 1000)::float8`)
    return Stored.of({
      site: (councilId, siteName) =>
        sql<SiteRow>`
          SELECT easting, northing, projection, latitude, longitude, ${millis("located_at")} AS located_at
          FROM observation_sites WHERE council_id = ${councilId} AND name = ${siteName}`.pipe(
          Effect.map(
            ([row]) =>
              row && {
                location:
                  row.easting === null || row.northing === null
                    ? null
                    : {
                        easting: row.easting,
                        northing: row.northing,
                        ...(row.projection === null ? {} : { projection: row.projection })
                      },
                geographicLocation:
                  row.latitude === null || row.longitude === null
                    ? undefined
                    : { latitude: row.latitude, longitude: row.longitude },
                locatedAt: row.located_at ?? -Infinity
              }
          ),
          Effect.orDie
        ),
      series: (councilId, siteName, measurementName, { inUnits = "", item = 0, measurement = "" } = {}) =>
        Effect.gen(function* () {
          const [series] = yield* sql<SeriesRow>`
            SELECT m.id, m.units, m.listed_units, ${millis("m.first_observed_at")} AS first, ${millis("m.last_observed_at")} AS last,
              m.observation_count::int4 AS count
            FROM observation_sites_measurements m JOIN observation_sites s ON s.id = m.site_id
            WHERE s.council_id = ${councilId} AND s.name = ${siteName} AND m.measurement_name = ${measurementName}
              AND m.measurement = ${measurement} AND m.item = ${item} AND m.in_units = ${inUnits}`
          if (series === undefined) return undefined
          const versions = yield* sql<VersionRow>`
            SELECT ${millis("observed_at")} AS at, value::text AS value, qualifier, quality,
              ${millis("first_seen_at")} AS first, ${millis("superseded_at")} AS superseded
            FROM observations WHERE series_id = ${series.id} ORDER BY observed_at, first_seen_at`
          return {
            units: series.units ?? undefined,
            listedUnits: series.listed_units ?? undefined,
            firstObservedAt: series.first ?? undefined,
            lastObservedAt: series.last ?? undefined,
            count: series.count,
            versions: versions.map(({ at, first, qualifier, quality, superseded, value }) => ({
              at,
              value,
              qualifier: qualifier ?? undefined,
              quality: quality ?? undefined,
              firstSeenAt: first,
              supersededAt: superseded ?? undefined
            }))
          }
        }).pipe(Effect.orDie)
    })
  })
)

const database = Layer.merge(PgObservationStore, pgStored).pipe(Layer.provideMerge(TestDatabase.layer))

observationStoreSuite("observations in PostgreSQL", database)

/** A few moments of days around the end of a month, few values, fetches in any order: everything meets everything. */
const anyMessage = fc.record({
  seenAt: fc.integer({ min: 0, max: 9 }),
  measurementName: fc.constantFrom("Flow", "Stage"),
  source: fc.constantFrom(undefined, "http://a", "http://a", "http://b"),
  /** Steps before the first row and after the last that the document covers; undefined for one that does not say. */
  covers: fc.option(fc.tuple(fc.integer({ min: 0, max: 3 }), fc.integer({ min: 0, max: 3 })), {
    nil: undefined,
    freq: 3
  }),
  observations: fc.array(
    fc.record({
      step: fc.integer({ min: 0, max: 7 }),
      value: fc.constantFrom("1", "1.0", "2", "-0.5"),
      qualifier: fc.constantFrom(undefined, undefined, "<" as const),
      quality: fc.constantFrom(undefined, undefined, 200)
    }),
    { maxLength: 6 }
  )
})
const anyHistory = fc.record({
  messages: fc.array(anyMessage, { minLength: 1, maxLength: 12 }),
  cuts: fc.array(fc.integer({ min: 1, max: 12 }), { maxLength: 4 })
})
type History = typeof anyHistory extends fc.Arbitrary<infer A> ? A : never

/** The evening of 29 August, NZST; steps of 9 hours reach into September. */
const evening = Date.UTC(2026, 7, 29, 8)
const momentOf = (step: number) => evening + step * 9 * 3_600_000
const messagesOf = (councilId: number, { messages }: History): ReadonlyArray<StoreMessage> =>
  messages.map(({ covers, measurementName, observations, seenAt, source }, offset) => ({
    offset,
    seenAt: Date.UTC(2026, 9, 1) + seenAt,
    covers: covers && {
      from: momentOf(Math.min(...observations.map(({ step }) => step)) - covers[0]),
      until: momentOf(Math.max(...observations.map(({ step }) => step)) + covers[1])
    },
    message: {
      type: "OBSERVATION_DATA",
      councilId,
      siteName: "Site",
      measurementName,
      ...(source === undefined ? {} : { source }),
      observations: observations.map(({ qualifier, quality, step, value }) => ({
        observedAt: new Date(momentOf(step)).toISOString(),
        value,
        ...(qualifier === undefined ? {} : { qualifier }),
        ...(quality === undefined ? {} : { quality })
      }))
    } satisfies ObservationMessage
  }))

/** With times to the microsecond, as PostgreSQL keeps them. */
const comparable = (value: unknown): unknown =>
  JSON.parse(JSON.stringify(value), (_, one: unknown) =>
    typeof one === "number" ? Math.round(one * 1_000) / 1_000 : one
  )

const unchanged = (seenAt: number, ...values: ReadonlyArray<string>): Omit<StoreMessage, "offset"> => ({
  seenAt: Date.UTC(2026, 9, seenAt),
  message: {
    type: "OBSERVATION_DATA",
    councilId: 1,
    siteName: "Unchanged",
    measurementName: "Flow",
    observations: values.map((value, index) => ({ observedAt: `2026-08-01T0${index}:00:00+12:00`, value }))
  }
})

const oneValueEach = (order: ReadonlyArray<string>): ReadonlyArray<StoreMessage> =>
  order.map((siteName, offset) => ({
    offset,
    seenAt: Date.UTC(2026, 9, 1),
    message: {
      type: "OBSERVATION_DATA",
      councilId: 2,
      siteName,
      measurementName: "Flow",
      observations: [{ observedAt: "2026-08-01T00:00:00+12:00", value: "1" }]
    }
  }))

layer(database, { excludeTestServices: true })("PgObservationStore", (it) => {
  it.effect(
    "ends as the store in memory does, however a history is cut into batches",
    () =>
      Effect.gen(function* () {
        const pg = yield* ObservationStore
        const view = yield* Stored
        const histories = fc.sample(anyHistory, { numRuns: 200, seed: 42 })
        for (const [index, history] of histories.entries()) {
          const councilId = 1_000 + index
          const messages = messagesOf(councilId, history)
          const memory = yield* Layer.build(Layer.fresh(MemoryObservations.layer))
          const expected = yield* Effect.gen(function* () {
            const { store } = yield* ObservationStore
            for (const message of messages) {
              yield* store({ topic: "observations", partition: councilId, messages: [message] })
            }
            const { series } = yield* MemoryObservations
            return ["Flow", "Stage"].map((name) => series(councilId, "Site", name))
          }).pipe(Effect.provide(memory))

          let from = 0
          for (const length of [...history.cuts, messages.length]) {
            const batch = messages.slice(from, from + length)
            yield* pg.store({ topic: "observations", partition: councilId, messages: batch })
            from += length
          }
          const actual = yield* Effect.forEach(["Flow", "Stage"], (name) => view.series(councilId, "Site", name))
          // 1 and 1.0 are the same value, so whichever came first is kept: the digits must agree too.
          assert.deepStrictEqual(comparable(actual), comparable(expected), JSON.stringify(history))
        }
      }),
    120_000
  )

  it.effect("writes no row of observations when a refetch brings nothing new", () =>
    Effect.gen(function* () {
      const sql = yield* PgClient.PgClient
      const { store } = yield* ObservationStore
      const rows = sql`SELECT ctid::text AS place, xmin::text AS writer FROM observations`
      const storeAt = (offset: number, one: Omit<StoreMessage, "offset">) =>
        store({ topic: "unchanged", partition: 0, messages: [{ offset, ...one }] })
      yield* storeAt(0, unchanged(1, "1", "2", "3"))
      const before = yield* rows
      yield* storeAt(1, unchanged(2, "1", "2", "3"))
      yield* storeAt(2, unchanged(3, "1", "2"))
      yield* storeAt(3, unchanged(4, "1", "2", "3"))
      assert.deepStrictEqual(yield* rows, before)
      const [month] = yield* sql<{ seen: string }>`
        SELECT (seen_at AT TIME ZONE 'UTC')::date::text AS seen FROM observation_months m
        JOIN observation_sites_measurements s ON s.id = m.series_id JOIN observation_sites o ON o.id = s.site_id
        WHERE o.name = 'Unchanged'`
      assert.strictEqual(month?.seen, "2026-10-04")
    })
  )

  it.effect("lets writers of the same sites meet: each batch once, no deadlock", () =>
    Effect.gen(function* () {
      const { store } = yield* ObservationStore
      const view = yield* Stored
      const names = ["c", "a", "d", "b", "f", "e"]
      const outcomes = yield* Effect.all(
        [
          store({ topic: "meeting", partition: 0, messages: oneValueEach(names) }),
          store({ topic: "meeting", partition: 0, messages: oneValueEach(names) }),
          store({ topic: "meeting", partition: 1, messages: oneValueEach([...names].sort()) }),
          store({ topic: "meeting", partition: 2, messages: oneValueEach([...names].sort().toReversed()) })
        ],
        { concurrency: 4 }
      )
      assert.strictEqual(
        outcomes.reduce((sum, { added }) => sum + added, 0),
        6
      )
      for (const name of names) assert.strictEqual((yield* view.series(2, name, "Flow"))?.count, 1)
    })
  )

  it.effect("refuses what its columns cannot hold, by a reason without the value", () =>
    Effect.gen(function* () {
      const { store } = yield* ObservationStore
      const observation = { observedAt: "2026-08-01T00:00:00+12:00", value: "1" }
      const base = {
        type: "OBSERVATION_DATA",
        councilId: 3,
        siteName: "s",
        measurementName: "m",
        observations: [observation]
      } as const
      const impossible: ReadonlyArray<ObservationMessage> = [
        { ...base, councilId: 3_000_000_000 },
        { ...base, observations: [{ ...observation, quality: 3_000_000_000 }] },
        { ...base, observations: [{ ...observation, value: "1e999999" }] },
        { ...base, siteName: Array.from({ length: 4_000 }, (_, n) => n.toString(36)).join("") }
      ]
      for (const message of impossible) {
        const batch = { topic: "refused", partition: 0, messages: [{ offset: 0, seenAt: 0, message }] }
        const error = yield* Effect.flip(store(batch))
        assert.strictEqual(error._tag, "BatchRefused")
        assert.notInclude(JSON.stringify(error), "999999")
      }
    })
  )
})
