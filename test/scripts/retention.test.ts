/** The service as a process that lets go of what its settings say, tells of it, and refuses a replay that would lose something. */
import { NodeHttpClient, NodeServices } from "@effect/platform-node"
import { assert, layer } from "@effect/vitest"
import { Effect, Layer, Redacted, Schedule } from "effect"
import { HttpClient } from "effect/http"
import { SqlClient } from "effect/sql"
import { mapperGroup } from "../../src/stream/mappingStage.ts"
import { samplesIn } from "../support/exposition.ts"
import { runCommand } from "../support/runCommand.ts"
import { runPenstock } from "../support/runPenstock.ts"
import { TestDatabase } from "../support/TestDatabase.ts"

layer(Layer.mergeAll(TestDatabase.layer, NodeServices.layer, NodeHttpClient.layerUndici), {
  excludeTestServices: true
})("retention of a service", (it) => {
  it.effect(
    "lets go of what its settings say, counts it and logs it once, and keeps the rest",
    () =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const { url } = yield* TestDatabase
        // Read long ago; what is not a document is no matter here.
        yield* sql`INSERT INTO topic_partitions (topic, partition, next_offset) VALUES ('hilltop_raw', 3, 8)`
        yield* sql`INSERT INTO topic_records (topic, partition, "offset", key, value, created_at)
            SELECT 'hilltop_raw', 3, n, '{}', '{}', now() - CASE WHEN n < 5 THEN interval '9 days' ELSE interval '1 day' END FROM generate_series(0, 7) n`
        yield* sql`INSERT INTO topic_groups (group_name, topic, partition, next_offset) VALUES (${mapperGroup}, 'hilltop_raw', 3, 8)`
        yield* sql`INSERT INTO flex.accounting_point (business_id) VALUES ('707057500000000001')`
        yield* sql`INSERT INTO flex.lookup_audit (caller, accounting_point_id, outcome, at)
            SELECT 'caller', 1, 'match', now() - n * interval '1 day' FROM generate_series(1, 40) n`
        const settings = {
          DATABASE_URL: Redacted.value(url),
          PENSTOCK_ROLES: "api",
          HILLTOP_RAW_RETENTION: "7 days",
          LOOKUP_AUDIT_RETENTION: "30 days"
        }
        const service = yield* runPenstock(settings)
        const removed = HttpClient.get(`${service.url}/metrics`).pipe(
          Effect.flatMap(({ text }) => text),
          Effect.map((text) =>
            samplesIn(text)
              .filter(({ name }) => name === "penstock_retention_removed_total")
              .map(({ labels, value }) => [labels["what"], value] as const)
          ),
          Effect.scoped
        )
        const found = yield* removed.pipe(
          Effect.repeat({
            until: (all) => all.filter(([, rows]) => rows > 0).length === 2,
            schedule: Schedule.spaced("100 millis")
          }),
          Effect.timeout("40 seconds")
        )
        assert.deepStrictEqual(
          new Map(found),
          new Map([
            ["hilltop_raw", 5],
            ["lookup_audit", 11]
          ])
        )
        // Counted a moment before it is logged; the last line may not be whole yet.
        const lines = yield* Effect.sync(() =>
          service
            .output()
            .split("\n")
            .slice(0, -1)
            .filter((line) => line.includes("retention: removed"))
        ).pipe(
          Effect.repeat({ until: ({ length }) => length >= 2, schedule: Schedule.spaced("50 millis") }),
          Effect.timeout("40 seconds")
        )
        assert.deepStrictEqual(
          lines.map((line) => (JSON.parse(line) as { attributes?: unknown }).attributes),
          [
            { what: "hilltop_raw", rows: 5 },
            { what: "lookup_audit", rows: 11 }
          ]
        )
        const [left] = yield* sql`SELECT min("offset")::int4 AS first, count(*)::int4 AS records,
            (SELECT count(*)::int4 FROM flex.lookup_audit) AS lookups FROM topic_records WHERE topic = 'hilltop_raw'`
        assert.deepStrictEqual(left, { first: 5, records: 3, lookups: 29 })

        const replay = yield* runCommand({ DATABASE_URL: url }, "topic", "replay")
        assert.notStrictEqual(replay.code, 0)
        assert.match(replay.err, /5 documents of hilltop_raw were let go of[\s\S]*--drop-missing/)
      }).pipe(Effect.scoped),
    120_000
  )
})
