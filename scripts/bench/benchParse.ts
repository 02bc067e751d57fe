/**
 * Hilltop bytes parsed per second of processor time, against saxes alone on the same pieces of the same document: what is
 * between the two is Penstock's own work on every row. And how long a parse keeps everybody else in the process waiting.
 *
 * The document is a year of five-minute values from the simulator, 5 MB and 98,000 rows in one series.
 */
import { NodeHttpClient } from "@effect/platform-node"
import { Effect, FileSystem, Layer } from "effect"
import { HttpClient } from "effect/http"
import { HtsUrl, measurementDataPeriodUrl } from "../../src/hilltop/HilltopUrl.ts"
import { HilltopSimulator } from "../simulators/HilltopSimulator.ts"
import { temporaryDirectory } from "./BenchPostgres.ts"
import { BenchFailed } from "./BenchProcess.ts"
import { startWorker } from "./BenchWorker.ts"
import type { Figure } from "./Figure.ts"
import { takeTurns } from "./Measure.ts"
import { parseWorker } from "./ParseOrder.ts"
import type { GroupResult } from "./Report.ts"

const leastLength = 5_000_000
/** Parsed in one measurement: about 0.4 s. */
const times = 5

const period = { from: Date.UTC(2025, 0, 1), to: Date.UTC(2026, 5, 1) }

/** The first document of the simulated world that is long enough; always the same one. */
const longDocument = Effect.gen(function* () {
  const simulator = yield* HilltopSimulator
  const client = yield* HttpClient.HttpClient
  for (const { councilId, htsUrl } of simulator.sources) {
    for (const { name, series } of simulator.sites(councilId)) {
      if (!series.some(({ requestAs }) => requestAs === "Flow")) continue
      const response = yield* client.get(measurementDataPeriodUrl(HtsUrl.make(htsUrl), name, "Flow", period))
      const text = yield* response.text
      if (text.length >= leastLength) return text
    }
  }
  return yield* new BenchFailed({ message: "the simulator has no document of 5 MB" })
}).pipe(
  Effect.scoped,
  Effect.provide(
    Layer.merge(
      HilltopSimulator.layer({ councils: 1, sites: 30, historyDays: 365, start: "2026-06-01T00:00", speed: 0 }),
      NodeHttpClient.layerUndici
    )
  )
)

export const benchParse = Effect.gen(function* () {
  const fs = yield* FileSystem.FileSystem
  const text = yield* longDocument
  const file = `${yield* temporaryDirectory}/document.xml`
  yield* fs.writeFileString(file, text)
  const [ours, bare] = [yield* startWorker(parseWorker, ["ours"]), yield* startWorker(parseWorker, ["bare"])]

  const turns = yield* takeTurns(
    { name: "parse", rounds: 9, warmUps: 2 },
    { ours: ours({ file, times }), bare: bare({ file, times }) }
  )
  const rows = text.split("</E>").length - 1
  if (turns.some((turn) => turn.ours.rows !== rows)) {
    return yield* new BenchFailed({ message: `parse read ${turns[0]?.ours.rows} of ${rows} rows` })
  }
  const figures: ReadonlyArray<Figure> = [
    {
      name: "a document with all its rows",
      yardstick: "saxes alone",
      unit: "MB/s of CPU",
      better: "higher",
      targets: [{ of: "ratio", bound: 0.8 }],
      rounds: turns.map(({ bare, ours }) => ({
        figure: ours.bytesPerSecond / 1e6,
        yardstick: bare.bytesPerSecond / 1e6
      }))
    },
    {
      name: "longest pause of the event loop",
      yardstick: "saxes alone",
      unit: "ms",
      better: "lower",
      targets: [{ of: "figure", bound: 20 }],
      rounds: turns.map(({ bare, ours }) => ({ figure: ours.longestPause, yardstick: bare.longestPause }))
    }
  ]
  return { figures, postgres: undefined } satisfies GroupResult
})
