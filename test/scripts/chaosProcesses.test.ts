/** What a run of chaos knows of the processes of an instance, and of the years that it has packed in a hurry. */
import { NodeServices } from "@effect/platform-node"
import { assert, it, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { spawn } from "node:child_process"
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { faultNamed } from "../../scripts/chaos/allFaults.ts"
import { isPacking, processesOf, rolesOf } from "../../scripts/chaos/chaosRoles.ts"
import { furtherOf, outlasting } from "../../scripts/chaos/outlivingProcesses.ts"
import { hurried, hurries } from "../../scripts/chaos/hurried.ts"
import { doubledValues } from "../../scripts/chaos/packPromises.ts"
import { HilltopSimulator } from "../../scripts/simulators/HilltopSimulator.ts"
import { TestDatabase } from "../support/TestDatabase.ts"

const shape = { instances: 2, councils: 2, brokers: 3, postgres: "own with a disk" } as const

it("lets single processes fail wherever an instance has several that share its work", () => {
  for (const instances of [1, 2, 3, 4]) {
    const last = `instance ${instances}`
    for (const kind of ["first-killed", "first-paused", "further-killed", "further-paused"]) {
      assert.deepStrictEqual(faultNamed(kind).targets({ ...shape, instances }), [last])
    }
    const roles = rolesOf(instances)
    assert.includeMembers([...roles[instances - 1]!], ["crawl", "stream"])
    const packs = roles.filter((_, i) => isPacking(i + 1, instances))
    assert.lengthOf(packs, 1)
    assert.include(packs[0]!, "stream")
    assert.strictEqual(processesOf(instances, instances), 2)
  }
})

it("stops brokers one by one, and all of them in turn", () => {
  assert.deepStrictEqual(faultNamed("broker-stopped").targets(shape), [
    "brokers, one after the other",
    "broker 1",
    "broker 2",
    "broker 3"
  ])
  assert.deepStrictEqual(faultNamed("broker-stopped").targets({ ...shape, brokers: 1 }), [])
})

it("hurries only where the lines that take their time are still there", () => {
  for (const { file } of hurries) {
    const source = readFileSync(join(import.meta.dirname, "../..", file), "utf8")
    assert.notStrictEqual(hurried(file)?.(source), source)
    assert.throws(() => hurried(file)?.("something else"), /does not say any more/)
  }
  assert.isUndefined(hurried("layers/Main.ts"))
})

layer(NodeServices.layer, { excludeTestServices: true })("a further process", (it) => {
  it.effect("that outlives its first one is found, also standing still, and ended; one that ends is not", () =>
    Effect.gen(function* () {
      const program = join(mkdtempSync(join(tmpdir(), "penstock-")), "furtherProcess.ts")
      writeFileSync(program, "setInterval(() => {}, 1_000)")
      const start = Effect.acquireRelease(
        Effect.sync(() => spawn(process.execPath, [program], { stdio: "ignore" })),
        (child) => Effect.sync(() => child.kill("SIGKILL"))
      )
      const [one, other] = [yield* start, yield* start]
      const found = yield* furtherOf(process.pid)
      assert.sameMembers(
        found.map(({ pid }) => pid),
        [one.pid, other.pid]
      )
      one.kill("SIGKILL")
      other.kill("SIGSTOP")
      assert.strictEqual(yield* outlasting(found, "1 second"), 1)
      assert.strictEqual(yield* outlasting(found, "10 seconds"), 0)
      assert.deepStrictEqual(yield* furtherOf(process.pid), [])
    }).pipe(Effect.scoped)
  )
})

layer(
  HilltopSimulator.layer({
    seed: 5,
    councils: 1,
    sites: 1,
    start: "2026-08-20T00:00:00",
    speed: 0,
    archive: { endedDaysAgo: 240, correctedEvery: 600 }
  }),
  { excludeTestServices: true }
)("an archive", (it) => {
  it.effect("ends where it was said to, and is corrected again and again, in all of it", () =>
    Effect.gen(function* () {
      const world = yield* HilltopSimulator
      const site = world.sites(world.sources[0]!.councilId).find(({ alive }) => !alive)
      const series = site!.series.find(({ rated, virtual }) => !rated && !virtual)
      const values = (from: string, to: string) =>
        Effect.map(world.expected(site!.name, series!.requestAs, from, to), (rows) => rows.map(({ value }) => value))
      const all = values("2025-01-01", "2025-12-31T23:59:59")
      const before = yield* all
      assert.isAbove(before.length, 1_000)
      assert.deepStrictEqual(yield* values("2026-01-01", "2026-08-20"), [])
      let changed = 0
      for (let n = 0; n < 6; n++) {
        const last = yield* all
        yield* world.time.advance("10 minutes")
        if ((yield* all).some((value, i) => value !== last[i])) changed++
      }
      assert.isAtLeast(changed, 4)
    })
  )
})

layer(Layer.merge(TestDatabase.layer, NodeServices.layer), { excludeTestServices: true })("a value", (it) => {
  it.effect("that lies in a pack and in the table is found", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      yield* sql`INSERT INTO observation_sites (council_id, name) VALUES (1, 'Awa')`
      yield* sql`INSERT INTO observation_sites_measurements (site_id, measurement_name) SELECT 1, 'Flow'`
      const moment = sql`timestamptz '2023-03-01 00:00+12'`
      yield* sql`INSERT INTO observations (series_id, observed_at, value, first_seen_at) VALUES (1, ${moment}, 1, ${moment})`
      assert.strictEqual(yield* doubledValues, 0)
      yield* sql`
        INSERT INTO observation_packs (series_id, starts_at, ends_at, observed_at, value, first_seen_at)
        VALUES (1, ${moment}, ${moment} + interval '1 month', ARRAY[${moment}], ARRAY[1], ARRAY[${moment}])`
      assert.strictEqual(yield* doubledValues, 1)
    })
  )
})
