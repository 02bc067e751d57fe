/**
 * How the simulated Hilltop world moves with time: what arrives late, what is corrected afterwards, what stays.
 * The tests share one world whose time only goes forward, so each starts from the present it finds.
 */
import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { HilltopSimulator } from "../../scripts/simulators/HilltopSimulator.ts"
import { data, putJson, rowsOf, simulated, siteWith, still } from "./askHilltop.ts"

// Corrected five times as often as usual, so that a few rivers show what they should and should not.
layer(simulated({ ...still, sites: 20, historyDays: 60, corrections: 5 }), { excludeTestServices: true })(
  "Hilltop simulator, time moved by hand",
  (it) => {
    it.effect("gives the same bytes at the same moment, and the same values and more a little later", () =>
      Effect.gen(function* () {
        const { time } = yield* HilltopSimulator
        const site = yield* siteWith(901, "rain")
        const latest = data(901, site.name, "Rainfall [SCADA Rainfall]", { TimeInterval: "P1D/now" })
        const before = yield* latest
        assert.strictEqual(yield* latest, before)
        yield* time.advance("30 minutes")
        const [old, fresh] = [rowsOf(before), rowsOf(yield* latest)]
        assert.isAbove(fresh.length, old.length - 10)
        // The window slides: the first half hour has left it, some later rows have come.
        const last = old.at(-1)?.[0] ?? ""
        assert.isTrue(fresh.some(([at]) => at > last))
        assert.isTrue(
          fresh
            .filter(([at]) => at <= last)
            .every(([at, value]) => old.some((row) => row[0] === at && row[1] === value))
        )
      })
    )

    it.effect("brings telemetry 5 to 15 minutes late, a logger's rows in batches of hours", () =>
      Effect.gen(function* () {
        const { expected, time } = yield* HilltopSimulator
        const now = yield* time.now
        const site = yield* siteWith(901, "rain")
        const river = yield* siteWith(902, "bore")
        /** For each row, the first whole minute at which it is known. */
        const delays = Effect.fnUntraced(function* (name: string, series: string, hours: number) {
          const seen = new Map<number, number>()
          for (let minute = -hours * 60; minute <= 0; minute++) {
            const asOf = now + minute * 60_000
            const from = new Date(asOf - 12 * 3_600_000).toISOString()
            for (const row of yield* expected(name, series, from, "2027-01-01", asOf)) {
              if (!seen.has(row.at)) seen.set(row.at, minute === -hours * 60 ? Number.NaN : (asOf - row.at) / 60_000)
            }
          }
          return [...seen.values()].filter((delay) => !Number.isNaN(delay))
        })
        const telemetry = yield* delays(site.name, "Rainfall [SCADA Rainfall]", 6)
        // A reading that failed is made good ten minutes later.
        assert.isTrue(telemetry.every((delay) => delay >= 5 && delay <= 36))
        assert.isAbove(telemetry.filter((delay) => delay <= 15).length / telemetry.length, 0.8)
        const batches = yield* delays(river.name, "Groundwater Level", 12)
        assert.isTrue(batches.every((delay) => delay >= 10))
        assert.isAbove(Math.max(...batches), 60)
      })
    )

    it.effect("corrects some values of the last month later, and leaves what is older alone", () =>
      Effect.gen(function* () {
        const { expected, sites, time } = yield* HilltopSimulator
        const rivers = [901, 902, 903].flatMap((id) => sites(id)).filter((site) => site.alive && site.kind === "river")
        const level = (site: (typeof rivers)[number]) =>
          site.series.find((one) => !one.virtual && !one.rated)?.requestAs ?? ""
        const known = (from: string, to: string) =>
          Effect.forEach(rivers, (site) =>
            Effect.map(expected(site.name, level(site), from, to), (rows) => JSON.stringify(rows))
          )
        const [recent, ancient] = [
          ["2026-09-25", "2026-10-19"],
          ["2026-08-25", "2026-09-17"]
        ] as const
        const before = { recent: yield* known(...recent), ancient: yield* known(...ancient) }
        yield* time.advance("28 days")
        const after = { recent: yield* known(...recent), ancient: yield* known(...ancient) }
        assert.notDeepEqual(after.recent, before.recent)
        assert.isTrue(after.recent.some((rows, index) => rows === before.recent[index]))
        // Sixty days of history began on different days, but what was here has not changed.
        assert.deepStrictEqual(after.ancient, before.ancient)
      })
    )

    it.effect("shows a row the same whatever time around it is asked for", () =>
      Effect.gen(function* () {
        const { expected, sites } = yield* HilltopSimulator
        const rivers = [901, 902].flatMap((id) => sites(id)).filter((one) => one.kind === "river" && one.alive)
        const [from, to] = ["2026-09-29T11:00:00", "2026-10-02T03:00:00"]
        for (const site of rivers) {
          const all = yield* expected(site.name, "Flow", "2026-09-01", "2026-10-25")
          const [first, last] = [Date.parse(`${from}+12:00`), Date.parse(`${to}+12:00`)]
          assert.deepStrictEqual(
            yield* expected(site.name, "Flow", from, to),
            all.filter((row) => row.at >= first && row.at <= last)
          )
        }
      })
    )

    it.effect("runs at the speed it is given", () =>
      Effect.gen(function* () {
        const { time } = yield* HilltopSimulator
        const stopped = yield* time.now
        assert.strictEqual(yield* time.now, stopped)
        yield* time.setSpeed(3_600)
        yield* Effect.repeat(time.now, { until: (now) => now > stopped + 60_000 })
        yield* time.setSpeed(0)
        const { json } = yield* putJson("/simulator/time", { advance_seconds: 3_600 })
        assert.propertyVal(json, "speed", 0)
        assert.isAtLeast(yield* time.now, stopped + 3_660_000)
      })
    )
  }
)
