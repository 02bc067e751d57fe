/** `penstock purge` in a process of its own: counts first, deletes then, and says whose data it was in neither case. */
import { NodeServices } from "@effect/platform-node"
import { assert, layer } from "@effect/vitest"
import { Effect, Layer, Stream } from "effect"
import { ChildProcess } from "effect/process"
import { SqlClient } from "effect/sql"
import { gsrnOf } from "../support/gsrns.ts"
import { bareEnvironment, place } from "../support/runCommand.ts"
import { TestDatabase } from "../support/TestDatabase.ts"

const text = <E, R>(bytes: Stream.Stream<Uint8Array, E, R>) => Stream.mkString(Stream.decodeText(bytes))

const purge = Effect.fnUntraced(function* (args: ReadonlyArray<string>) {
  const { url } = yield* TestDatabase
  const child = yield* ChildProcess.make(process.execPath, [place("scripts/penstock.ts"), "purge", ...args], {
    env: {
      ...bareEnvironment,
      DATABASE_URL: url,
      LOG_LEVEL: "trace"
    }
  })
  const [out, err, code] = yield* Effect.all([text(child.stdout), text(child.stderr), child.exitCode], {
    concurrency: "unbounded"
  })
  return { out, err, code: Number(code) }
}, Effect.scoped)

layer(Layer.merge(TestDatabase.layer, NodeServices.layer), { excludeTestServices: true })("penstock purge", (it) => {
  it.effect("says what would go, lets it go, and finds nothing more", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const person = (n: number) => `0101901${String(n).padStart(4, "0")}`
      for (let n = 0; n < 5; n++) {
        yield* sql`
          WITH point AS (
            INSERT INTO flex.accounting_point (business_id, created_at)
            VALUES (${gsrnOf(n)}, now() - ${n * 10}::int4 * interval '1 day') RETURNING id
          ), person AS (INSERT INTO flex.end_user (business_id, type) VALUES (${person(n)}, 'person') RETURNING id)
          INSERT INTO flex.accounting_point_end_user (accounting_point_id, end_user_id, valid_time_range)
          SELECT point.id, person.id, '[2020-01-01,)' FROM point, person`
      }
      yield* sql`INSERT INTO flex.controllable_unit (business_id, name, accounting_point_id)
        SELECT gen_random_uuid(), 'Unit', id FROM flex.accounting_point WHERE business_id = ${gsrnOf(4)}`
      const kept = sql`SELECT business_id FROM flex.accounting_point ORDER BY id`.pipe(
        Effect.map((rows) => rows.map((row) => row["business_id"]))
      )
      const all = [0, 1, 2, 3, 4].map(gsrnOf)

      const unsaid = yield* purge([])
      assert.strictEqual(unsaid.code, 2)
      assert.include(unsaid.err, "--not-relevant-for")
      const would = yield* purge(["--not-relevant-for", "15 days", "--dry-run"])
      const what =
        "2 accounting points, with 0 terminated controllable units and 0 entries of the audit trail, and 2 end users"
      assert.deepInclude(would, { out: `Would delete ${what}.\n`, code: 0 })
      assert.deepStrictEqual(yield* kept, all)
      const did = yield* purge(["--not-relevant-for", "15 days"])
      assert.deepInclude(did, { out: `Deleted ${what}.\n`, code: 0 })
      assert.deepStrictEqual(yield* kept, [0, 1, 4].map(gsrnOf))
      for (const { err, out } of [would, did]) {
        for (const n of all.keys()) {
          assert.notInclude(out + err, person(n))
          assert.notInclude(out + err, gsrnOf(n))
        }
      }
      const again = yield* purge(["--not-relevant-for", "15 days"])
      assert.include(again.out, "Deleted 0 accounting points")
    })
  )
})
