/** `npm run bench -- --page`: writes the figures of `bench/results` into `docs/benchmarks.md`; measures nothing. */
import { Console, Effect, FileSystem, Schema } from "effect"
import { inRepository } from "./BenchProcess.ts"
import { BenchResult } from "./BenchResult.ts"
import { pageFile, pageWith } from "./benchmarkPage.ts"

const decode = Schema.decodeUnknownEffect(Schema.fromJsonString(BenchResult))

/** The results that are kept, by name of their group. */
export const keptResults = Effect.gen(function* () {
  const fs = yield* FileSystem.FileSystem
  const directory = inRepository("bench/results")
  const files = (yield* fs.readDirectory(directory)).filter((name) => name.endsWith(".json")).sort()
  return yield* Effect.forEach(files, (name) => Effect.flatMap(fs.readFileString(`${directory}/${name}`), decode))
})

export const writePage = Effect.gen(function* () {
  const fs = yield* FileSystem.FileSystem
  const results = yield* keptResults
  const page = yield* fs.readFileString(inRepository(pageFile))
  yield* fs.writeFileString(inRepository(pageFile), pageWith(page, results))
  yield* Console.log(`${pageFile} has the figures of ${results.map(({ group }) => group).join(", ")}.`)
})
