/**
 * What counts as due, and since when, on a real PostgreSQL. Each test leaves the tables as it found them.
 */
import { assert, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { EmbeddedTopics } from "../../../layers/topics/EmbeddedTopics.ts"
import { PgDueWork } from "../../../layers/api/PgDueWork.ts"
import { PgEventInbox } from "../../../layers/sync/PgEventInbox.ts"
import { DueWork, nothingWaits, type Waiting } from "../../../src/api/DueWork.ts"
import { mapperGroup } from "../../../src/stream/mappingStage.ts"
import { EventInbox } from "../../../src/sync/EventInbox.ts"
import { gsrnOf } from "../../support/gsrns.ts"
import { TestDatabase } from "../../support/TestDatabase.ts"

const layer = Layer.mergeAll(PgDueWork, PgEventInbox, EmbeddedTopics).pipe(Layer.provideMerge(TestDatabase.layer))

const minutes = (seconds: number | undefined) => (seconds === undefined ? undefined : Math.floor(seconds / 60))

/** What waits, in whole minutes. */
const waiting = Effect.map(
  Effect.flatMap(DueWork, (due) => due.waiting),
  (found): Waiting => ({
    event: minutes(found.event),
    sync: minutes(found.sync),
    abandonedSync: minutes(found.abandonedSync),
    request: minutes(found.request),
    abandonedRequest: minutes(found.abandonedRequest),
    record: minutes(found.record)
  })
)

const nothingBut = (kinds: Partial<Waiting>) => ({ ...nothingWaits, ...kinds })

const sqlClient = SqlClient.SqlClient

/** Runs with these rows, and takes them away again. */
const emptied = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.ensuring(
    effect,
    Effect.flatMap(sqlClient, (sql) =>
      Effect.orDie(
        sql`TRUNCATE flex.accounting_point, hilltop_sources, hilltop_servers, hilltop_lanes, topic_records, topic_groups CASCADE`
      )
    )
  )

/** A relevant accounting point, synced an hour ago, changed by `set`. */
const point = Effect.fnUntraced(function* (index: number, set: string) {
  const sql = yield* sqlClient
  yield* sql`INSERT INTO flex.accounting_point (business_id) VALUES (${gsrnOf(index)})`
  yield* sql`UPDATE flex.accounting_point_sync SET relevant = true, last_synced_at = now() - interval '1 hour'
    WHERE business_id = ${gsrnOf(index)}`
  yield* sql`UPDATE flex.accounting_point_sync SET ${sql.literal(set)} WHERE business_id = ${gsrnOf(index)}`
})

const ago = (interval: string) => `now() - interval '${interval}'`

it.layer(layer, { excludeTestServices: true })("due work", (it) => {
  it.effect("is nothing in empty tables", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* waiting, nothingWaits)
    })
  )

  it.effect("of accounting points waits since the event came in, however long ago it happened", () =>
    Effect.gen(function* () {
      const sql = yield* sqlClient
      yield* point(1, `last_synced_at = now()`)
      yield* (yield* EventInbox).record([{ gsrn: gsrnOf(1), occurredAt: Date.now() - 86_400_000 }])
      assert.deepStrictEqual(yield* waiting, nothingBut({ event: 0, sync: 0 }))
      yield* sql`UPDATE flex.accounting_point_sync SET event_seen_at = now() - interval '12 minutes'`
      assert.strictEqual((yield* waiting).event, 12)
      yield* sql`UPDATE flex.accounting_point_sync SET event_seen_at = NULL, last_event_at = now() - interval '20 minutes'`
      assert.strictEqual((yield* waiting).event, 20, "an event written by hand has only its own time")
      yield* sql`UPDATE flex.accounting_point_sync SET last_sync_start = now()`
      assert.deepStrictEqual(yield* waiting, nothingBut({ abandonedSync: 0 }))
    }).pipe(emptied)
  )

  it.effect("of accounting points is the longest unsynced one that is relevant and in no back-off", () =>
    Effect.gen(function* () {
      yield* point(1, `last_synced_at = ${ago("26 hours")}, relevant = false`)
      yield* point(2, `last_synced_at = ${ago("27 hours")}, failures = 3, next_attempt_at = now() + interval '1 hour'`)
      assert.deepStrictEqual(yield* waiting, nothingWaits)
      yield* point(3, `last_synced_at = ${ago("25 hours")}`)
      assert.deepStrictEqual(yield* waiting, nothingBut({ sync: 25 * 60 }))
      yield* point(4, `last_synced_at = NULL, unneeded_since = ${ago("28 hours")}`)
      assert.deepStrictEqual(yield* waiting, nothingBut({ sync: 28 * 60 }))
      yield* point(5, `failures = 2, next_attempt_at = ${ago("30 hours")}`)
      assert.deepStrictEqual(yield* waiting, nothingBut({ sync: 30 * 60 }))
    }).pipe(emptied)
  )

  it.effect("of a server waits since it was last asked anything, unless nobody may ask", () =>
    Effect.gen(function* () {
      const sql = yield* sqlClient
      const seen = (set: string, expected: number | undefined) =>
        Effect.gen(function* () {
          yield* sql`${sql.literal(set)}`
          assert.strictEqual((yield* waiting).request, expected, set)
        })
      yield* sql`INSERT INTO hilltop_sources (council_id, hts_url, configuration, updated_at)
        VALUES (1, 'https://one.example/data.hts', '{"measurementNames":["Rainfall"]}', now() - interval '2 days')`
      yield* sql`INSERT INTO hilltop_fetch_tasks (source_id, request_type, fetch_url, next_fetch_at)
        SELECT id, 'MEASUREMENT_DATA', 'https://one.example/data.hts?' || n, now() - interval '39 minutes 50 seconds'
        FROM hilltop_sources, generate_series(1, 3) n`
      yield* seen("UPDATE hilltop_servers SET refilled_at = now() - interval '1 day'", 39)
      yield* seen("UPDATE hilltop_servers SET refilled_at = now() - interval '4 minutes 50 seconds'", 4)
      yield* seen("UPDATE hilltop_servers SET refilled_at = now() - interval '1 day', requests_per_second = 0.01", 34)
      yield* seen(
        "UPDATE hilltop_servers SET requests_per_second = NULL, cool_down_until = now() - interval '2 minutes'",
        1
      )
      yield* seen(
        "UPDATE hilltop_servers SET cool_down_until = NULL, open_until = now() - interval '1 minute 50 seconds'",
        1
      )
      yield* sql`UPDATE hilltop_servers SET open_until = now() + interval '1 hour'`
      assert.isBelow((yield* waiting).request!, 0, "it may not be asked yet")
      yield* seen("UPDATE hilltop_servers SET open_until = NULL", 39)
      yield* seen("UPDATE hilltop_sources SET paused = true", undefined)
      yield* seen("UPDATE hilltop_sources SET paused = false, updated_at = now()", -1)
      yield* seen(
        "UPDATE hilltop_sources SET problem = 'no measurements', updated_at = now() - interval '1 day'",
        undefined
      )
      yield* seen("UPDATE hilltop_sources SET problem = NULL", 39)
      yield* seen("UPDATE hilltop_fetch_tasks SET set_aside_at = now()", undefined)
      yield* sql`UPDATE hilltop_fetch_tasks SET set_aside_at = NULL`
      yield* sql`INSERT INTO hilltop_fetch_leases (task_id, origin, due_at, lease_until)
        SELECT id, origin, next_fetch_at, now() - interval '12 minutes' FROM hilltop_fetch_tasks`
      assert.deepStrictEqual(yield* waiting, nothingBut({ abandonedRequest: 12 }))
      yield* sql`UPDATE hilltop_fetch_leases SET lease_until = now() + interval '20 seconds'`
      assert.deepStrictEqual(yield* waiting, nothingWaits)
    }).pipe(emptied)
  )

  it.effect("of a topic is its oldest record that its reader has not read", () =>
    Effect.gen(function* () {
      const sql = yield* sqlClient
      yield* sql`INSERT INTO topic_records (topic, partition, "offset", key, value, created_at)
        SELECT 'hilltop_raw', 3, n, 'k', 'v', now() - make_interval(mins => 20 - n) FROM generate_series(0, 4) n`
      yield* sql`UPDATE topic_partitions SET next_offset = 5 WHERE topic = 'hilltop_raw' AND partition = 3`
      assert.deepStrictEqual(yield* waiting, nothingWaits, "nobody reads it yet")
      yield* sql`INSERT INTO topic_groups (group_name, topic, partition) VALUES (${mapperGroup}, 'hilltop_raw', 3),
        ('somebody-else', 'hilltop_raw', 3)`
      assert.deepStrictEqual(yield* waiting, nothingBut({ record: 20 }))
      yield* sql`UPDATE topic_groups SET next_offset = 2 WHERE group_name = ${mapperGroup}`
      assert.deepStrictEqual(yield* waiting, nothingBut({ record: 18 }))
      yield* sql`UPDATE topic_groups SET next_offset = 5 WHERE group_name = ${mapperGroup}`
      assert.deepStrictEqual(yield* waiting, nothingWaits)
    }).pipe(emptied)
  )

  it.effect("names servers that answer nothing useful while somebody wants to ask them, longest first", () =>
    Effect.gen(function* () {
      const sql = yield* sqlClient
      const useless = Effect.map(
        Effect.flatMap(DueWork, (due) => due.waiting),
        ({ uselessServers = [] }) => uselessServers.map(({ origin, seconds }) => [origin, minutes(seconds)])
      )
      for (const name of ["a", "b", "c"]) {
        yield* sql`INSERT INTO hilltop_sources (council_id, hts_url, configuration)
          VALUES (1, ${`http://${name}.nz/x.hts`}, '{"measurementNames": ["Flow"]}')`
      }
      yield* sql`INSERT INTO hilltop_fetch_tasks (source_id, request_type, fetch_url)
        SELECT id, 'SITES_LIST', hts_url || '?Service=Hilltop' FROM hilltop_sources`
      yield* sql`UPDATE hilltop_servers SET useless_since = now() - interval '20 minutes' WHERE origin = 'http://a.nz'`
      yield* sql`UPDATE hilltop_servers SET useless_since = now() - interval '30 minutes' WHERE origin = 'http://b.nz'`
      assert.deepStrictEqual(yield* useless, [
        ["http://b.nz", 30],
        ["http://a.nz", 20]
      ])
      yield* sql`UPDATE hilltop_sources SET paused = true WHERE hts_url LIKE '%b.nz%'`
      assert.deepStrictEqual(yield* useless, [["http://a.nz", 20]])
    }).pipe(emptied)
  )
})
