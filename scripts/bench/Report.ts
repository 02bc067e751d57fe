/**
 * What a group found, as a table for people and as JSON for comparing runs.
 *
 * The file keeps every round, and what is known of the machine: a figure without it cannot be compared with another.
 */
import { Clock, Console, DateTime, Effect, FileSystem } from "effect"
import { arch, availableParallelism, cpus, loadavg, platform, totalmem } from "node:os"
import { version } from "../../layers/version.ts"
import { inRepository } from "./BenchProcess.ts"
import { type Figure, isReached, summarise } from "./Figure.ts"
import { number, range, targetText } from "./figureText.ts"

export interface GroupResult {
  readonly figures: ReadonlyArray<Figure>
  /** None where the group has no database. */
  readonly postgres: string | undefined
}

/** What else was going on shows in the load: runs on a busy machine spread more, and their figures are lower. */
const machineFacts = Effect.sync(() => ({
  cpus: availableParallelism(),
  cpu: cpus()[0]?.model ?? "unknown",
  memory_gigabytes: Math.round(totalmem() / 1e9),
  system: `${platform()} ${arch()}`,
  load_average: loadavg()[0] ?? 0,
  node: process.version
}))

const header = ["ratio (min–max)", "figure", "yardstick", "unit", "rounds", "what", "target"]

const rowOf = (one: Figure): ReadonlyArray<string> => {
  const { figure, ratio, yardstick } = summarise(one)
  return [
    range(ratio),
    number(figure.median),
    number(yardstick.median),
    one.unit,
    String(one.rounds.length),
    `${one.name} : ${one.yardstick}`,
    one.targets.map((target) => targetText(one, target)).join(", ")
  ]
}

/** Columns of numbers to the right, of words to the left. */
const table = (rows: ReadonlyArray<ReadonlyArray<string>>): string => {
  const widths = header.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)))
  const line = (row: ReadonlyArray<string>) =>
    row.map((cell, column) =>
      column === 1 || column === 2 ? cell.padStart(widths[column]!) : cell.padEnd(widths[column]!)
    )
  return rows.map((row) => `  ${line(row).join("   ")}`.trimEnd()).join("\n")
}

/** Runnable processes, over the last minute. */
export const loadNow = Effect.sync(() => loadavg()[0] ?? 0)

/** Prints the table and writes `bench/results/<group>.json`. */
export const report = Effect.fnUntraced(function* (
  group: string,
  { figures, postgres }: GroupResult,
  loadBefore: number
) {
  const fs = yield* FileSystem.FileSystem
  const machine = { ...(yield* machineFacts), load_before: loadBefore, postgres: postgres ?? null }
  const at = DateTime.formatIso(DateTime.makeUnsafe(yield* Clock.currentTimeMillis))
  yield* Console.log(`\n${group}\n${table([header, ...figures.map(rowOf)])}\n`)
  const result = {
    group,
    at,
    penstock: version,
    machine,
    figures: figures.map((figure) => ({
      ...figure,
      summary: summarise(figure),
      targets: figure.targets.map((target) => ({ ...target, reached: isReached(figure, target) }))
    }))
  }
  yield* fs.makeDirectory(inRepository("bench/results"), { recursive: true })
  yield* fs.writeFileString(inRepository(`bench/results/${group}.json`), `${JSON.stringify(result, null, 2)}\n`)
})
