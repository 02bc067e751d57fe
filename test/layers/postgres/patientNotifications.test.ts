/**
 * Transactions that notify commit one after the other, under one lock of the whole server. However short a time a statement waits for
 * rows, it waits for that lock as long as usual: whoever is slow to commit makes others slower, and fails none of them.
 *
 * A server of the test's own: somebody who notifies there waits at the commit, with that lock, for a replica that never comes.
 */
import { NodeServices } from "@effect/platform-node"
import { assert, it } from "@effect/vitest"
import {
  ConfigProvider,
  Context,
  Duration,
  Effect,
  Fiber,
  FileSystem,
  Layer,
  Redacted,
  References,
  Schedule
} from "effect"
import { SqlClient } from "effect/sql"
import { globSync, readFileSync } from "node:fs"
import { resolve } from "node:path"
import { PgHilltopAdministration } from "../../../layers/api/PgHilltopAdministration.ts"
import { PgTaskSearch } from "../../../layers/api/PgTaskSearch.ts"
import { PgHilltopQueue } from "../../../layers/crawl/PgHilltopQueue.ts"
import { PgHilltopSources } from "../../../layers/crawl/PgHilltopSources.ts"
import { startEmbeddedPostgres } from "../../../layers/embedded/EmbeddedPostgres.ts"
import { Database } from "../../../layers/postgres/Database.ts"
import { PgEventInbox } from "../../../layers/sync/PgEventInbox.ts"
import { HilltopAdministration } from "../../../src/api/HilltopAdministration.ts"
import { TaskSearch } from "../../../src/api/TaskSearch.ts"
import { HilltopQueue } from "../../../src/crawl/HilltopQueue.ts"
import { HilltopSources } from "../../../src/crawl/HilltopSources.ts"
import { planChange } from "../../../src/crawl/PlanChange.ts"
import { HtsUrl } from "../../../src/hilltop/HilltopUrl.ts"
import { EventInbox } from "../../../src/sync/EventInbox.ts"
import { settlementOf } from "../../crawl/settlementOf.ts"
import { withConnection } from "../../support/adminConnection.ts"
import { gsrnOf } from "../../support/gsrns.ts"
import { TestDatabase } from "../../support/TestDatabase.ts"

const services = Layer.merge(NodeServices.layer, Layer.succeed(References.MinimumLogLevel, "Error"))

class OwnServer extends Context.Service<OwnServer, Redacted.Redacted>()("penstock/test/layers/OwnServer") {
  static readonly layer = Layer.effect(
    OwnServer,
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const home = yield* fs.makeTempDirectoryScoped({ prefix: "penstock-test-" })
      yield* fs.chmod(home, 0o711)
      const { url } = yield* startEmbeddedPostgres({ directory: `${yield* fs.realPath(home)}/postgres` })
      // For everybody but who says otherwise, a commit is one of this server alone.
      yield* withConnection(url, (sql) =>
        Effect.gen(function* () {
          yield* sql`ALTER DATABASE penstock SET synchronous_commit = 'local'`.unprepared
          yield* sql`ALTER SYSTEM SET synchronous_standby_names = 'nobody'`.unprepared
          yield* sql`SELECT pg_reload_conf()`
        })
      )
      return url
    })
  ).pipe(Layer.provide(services))
}

const stores = Layer.mergeAll(
  PgHilltopQueue,
  PgHilltopSources,
  PgHilltopAdministration,
  PgTaskSearch,
  PgEventInbox
).pipe(
  Layer.provideMerge(
    Layer.unwrap(
      Effect.map(OwnServer, (url) =>
        Database.pipe(
          Layer.provide(ConfigProvider.layer(ConfigProvider.fromEnvRecord({ DATABASE_URL: Redacted.value(url) })))
        )
      )
    )
  ),
  Layer.provideMerge(OwnServer.layer)
)

const ofNotifications = "locktype = 'object' AND classid = 'pg_database'::regclass AND objid = 0"
const soon = { schedule: Schedule.upTo(Schedule.spaced("10 millis"), { duration: "20 seconds" }) }

