/**
 * Thin events recorded in batches of 1,000 by two writers, about any of 100,000 accounting points, every one of them news;
 * against pgbench upserting as many moments, by id, into a table with the same columns, indexes and rows.
 *
 * Without a pgbench on the machine the same upsert is sent by the service's own client, and the table says so.
 */
import { Effect, FileSystem, Layer, Option, Stream } from "effect"
import { ChildProcess } from "effect/process"
import { SqlClient } from "effect/sql"
import { PgEventInbox } from "../../layers/sync/PgEventInbox.ts"
import { environment, run } from "../../layers/embedded/SystemProcess.ts"
import { EventInbox } from "../../src/sync/EventInbox.ts"
import { BenchDatabase, BenchPostgres, postgresVersion, temporaryDirectory, withoutDeadlines } from "./BenchPostgres.ts"
import { BenchFailed } from "./BenchProcess.ts"
import type { Figure } from "./Figure.ts"
import { inventSyncRows } from "./InventedSyncRows.ts"
import { perSecond, takeTurns } from "./Measure.ts"
import { randomEvents } from "./randomEvents.ts"
import type { GroupResult } from "./Report.ts"

const points = 100_000
const writers = 2
/** Of one writer in one turn. */
const batches = 20
const batchSize = 1_000

/** In the order of the ids, as the inbox does it, so that two of them never wait for each other crosswise. */
const upsert = `
  INSERT INTO bare_sync (accounting_point_id, last_event_at)
  SELECT DISTINCT 1 + floor(random() * ${points})::int4, now() FROM generate_series(1, ${batchSize}) ORDER BY 1
  ON CONFLICT (accounting_point_id) DO UPDATE SET last_event_at = excluded.last_event_at;`

/** On the path, or where Debian keeps the newest. */
const findPgbench = run("/bin/sh", [
  "-c",
  "command -v pgbench || ls /usr/lib/postgresql/*/bin/pgbench 2>/dev/null | sort -V | tail -n 1"
]).pipe(
  Effect.map((text) => text.trim()),
  Effect.filterOrFail((path) => path !== ""),
  Effect.option
)

/** Runs the script by two clients; how many rows a second they upserted by pgbench's own count. */
const runPgbench = Effect.fnUntraced(function* (pgbench: string, script: string) {
  const { hostname, password, pathname, port, username } = new URL((yield* BenchPostgres).url)
  const count = ["-c", String(writers), "-j", String(writers), "-t", String(batches)]
  const handle = yield* ChildProcess.make(pgbench, ["-n", "-M", "prepared", ...count, "-f", script], {
    env: {
      ...environment(),
      PGHOST: hostname,
      PGPORT: port,
      PGUSER: decodeURIComponent(username),
      PGPASSWORD: decodeURIComponent(password),
      PGDATABASE: pathname.slice(1)
    },
    extendEnv: false,
    stdin: "ignore",
    stderr: "inherit"
  })
  const said = yield* Stream.mkString(Stream.decodeText(handle.stdout))
  const [, tps] = /^tps = ([\d.]+)/m.exec(said) ?? []
  if (tps === undefined) return yield* new BenchFailed({ message: "pgbench did not say how fast it was" })
  return Number(tps) * batchSize
}, Effect.scoped)

const inventBoth = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  yield* inventSyncRows(points)
  yield* sql`CREATE TABLE bare_sync (LIKE flex.accounting_point_sync INCLUDING ALL) WITH (fillfactor = 80)`
  yield* sql`INSERT INTO bare_sync SELECT * FROM flex.accounting_point_sync ORDER BY accounting_point_id`
  // The upsert names no number, which the sync row has to have.
  yield* sql`ALTER TABLE bare_sync ALTER COLUMN business_id DROP NOT NULL`
  yield* sql`VACUUM (ANALYZE) bare_sync`
  yield* sql`CHECKPOINT`
})

const measured = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const fs = yield* FileSystem.FileSystem
  const inbox = yield* EventInbox
  yield* withoutDeadlines((yield* BenchPostgres).url)(inventBoth)

  const byTwo = <E, R>(batch: Effect.Effect<unknown, E, R>) =>
    perSecond(
      Effect.forEach(Array.from({ length: writers }), () => Effect.replicateEffect(batch, batches), {
        concurrency: writers
      }).pipe(Effect.as(writers * batches * batchSize))
    )
  const record = Effect.gen(function* () {
    const { stale, unknown } = yield* Effect.flatMap(randomEvents(points, batchSize), inbox.record)
    // The same point twice in a batch, and hardly ever in the other writer's at the same moment.
    if (unknown === 0 && stale < batchSize / 20) return
    return yield* new BenchFailed({ message: `of a batch ${unknown} events were unknown and ${stale} stale` })
  })

  const pgbench = yield* findPgbench
  const script = `${yield* temporaryDirectory}/upsert.sql`
  yield* fs.writeFileString(script, upsert.replaceAll("\n", " "))
  const bare = Option.match(pgbench, {
    onSome: (path) => runPgbench(path, script),
    onNone: () => byTwo(sql.unsafe(upsert))
  })
  const turns = yield* takeTurns({ name: "events", rounds: 7 }, { record: byTwo(record), bare })
  const figures: ReadonlyArray<Figure> = [
    {
      name: "events in batches of 1,000, two writers",
      yardstick: Option.isSome(pgbench) ? "bare upsert by pgbench" : "bare upsert by the same client (no pgbench here)",
      unit: "events/s",
      better: "higher",
      targets: [{ of: "figure", bound: 20_000 }],
      rounds: turns.map(({ bare, record }) => ({ figure: record, yardstick: bare }))
    }
  ]
  return { figures, postgres: yield* postgresVersion } satisfies GroupResult
})

export const benchEvents = Effect.provide(measured, Layer.provideMerge(PgEventInbox, BenchDatabase))
