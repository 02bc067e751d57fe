/**
 * Spoilt documents: whatever comes, it is read as a document or refused with a typed error, in little time and memory; and
 * rows read past the XML parser are read exactly as the parser reads them.
 *
 * `PENSTOCK_FUZZ=100000 npx vitest run test/hilltop/fuzz.test.ts` reads that many, `PENSTOCK_FUZZ_SEED` others. A find
 * names its seed and number: `spoiltDocument(seed, number)`.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit } from "effect"
import { ParserAlone, SaxesXmlScanner } from "../../layers/hilltop/SaxesXmlScanner.ts"
import { decodeText } from "../../src/hilltop/HilltopText.ts"
import { parseData, parseMeasurementList, parseSiteList } from "../../src/hilltop/HilltopXml.ts"
import type { XmlScanner } from "../../src/hilltop/XmlScanner.ts"
import { spoiltDocument } from "../support/spoiltDocuments.ts"

const count = Number(process.env["PENSTOCK_FUZZ"] ?? 5_000)
const seed = process.env["PENSTOCK_FUZZ_SEED"] ?? "1"
/** Of one document of 200 kB at most; the longest seen alone was 30 ms. */
const longestMillis = 2_000

/** Mostly as the request that the document looks like an answer to. */
const parse = (text: string, number: number): Effect.Effect<object, object, XmlScanner> => {
  if (number % 8 === 0) return parseSiteList(text)
  if (number % 8 === 1) return parseMeasurementList(text)
  if (number % 8 === 2 || text.includes("<Hilltop>")) return parseData(text, number % 2 === 0 ? {} : { item: 2 })
  return text.includes("<DataSource") ? parseMeasurementList(text) : parseSiteList(text)
}

const plain = (exit: Exit.Exit<object, object>): unknown =>
  Exit.isSuccess(exit) ? { document: exit.value } : { failure: JSON.parse(JSON.stringify(exit.cause)) }

describe("a spoilt document", () => {
  it.live(
    `is read or refused, ${count} of them`,
    () =>
      Effect.gen(function* () {
        let documents = 0
        const refusals = new Set<string>()
        yield* Effect.sync(() => globalThis.gc?.())
        const before = process.memoryUsage().heapUsed
        for (let number = 0; number < count; number++) {
          const name = `spoiltDocument(${JSON.stringify(seed)}, ${number})`
          const text = decodeText(spoiltDocument(seed, number))
          const started = performance.now()
          const exit = yield* Effect.exit(Effect.provide(parse(text, number), SaxesXmlScanner))
          assert.isBelow(performance.now() - started, longestMillis, name)
          if (Exit.isSuccess(exit)) documents++
          else {
            const error = yield* Effect.flip(Effect.flatten(Effect.succeed(exit)))
            assert.include(["HilltopParseError", "HilltopErrorDocument"], "_tag" in error ? error._tag : "", name)
            if ("message" in error && typeof error.message === "string") {
              assert.isBelow(error.message.length, 1_000, name)
              refusals.add(error.message)
            }
          }
          const alone = yield* Effect.exit(Effect.provide(parse(text, number), ParserAlone))
          assert.deepStrictEqual(plain(exit), plain(alone), name)
        }
        // Neither all nor none: otherwise the test would not look at what it says.
        assert.isAbove(documents, count / 10)
        assert.isAbove(refusals.size, Math.min(count / 100, 100))
        yield* Effect.sync(() => globalThis.gc?.())
        assert.isBelow(process.memoryUsage().heapUsed - before, 400_000_000)
      }),
    30_000 + count * 20
  )
})
