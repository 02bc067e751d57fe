/**
 * Two real processes on one database, and an adapter that answers late and out of order: simultaneous lookups, events and
 * background syncs of the same accounting points. Afterwards the copy says what the source says.
 */
import { assert, it } from "@effect/vitest"
import { NodeHttpClient } from "@effect/platform-node"
import { Effect, Layer, Redacted, Schedule } from "effect"
import { HttpClient, HttpClientRequest } from "effect/http"
import { SqlClient } from "effect/sql"
import { loggedWrites, logWrites } from "../../scripts/chaos/writeLog.ts"
import { AdapterSimulator } from "../../scripts/simulators/AdapterSimulator.ts"
import { runPenstock } from "../support/runPenstock.ts"
import { byName } from "../support/standIn.ts"
import { TestDatabase } from "../support/TestDatabase.ts"

const points = 25

const layer = Layer.mergeAll(
  TestDatabase.layer,
  AdapterSimulator.layer({ points, seed: 5, faults: { latency: 5, jitter: 150 } }),
  NodeHttpClient.layerUndici
)

it.layer(layer, { excludeTestServices: true, timeout: "90 seconds" })("two instances", (it) => {
  const start = Effect.gen(function* () {
    const { url } = yield* TestDatabase
    const adapter = yield* AdapterSimulator
    return yield* runPenstock({
      DATABASE_URL: Redacted.value(url),
      PENSTOCK_ROLES: "api,sync",
      ADAPTER_URL: byName(adapter.url),
      ADAPTER_API_KEY: adapter.apiKey,
      SYNC_INTERVAL: "200 millis",
      SYNC_BATCH_SIZE: "10",
      LOOKUP_MAX_AGE: "1 second",
      LOOKUP_API_KEYS: "test:lookup-key",
      EVENT_API_KEYS: "test:event-key"
    })
  })

  const registerAll = Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const adapter = yield* AdapterSimulator
    for (let i = 0; i < points; i++) {
      const { gsrn } = yield* adapter.point(i)
      yield* sql`INSERT INTO flex.accounting_point (business_id) VALUES (${gsrn}) ON CONFLICT DO NOTHING`
    }
    yield* sql`UPDATE flex.accounting_point_sync SET relevant = true`
  })

  /** The value of each timeline at this moment, as the copy has it. */
  const copies = SqlClient.SqlClient.use(
    (sql) => sql<{ gsrn: string; supplier: string; area: string; end_user: string }>`
      SELECT a.business_id AS gsrn, s.business_id AS supplier, g.business_id AS area, u.business_id AS end_user
      FROM flex.accounting_point a
      LEFT JOIN flex.accounting_point_energy_supplier ts ON ts.accounting_point_id = a.id AND ts.valid_time_range @> now()
      LEFT JOIN flex.energy_supplier s ON s.id = ts.energy_supplier_id
      LEFT JOIN flex.accounting_point_metering_grid_area tg ON tg.accounting_point_id = a.id AND tg.valid_time_range @> now()
      LEFT JOIN flex.metering_grid_area g ON g.id = tg.metering_grid_area_id
      LEFT JOIN flex.accounting_point_end_user tu ON tu.accounting_point_id = a.id AND tu.valid_time_range @> now()
      LEFT JOIN flex.end_user u ON u.id = tu.end_user_id ORDER BY a.business_id`
  )

  it.effect("end with the newest answer of the source, whatever came in which order", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const adapter = yield* AdapterSimulator
      yield* registerAll
      yield* logWrites
      const instances = yield* Effect.all([start, start], { concurrency: 2 })
      for (const { url } of instances) yield* adapter.postEvents({ url, key: "event-key", every: "50 millis" })

      const lookUp = (url: string, n: number) =>
        Effect.gen(function* () {
          const { gsrn, lookupEndUser = "010180" } = yield* adapter.point(n % points)
          const request = HttpClientRequest.post(`${url}/controllable_unit/lookup`).pipe(
            HttpClientRequest.bearerToken("lookup-key"),
            HttpClientRequest.setHeader("cache-control", "no-cache"),
            HttpClientRequest.bodyJsonUnsafe({ end_user: lookupEndUser, accounting_point: gsrn })
          )
          const { status } = yield* HttpClient.execute(request)
          assert.include([200, 403, 429, 503], status)
        }).pipe(Effect.scoped)
      const change = (n: number) =>
        Effect.gen(function* () {
          const { gsrn } = yield* adapter.point((n * 7) % points)
          yield* adapter.change(gsrn, { kind: n % 3 === 0 ? "move" : "switch" })
        })
      const rounds = Array.from({ length: 150 }, (_, n) => n)
      yield* Effect.all(
        [
          Effect.forEach(rounds, change, { concurrency: 1 }).pipe(Effect.delay("100 millis")),
          Effect.forEach(rounds, (n) => lookUp(instances[0].url, n), { concurrency: 6 }),
          Effect.forEach(rounds, (n) => lookUp(instances[1].url, n * 3), { concurrency: 6 })
        ],
        { concurrency: 3 }
      )

      // Everything that was told is followed, and then the copy and the source agree.
      yield* sql<{ open: number }>`
        SELECT count(*)::int4 AS open FROM flex.accounting_point_sync WHERE last_event_at > synced_event_at`.pipe(
        Effect.flatMap(([row]) => (row?.open === 0 ? Effect.void : Effect.fail("events are pending"))),
        Effect.retry(Schedule.upTo(Schedule.spaced("50 millis"), { duration: "20 seconds" }))
      )
      const expected = yield* Effect.forEach(
        Array.from({ length: points }, (_, i) => i),
        Effect.fnUntraced(function* (i) {
          const { gsrn, state } = yield* adapter.point(i)
          const now = Date.now()
          const at = (name: "energy_supplier" | "metering_grid_area" | "end_user") =>
            state?.timelines[name].find((row) => row.from <= now && now < (row.to ?? Infinity))?.value ?? null
          return { gsrn, supplier: at("energy_supplier"), area: at("metering_grid_area"), end_user: at("end_user") }
        })
      )
      const agree = copies.pipe(
        Effect.flatMap((rows) =>
          JSON.stringify(rows) === JSON.stringify([...expected].sort((a, b) => (a.gsrn < b.gsrn ? -1 : 1)))
            ? Effect.void
            : Effect.fail("the copy and the source differ")
        )
      )
      yield* agree.pipe(Effect.retry(Schedule.upTo(Schedule.spaced("100 millis"), { duration: "10 seconds" })))

      const { forward, steps, versions, writes } = yield* loggedWrites
      assert.isAbove(writes, points * 3)
      // A version counts every write, and no answer was written over one that was fetched later.
      assert.deepStrictEqual({ forward, steps, versions }, { forward: writes, steps: writes, versions: writes })
    }).pipe(Effect.scoped)
  )

  it.effect("never fetch one accounting point in both background syncs at once", () =>
    Effect.gen(function* () {
      const adapter = yield* AdapterSimulator
      yield* registerAll
      yield* Effect.all([start, start], { concurrency: 2 })
      yield* adapter.reset
      yield* adapter.statistics.pipe(
        Effect.repeat({ until: (statistics) => statistics.asked >= 300, schedule: Schedule.spaced("20 millis") })
      )
      const requests = yield* adapter.requests
      const byPoint = Map.groupBy(requests, (request) => request.gsrn)
      for (const [gsrn, list] of byPoint) {
        const sorted = [...list].sort((a, b) => a.at - b.at)
        for (const [i, { at }] of sorted.entries()) {
          const before = sorted[i - 1]
          assert.isTrue(
            before === undefined || (before.ended_at ?? Infinity) <= at,
            `${gsrn} was fetched twice at once`
          )
        }
      }
    }).pipe(Effect.scoped)
  )
})
