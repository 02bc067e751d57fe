/** `penstock disk` on a database of known content. */
import { NodeServices } from "@effect/platform-node"
import { assert, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { jsonLines, runCommand } from "../support/runCommand.ts"
import { TestDatabase } from "../support/TestDatabase.ts"

layer(Layer.merge(TestDatabase.layer, NodeServices.layer), { excludeTestServices: true })("penstock disk", (it) => {
  it.effect("says what takes the room, topic by topic, and how much of it came in the last days", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const { url } = yield* TestDatabase
      // Of one topic all came long ago; of the other a seventh part each day.
      yield* sql`
        INSERT INTO topic_records (topic, partition, "offset", key, value, created_at)
        SELECT 'old', 0, n, 'k', repeat(md5(n::text), 30), now() - interval '300 days' FROM generate_series(1, 4000) n`
      yield* sql`
        INSERT INTO topic_records (topic, partition, "offset", key, value, created_at)
        SELECT 'new', 0, n, 'k', repeat(md5(n::text), 30), now() - n % 70 * interval '1 day' / 10 FROM generate_series(1, 4000) n`
      const [json, table] = yield* Effect.all(
        [runCommand({ DATABASE_URL: url }, "disk", "--json"), runCommand({ DATABASE_URL: url }, "disk")],
        { concurrency: 2 }
      )
      assert.deepStrictEqual([json.code, json.err, table.code], [0, "", 0])
      const uses = new Map(jsonLines(json.out).map((use) => [use["what"], use]))
      const [old, recent, whole] = ["topic old", "topic new", "whole database"].map((what) => ({
        bytes: Number(uses.get(what)?.["bytes"]),
        perDay: Number(uses.get(what)?.["bytes_per_day"])
      }))
      assert.approximately(old!.bytes / recent!.bytes, 1, 0.3)
      assert.strictEqual(old!.perDay, 0)
      assert.approximately(recent!.perDay / (recent!.bytes / 7), 1, 0.3)
      assert.isAbove(whole!.bytes, old!.bytes + recent!.bytes)
      assert.match(table.out, /^topic new +\d+(?:\.\d)? [kM]B +\d+ % +\d+(?:\.\d)? [kM]B$/m)
    })
  )
})
