/**
 * An independent client of Hilltop, hilltop-py of PyPI, reads the simulated servers without complaint and finds the values
 * that are in them: the simulator is not our own echo.
 *
 * Needs a Python that has it: `python3 -m venv V && V/bin/pip install hilltop-py`, then
 * `PENSTOCK_HILLTOP_PY=V/bin/python npx vitest run test/scripts/hilltopPy.test.ts`. Skipped without.
 */
import { NodeServices } from "@effect/platform-node"
import { assert, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { ChildProcess, ChildProcessSpawner } from "effect/process"
import { fileURLToPath } from "node:url"
import { HilltopSimulator } from "../../scripts/simulators/HilltopSimulator.ts"

const python = process.env["PENSTOCK_HILLTOP_PY"]
const program = fileURLToPath(new URL("hilltopPy.py", import.meta.url))
const [from, to] = ["2026-03-01", "2026-06-14"]

const Report = Schema.fromJsonString(
  Schema.Struct({
    version: Schema.String,
    complaints: Schema.Array(Schema.String),
    servers: Schema.Array(
      Schema.Struct({
        path: Schema.String,
        asked: Schema.Int,
        sites: Schema.Int,
        lists: Schema.Record(Schema.String, Schema.Int),
        series: Schema.Array(
          Schema.Struct({
            site: Schema.String,
            name: Schema.String,
            kind: Schema.String,
            type: Schema.String,
            rows: Schema.Array(Schema.Tuple([Schema.String, Schema.String]))
          })
        ),
        daily: Schema.Array(Schema.Int)
      })
    )
  })
)

/** hilltop-py is not told of a site whose series are of kinds that it does not know. */
const simulator = HilltopSimulator.layer({ seed: 7, sites: 8, start: "2026-06-15T12:00", speed: 0 })

it.layer(simulator, { excludeTestServices: true })("hilltop-py", (it) => {
  it.effect.skipIf(python === undefined)(
    python === undefined
      ? "reads the simulated servers (skipped: PENSTOCK_HILLTOP_PY names no Python)"
      : "reads the simulated servers without complaint, and the values that are in them",
    () =>
      Effect.gen(function* () {
        const { expected, sites, sources } = yield* HilltopSimulator
        const spawner = yield* ChildProcessSpawner.ChildProcessSpawner
        const addresses = sources.flatMap(({ htsUrl }) => {
          const { origin, pathname } = new URL(htsUrl)
          return [origin, decodeURIComponent(pathname.slice(1))]
        })
        const output = yield* spawner.string(ChildProcess.make(python ?? "", [program, from, to, ...addresses]))
        const { complaints, servers } = yield* Schema.decodeEffect(Report)(output)
        assert.deepStrictEqual(complaints, [])

        const kinds = new Set<string>()
        let compared = 0
        for (const [index, server] of servers.entries()) {
          const listed = sites(sources[index]!.councilId).filter((site) => site.listed)
          assert.isAtLeast(server.sites, listed.length)
          for (const [list, length] of Object.entries(server.lists))
            assert.isAbove(length, 0, `${server.path}: ${list}`)
          for (const days of server.daily) assert.isAbove(days, 30)
          for (const { kind, name, rows, site, type } of server.series) {
            if (type !== "StdSeries" || rows.length === 0) continue
            kinds.add(kind)
            const world = yield* expected(site, name, from, to)
            const numbers = world.filter(({ value }) => Number.isFinite(Number(value)))
            const times = new Map(rows.map(([time, value]) => [time, value]))
            for (const { observedAt, value } of numbers) {
              const read = times.get(observedAt.slice(0, 19))
              // Rain and other sums have a first row that the server adds by convention; what is in the world must be there.
              assert.isDefined(read, `${name} at ${site}, ${observedAt}`)
              assert.strictEqual(Number(read), Number(value), `${name} at ${site}, ${observedAt}`)
              compared++
            }
          }
        }
        assert.includeMembers([...kinds], ["SimpleTimeSeries", "WQData", "GaugingResults"])
        assert.isAbove(compared, 10_000)
      }).pipe(Effect.provide(NodeServices.layer)),
    300_000
  )
})