/** Runs `use` while somebody notifies and does not get on, until it has waited for longer than anything waits for a row here. */
const whileNotifying = <A, E, R>(use: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const url = yield* OwnServer
    const stranger = yield* Effect.forkChild(
      withConnection(url, (sql) =>
        Effect.andThen(
          sql`SET synchronous_commit = 'on'`,
          // Only what was written is waited for.
          sql`SELECT pg_notify('somebody', ''), pg_logical_emit_message(true, 'somebody', 'writes')::text`
        )
      )
    )
    return yield* withConnection(url, (sql) =>
      Effect.gen(function* () {
        const holders = sql<{ pid: number }>`
          SELECT pid FROM pg_locks JOIN pg_stat_activity USING (pid)
          WHERE ${sql.literal(ofNotifications)} AND granted AND wait_event = 'SyncRep'`
        const [holder] = yield* Effect.repeat(holders, { until: (found) => found.length > 0, ...soon })
        const using = yield* Effect.forkChild(Effect.exit(use))
        const waiters = sql`
          SELECT pid FROM pg_locks
          WHERE ${sql.literal(ofNotifications)} AND NOT granted AND clock_timestamp() - waitstart > interval '400 ms'`
        const patient = yield* Effect.raceFirst(
          Effect.as(Effect.repeat(waiters, { until: (found) => found.length > 0, ...soon }), true),
          Effect.as(Fiber.await(using), false)
        )
        yield* sql`SELECT pg_cancel_backend(${holder!.pid}::int4)`
        yield* Fiber.join(stranger)
        assert.isTrue(patient, "it waits for its turn to notify")
        return yield* yield* Fiber.join(using)
      })
    )
  })

it.layer(stores, { excludeTestServices: true, timeout: "2 minutes" })("while somebody is slow to commit", (it) => {
  const url = HtsUrl.make("http://patient.example.nz/data.hts")
  const configuration = { measurementNames: ["Flow"] }
  const registration = { council_id: 1, hts_url: url, configuration, paused: false }
  const list = (sourceId: number, n: number) => ({
    sourceId,
    requestType: "MEASUREMENTS_LIST" as const,
    fetchUrl: `${url}?Service=Hilltop&Request=MeasurementList&Site=S${n}`,
    details: { siteName: `S${n}` }
  })

  it.effect("whatever notifies waits for its turn", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const queue = yield* HilltopQueue
      const sources = yield* HilltopSources
      const administration = yield* HilltopAdministration
      const source = yield* whileNotifying(administration.addSource(registration))
      yield* whileNotifying(administration.replaceSource(source.id, registration))
      yield* whileNotifying(administration.pauseSource(source.id))
      yield* whileNotifying(administration.resumeSource(source.id))
      assert.strictEqual(yield* whileNotifying(queue.enqueue([list(source.id, 1), list(source.id, 2)])), 2)

      // A clock that was set back: what was due is due later than what is asked for again now.
      const [task] = yield* queue.claim(1)
      yield* sql`UPDATE hilltop_fetch_tasks SET next_fetch_at = next_fetch_at + interval '1 day' WHERE id = ${task!.id}`
      yield* sql`UPDATE hilltop_fetch_leases SET due_at = due_at + interval '1 day' WHERE task_id = ${task!.id}`
      assert.deepStrictEqual(yield* whileNotifying(queue.settle([settlementOf(task!, { delay: Duration.zero })])), [])

      yield* sql`UPDATE hilltop_fetch_tasks SET unavailable_since = now()`
      yield* whileNotifying(queue.wake([list(source.id, 1)]))
      assert.strictEqual((yield* whileNotifying(administration.runTask(task!.id)))?.id, task!.id)
      yield* sql`UPDATE hilltop_fetch_tasks SET set_aside_at = now(), set_aside_reason = 'lost'`
      assert.strictEqual(yield* whileNotifying(TaskSearch.use((search) => search.redriveLost(source.id, 10))), 2)

      const change = planChange({ id: source.id, councilId: 1, htsUrl: url, configuration }, undefined)
      yield* whileNotifying(sources.replan(change!))

      const gsrn = gsrnOf(1)
      yield* sql`INSERT INTO flex.accounting_point (business_id) VALUES (${gsrn})`
      const told = yield* whileNotifying(
        EventInbox.use((inbox) => inbox.record([{ gsrn, occurredAt: Date.UTC(2026, 0, 1) }]))
      )
      assert.strictEqual(told.recorded, 1)
    })
  )
})

it.layer(TestDatabase.layer, { excludeTestServices: true })("nothing notifies but by what waits for its turn", (it) => {
  it.effect("in the database", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const impatient = yield* sql<{ name: string }>`
        SELECT proname AS name FROM pg_proc WHERE prosrc ~* 'pg_notify|NOTIFY ' AND pronamespace <> 'pg_catalog'::regnamespace`
      assert.deepStrictEqual(impatient, [{ name: "notify_patiently" }])
    })
  )

  it("in what is sent to it", () => {
    const root = resolve(import.meta.dirname, "../../..")
    const impatient = globSync("{layers,scripts/commands}/**/*.ts", { cwd: root })
      // As a client of Effect offers it, in a session that waits as usual.
      .filter((file) => file !== "layers/postgres/PgConnections.ts")
      .filter((file) => /pg_notify|`\s*NOTIFY\b/.test(readFileSync(`${root}/${file}`, "utf8")))
    assert.deepStrictEqual(impatient, [])
  })
})
