/** The page of benchmarks has the figures that the command writes from the results that are kept, and nothing else. */
import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { readFileSync } from "node:fs"
import { join, resolve } from "node:path"
import type { BenchResult } from "../../scripts/bench/BenchResult.ts"
import { begin, end, figuresPart, pageFile, pageWith } from "../../scripts/bench/benchmarkPage.ts"
import { keptResults } from "../../scripts/bench/writePage.ts"
import { documentPage } from "../support/documentBlocks.ts"

const page = readFileSync(join(resolve(import.meta.dirname, "../.."), pageFile), "utf8")

const result: BenchResult = {
  group: "cost",
  at: "2026-11-29T18:30:00.000Z",
  penstock: "0.1.0",
  machine: {
    cpus: 2,
    cpu: "Some Processor",
    memory_gigabytes: 24,
    system: "linux x64",
    load_before: 0.25,
    load_average: 2,
    node: "v24.0.0",
    postgres: "18.0"
  },
  figures: [
    {
      name: "a | b",
      yardstick: "c",
      unit: "ms",
      better: "lower",
      targets: [{ of: "figure", bound: 12 }],
      rounds: [
        { figure: 10, yardstick: 5 },
        { figure: 11, yardstick: 5.5 }
      ]
    }
  ]
}

describe("docs/benchmarks.md", () => {
  it.effect("has what `npm run bench -- --page` writes from the results that are kept", () =>
    Effect.gen(function* () {
      const results = yield* keptResults
      assert.isNotEmpty(results)
      assert.strictEqual(page, pageWith(page, results))
    }).pipe(Effect.provide(NodeServices.layer))
  )

  it("puts the ratio first, and says when, on which machine and under which load it was measured", () => {
    const part = figuresPart([result])
    assert.include(part, "Machine: 2 × Some Processor, 24 GB, linux x64; Node v24.0.0.")
    assert.include(part, "Measured 2026-11-29 18:30 UTC, PostgreSQL 18.0, load 0.25 before it began, 2 at its end.")
    assert.include(part, "| 2 (2–2) | a \\| b | c | 10.5 | 5.25 | ms | ok: figure ≤ 12 |")
    const other = { ...result, group: "other", machine: { ...result.machine, cpus: 8 } }
    assert.include(figuresPart([other, result]), "Machine: 8 × Some Processor")
  })

  it("keeps what is written by hand around the marks", () => {
    const written = pageWith(`before\n${begin}\nold\n${end}\nafter\n`, [result])
    assert.isTrue(written.startsWith(`before\n${begin}\n`))
    assert.isTrue(written.endsWith(`${end}\nafter\n`))
    assert.notInclude(written, "old")
    assert.strictEqual(pageWith(written, [result]), written)
    assert.throws(() => pageWith("no marks", [result]), /lacks its marks/)
  })

  it("has no block that nobody tries", () => {
    assert.deepStrictEqual(documentPage(pageFile).untaken(), [])
  })
})
