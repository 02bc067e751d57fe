/**
 * Hilltop bytes parsed per second of processor time, against saxes alone on the same pieces of the same document: what is
 * between the two is Penstock's own work on every row. And how long a parse keeps everybody else in the process waiting.
 *
 * The first document is a year of five-minute values from the simulator, 5 MB and 98,000 rows in one series. Its rows are
 * told past the XML parser; of a laboratory's rows, the parser reads what comes from the first reference or attribute on.
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

const parameter = (laboratory: string): string => `<Parameter Name="Lab" Value="${laboratory}"/>`

const plain = "Demo Lab"
/** A numeric reference: nothing but the parser reads its cell, and goes on from there. */
const unusual = "Demo &#38; Daughters"

/** Results of a laboratory as servers send them, a third of them censored, each with its quality and a parameter. */
const laboratoryDocument = (laboratory: (row: number) => string): string => {
  const rows = Array.from({ length: 35_000 }, (_, at) => {
    const time = new Date(Date.UTC(2000, 0, 1) + at * 3_600_000).toISOString().slice(0, 19)
    const value = at % 3 === 0 ? "&lt;0.002" : `0.0${10 + (at % 90)}`
    return `<E><T>${time}</T><Value>${value}</Value><QualityCode>500</QualityCode>${parameter(laboratory(at))}</E>\n`
  })
  const head =
    '<?xml version="1.0" ?>\n<Hilltop>\n<Agency>Bench</Agency>\n<Measurement SiteName="Awa at the Bench">\n' +
    '<DataSource Name="Total Phosphorus" NumItems="1">\n<DataType>WQData</DataType>\n</DataSource>\n' +
    '<Data DateFormat="Calendar" NumItems="1">\n'
  return `${head}${rows.join("")}</Data>\n</Measurement>\n</Hilltop>\n`
}

export const benchParse = Effect.gen(function* () {
  const fs = yield* FileSystem.FileSystem
  const directory = yield* temporaryDirectory
  const compare = Effect.fnUntraced(function* (name: string, text: string) {
    const file = `${directory}/${name.replaceAll(/\W+/g, "-")}.xml`
    yield* fs.writeFileString(file, text)
    // Processes of its own for each: what one document made V8 compile would speed up or slow down the next.
    const [ours, bare] = [yield* startWorker(parseWorker, ["ours"]), yield* startWorker(parseWorker, ["bare"])]
    const turns = yield* takeTurns(
      { name: "parse", rounds: 9, warmUps: 2 },
      { ours: ours({ file, times }), bare: bare({ file, times }) }
    )
    const rows = text.split("</E>").length - 1
    if (turns.some((turn) => turn.ours.rows !== rows)) {
      return yield* new BenchFailed({ message: `parse read ${turns[0]?.ours.rows} of ${rows} rows` })
    }
    return [
      {
        name,
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
        name: `longest pause of the event loop, ${name}`,
        yardstick: "saxes alone",
        unit: "ms",
        better: "lower",
        targets: [{ of: "figure", bound: 20 }],
        rounds: turns.map(({ bare, ours }) => ({ figure: ours.longestPause, yardstick: bare.longestPause }))
      }
    ] satisfies ReadonlyArray<Figure>
  }, Effect.scoped)

  const figures = [
    ...(yield* compare("a year of five-minute values", yield* longDocument)),
    ...(yield* compare(
      "laboratory results",
      laboratoryDocument(() => plain)
    )),
    ...(yield* compare(
      "every tenth row that the parser reads",
      laboratoryDocument((row) => (row % 10 === 0 ? unusual : plain))
    )),
    ...(yield* compare(
      "rows that the parser reads",
      laboratoryDocument(() => unusual)
    ))
  ]
  return { figures, postgres: undefined } satisfies GroupResult
})
