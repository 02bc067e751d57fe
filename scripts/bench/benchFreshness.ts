/**
 * How long values wait from availability to capture: the refresh policy beside the rules before it, the original's, and a
 * clairvoyant, over the same simulated councils and at the same numbers of requests.
 *
 * `--seeds 20 --sites 600` is the whole of it, an hour and more of one processor; unless said, two small councils stand for it. Prints
 * the tables of docs/freshness.md and draws its pictures into `bench/results`.
 */
import { Console, Effect, FileSystem } from "effect"
import { inRepository } from "./BenchProcess.ts"
import type { Figure } from "./Figure.ts"
import { compare, rates, type Row } from "./freshness/Comparison.ts"
import { councilWorld } from "./freshness/CouncilWorld.ts"
import { drawFigures } from "./freshness/drawFigures.ts"
import { tellComparison } from "./freshness/tellComparison.ts"
import type { GroupResult } from "./Report.ts"

export interface FreshnessSize {
  readonly seeds: number
  readonly sites: number
  readonly days: number
}

export const benchFreshness = Effect.fnUntraced(function* ({ days, seeds, sites }: FreshnessSize) {
  const fs = yield* FileSystem.FileSystem
  const rows: Array<Row> = []
  for (let seed = 1; seed <= seeds; seed++) {
    yield* Console.error(`  council ${seed} of ${seeds}: ${5 * sites} series, ${days} days`)
    rows.push(...(yield* Effect.sync(() => compare(councilWorld(seed, { sites, days }), seed))))
    yield* Effect.yieldNow
  }
  yield* Console.log(`\n${tellComparison(rows)}\n`)
  yield* fs.makeDirectory(inRepository("bench/results"), { recursive: true })
  for (const [name, svg] of drawFigures(rows)) yield* fs.writeFileString(inRepository(`bench/results/${name}`), svg)
  const figures = rates.map((rate): Figure => ({
    name: `mean delay at ${rate} requests a series and day`,
    yardstick: "the original's rules",
    unit: "min",
    better: "lower",
    targets: [{ of: "figure", bound: rate === 59 ? 1.4 : rate === 19.6 ? 8.5 : 45 }],
    rounds: Array.from({ length: seeds }, (_, n) => {
      const of = (rule: Row["rule"]) =>
        rows.find((row) => row.seed === n + 1 && row.rate === rate && row.rule === rule)!
      return { figure: of("policy").mean, yardstick: of("original").mean }
    })
  }))
  return { figures, postgres: undefined } satisfies GroupResult
})
