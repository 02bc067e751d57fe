/** `penstock disk` on a database of known content. */
import { NodeServices } from "@effect/platform-node"
import { assert, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { auditTrail, observations, readDiskUse } from "../../layers/postgres/diskUse.ts"
import { jsonLines, runCommand } from "../support/runCommand.ts"
import { TestDatabase } from "../support/TestDatabase.ts"

const number = (use: Readonly<Record<string, unknown>> | undefined, name: string) => Number(use?.[name])

layer(Layer.merge(TestDatabase.layer, NodeServices.layer), { excludeTestServices: true })("penstock disk", (it) => {
  it.effect(
    "says what takes the room, topic by topic, how much of it came in the last days, and what would be free",
    () =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const { url } = yield* TestDatabase
        // Of one topic all came long ago; of the other a seventh part each day. Large documents lie outside of the rows.
        yield* sql`
        INSERT INTO topic_records (topic, partition, "offset", key, value, created_at)
        SELECT 'hilltop_raw', 0, n, 'k', repeat(md5(n::text), 30), now() - interval '300 days' FROM generate_series(1, 600) n`
        yield* sql`
        INSERT INTO topic_records (topic, partition, "offset", key, value, created_at)
        SELECT 'observations', 0, n, 'k', repeat(md5(n::text), 30), now() - n % 70 * interval '1 day' / 10 FROM generate_series(1, 600) n`
        yield* sql`
        INSERT INTO topic_records (topic, partition, "offset", key, value, created_at)
        SELECT 'large', 0, n, 'k', (SELECT string_agg(md5(n::text || m), '') FROM generate_series(1, 2000) m), now()
        FROM generate_series(1, 60) n`
        yield* sql`INSERT INTO topic_partitions (topic, partition, next_offset) VALUES ('hilltop_raw', 0, 600)`
        yield* sql`INSERT INTO topic_groups (group_name, topic, partition, next_offset) VALUES ('somebody', 'hilltop_raw', 0, 100)`
        const settings = { DATABASE_URL: url, HILLTOP_RAW_RETENTION: "100 days" }
        const [json, table] = yield* Effect.all(
          [runCommand(settings, "disk", "--json"), runCommand(settings, "disk", "--older-than", "3 days")],
          { concurrency: 2 }
        )
        assert.deepStrictEqual([json.code, json.err, table.code], [0, "", 0])
        const uses = new Map(jsonLines(json.out).map((use) => [String(use["what"]), use]))
        const [old, recent, large] = ["hilltop_raw", "observations", "large"].map((topic) => uses.get(`topic ${topic}`))
        assert.approximately(number(old, "bytes") / number(recent, "bytes"), 1, 0.3)
        assert.strictEqual(number(old, "bytes_per_day"), 0)
        assert.approximately(number(recent, "bytes_per_day") / (number(recent, "bytes") / 7), 1, 0.3)
        assert.strictEqual(recent?.["grows_by"], "created_at")
        // 60 of 64 kB each, as they are stored.
        assert.approximately(number(large, "bytes") / (60 * 64_000), 1, 0.5)
        const amount = "\\d+(?:\\.\\d)? [kM]?B"
        assert.match(
          table.out,
          new RegExp(`^topic observations +${amount} +\\d+ % +${amount} +created_at +${amount}$`, "m")
        )
        assert.include(table.out, "hilltop_raw keeps 500 records that somebody has not read.")
        // By the settings, or by what was asked for; kept for ever, nothing would be free.
        assert.approximately(number(old, "would_free"), number(old, "bytes"), 1)
        assert.isNull(recent?.["would_free"])

        // What PostgreSQL itself says.
        const [sizes] = yield* sql<{ records: number; whole: number; observations: number; share: number }>`
        SELECT pg_total_relation_size('topic_records')::float8 AS records, pg_database_size(current_database())::float8 AS whole,
          (SELECT sum(pg_total_relation_size(inhrelid)) FROM pg_inherits WHERE inhparent = 'observations'::regclass)::float8 AS observations,
          (SELECT count(*) FILTER (WHERE created_at < now() - interval '3 days') / count(*)::float8 FROM topic_records
            WHERE topic = 'observations')::float8 AS share`
        const topics = [old, recent, large].reduce((sum, use) => sum + number(use, "bytes"), 0)
        assert.approximately(topics, sizes!.records, 1_000)
        assert.isAtLeast(number(uses.get("observations"), "bytes"), sizes!.observations)
        const all = [...uses].reduce(
          (sum, [what, use]) => sum + (what === "whole database" ? 0 : number(use, "bytes")),
          0
        )
        assert.approximately(all, number(uses.get("whole database"), "bytes"), 1_000)
        assert.approximately(all / sizes!.whole, 1, 0.05)

        const asked = yield* readDiskUse(new Map(["observations", "hilltop_raw"].map((topic) => [topic, 3 * 86_400])))
        const share = (what: string) => {
          const use = asked.uses.find((one) => one.what === what)
          return (use?.wouldFree ?? Number.NaN) / (use?.bytes ?? 0)
        }
        assert.approximately(share("topic observations"), sizes!.share, 0.1)
        assert.approximately(share("topic hilltop_raw"), 1, 0.001)
        assert.isNaN(share("topic large"))
      })
  )

  it.effect("knows by an earlier look how fast grows what does not say when its rows came", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const points = Effect.map(readDiskUse(), ({ uses }) => uses.find(({ what }) => what === "accounting points")!)
      yield* sql`DELETE FROM disk_looks`
      const before = yield* points
      assert.isUndefined(before.bytesPerDay)
      yield* sql`UPDATE disk_looks SET at = at - interval '2 days'`
      yield* sql`INSERT INTO flex.accounting_point (business_id) SELECT (700000000000000000 + n)::text FROM generate_series(1, 5000) n`
      const after = yield* points
      assert.isAbove(after.bytes, before.bytes)
      assert.strictEqual(after.growsBy, "looks")
      assert.approximately(after.bytesPerDay!, (after.bytes - before.bytes) / 2, 1_000)
    })
  )

  it.effect("tells what old and superseded observations would free, and the trail of lookups", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      yield* sql`INSERT INTO observations (series_id, observed_at, value, first_seen_at, superseded_at)
        SELECT 1, timestamptz '2025-06-01' + n * interval '1 hour', v, now() - interval '90 days', CASE v WHEN 0 THEN now() - interval '60 days' END
        FROM generate_series(1, 2000) n, generate_series(0, 1) v`
      yield* sql`INSERT INTO flex.lookup_audit (caller, accounting_point_id, outcome, at)
        SELECT 'caller', (SELECT min(id) FROM flex.accounting_point), 'match', now() - n % 40 * interval '1 day' FROM generate_series(1, 4000) n`
      const { uses } = yield* readDiskUse(new Map([observations, auditTrail].map((what) => [what, 30 * 86_400])))
      const use = (wanted: string) => uses.find(({ what }) => what === wanted)!
      // Half of one year's table; the empty years have their room too.
      const [year] = yield* sql<{ bytes: number }>`SELECT pg_total_relation_size('observations_2025')::float8 AS bytes`
      assert.approximately(use(observations).wouldFree! / year!.bytes, 0.5, 0.05)
      assert.approximately(use(auditTrail).wouldFree! / use(auditTrail).bytes, 0.25, 0.05)
      assert.strictEqual(use(auditTrail).growsBy, "at")
      const packs = yield* sql<{ bytes: number }>`SELECT pg_total_relation_size('observation_packs')::float8 AS bytes`
      assert.strictEqual(use("packed observations").bytes, packs[0]?.bytes)
    })
  )
})
