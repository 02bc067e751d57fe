/** `penstock disk` on a database of known content. */
import { NodeServices } from "@effect/platform-node"
import { assert, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { jsonLines, runCommand } from "../support/runCommand.ts"
import { TestDatabase } from "../support/TestDatabase.ts"

const usesIn = (out: string) => new Map(jsonLines(out).map((use) => [String(use["what"]), use]))
const number = (use: Readonly<Record<string, unknown>> | undefined, name: string) => Number(use?.[name])

layer(Layer.merge(TestDatabase.layer, NodeServices.layer), { excludeTestServices: true })("penstock disk", (it) => {
  it.effect("says what takes the room, topic by topic, how much of it came in the last days, and what would be free", () =>
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
      const [json, table] = yield* Effect.all(
        [runCommand({ DATABASE_URL: url }, "disk", "--json"), runCommand({ DATABASE_URL: url }, "disk")],
        { concurrency: 2 }
      )
      assert.deepStrictEqual([json.code, json.err, table.code], [0, "", 0])
      const uses = usesIn(json.out)
      const [old, recent, large] = ["hilltop_raw", "observations", "large"].map((topic) => uses.get(`topic ${topic}`))
      assert.approximately(number(old, "bytes") / number(recent, "bytes"), 1, 0.3)
      assert.strictEqual(number(old, "bytes_per_day"), 0)
      assert.approximately(number(recent, "bytes_per_day") / (number(recent, "bytes") / 7), 1, 0.3)
      assert.strictEqual(recent?.["grows_by"], "created_at")
      // 60 of 64 kB each, as they are stored.
      assert.approximately(number(large, "bytes") / (60 * 64_000), 1, 0.5)
      assert.match(table.out, /^topic observations +\d+(?:\.\d)? [kM]B +\d+ % +\d+(?:\.\d)? [kM]B +created_at +–$/m)
      // Kept for ever, nothing would be free.
      assert.isNull(recent?.["would_free"])

      // What PostgreSQL itself says.
      const [sizes] = yield* sql<{ records: number; whole: number; observations: number }>`
        SELECT pg_total_relation_size('topic_records')::float8 AS records, pg_database_size(current_database())::float8 AS whole,
          (SELECT sum(pg_total_relation_size(inhrelid)) FROM pg_inherits WHERE inhparent = 'observations'::regclass)::float8 AS observations`
      const topics = [old, recent, large].reduce((sum, use) => sum + number(use, "bytes"), 0)
      assert.approximately(topics, sizes!.records, 1_000)
      assert.isAtLeast(number(uses.get("observations"), "bytes"), sizes!.observations)
      const all = [...uses].reduce((sum, [what, use]) => sum + (what === "whole database" ? 0 : number(use, "bytes")), 0)
      assert.approximately(all, number(uses.get("whole database"), "bytes"), 1_000)
      assert.approximately(all / sizes!.whole, 1, 0.02)

      const asked = yield* Effect.all(
        [
          runCommand({ DATABASE_URL: url }, "disk", "--json", "--older-than", "3 days"),
          runCommand({ DATABASE_URL: url, HILLTOP_RAW_RETENTION: "100 days" }, "disk", "--json"),
          runCommand({ DATABASE_URL: url }, "disk", "--older-than", "yesterday")
        ],
        { concurrency: 2 }
      )
      const [ofThree, bySettings] = asked.map(({ out }) => usesIn(out))
      const share = (found: typeof uses | undefined, topic: string) => {
        const use = found?.get(`topic ${topic}`)
        return use?.["would_free"] === null ? null : number(use, "would_free") / number(use, "bytes")
      }
      const [exactly] = yield* sql<{ share: number }>`
        SELECT (count(*) FILTER (WHERE created_at < now() - interval '3 days') / count(*)::float8)::float8 AS share
        FROM topic_records WHERE topic = 'observations'`
      assert.approximately(share(ofThree, "observations")!, exactly!.share, 0.1)
      assert.approximately(share(ofThree, "hilltop_raw")!, 1, 0.001)
      assert.approximately(share(bySettings, "hilltop_raw")!, 1, 0.001)
      assert.isNull(share(bySettings, "observations"))
      assert.notStrictEqual(asked[2].code, 0)
    })
  )

  it.effect("knows by an earlier look how fast grows what does not say when its rows came", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const { url } = yield* TestDatabase
      const points = Effect.map(runCommand({ DATABASE_URL: url }, "disk", "--json"), ({ out }) =>
        usesIn(out).get("accounting points")
      )
      assert.isNull((yield* points)?.["bytes_per_day"])
      yield* sql`UPDATE disk_looks SET at = at - interval '2 days'`
      yield* sql`INSERT INTO flex.accounting_point (business_id) SELECT (700000000000000000 + n)::text FROM generate_series(1, 5000) n`
      const after = yield* points
      const [before] = yield* sql<{ bytes: number }>`
        SELECT bytes::float8 AS bytes FROM disk_looks WHERE what = 'accounting points' ORDER BY at LIMIT 1`
      assert.strictEqual(after?.["grows_by"], "looks")
      assert.approximately(number(after, "bytes_per_day"), (number(after, "bytes") - before!.bytes) / 2, 1_000)
    })
  )
})
