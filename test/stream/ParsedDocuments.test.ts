/** Documents that the crawl hands to the mapper: what is published is the same with them and without. */
import { readdirSync, readFileSync } from "node:fs"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer } from "effect"
import { SaxesXmlScanner } from "../../layers/hilltop/SaxesXmlScanner.ts"
import { decodeText } from "../../src/hilltop/HilltopText.ts"
import { parseData } from "../../src/hilltop/HilltopXml.ts"
import { XmlScanner } from "../../src/hilltop/XmlScanner.ts"
import { mapRecord } from "../../src/stream/ObservationMapper.ts"
import { KeptParsedDocuments, longestKept, ParsedDocuments } from "../../src/stream/ParsedDocuments.ts"
import type { TopicRecord } from "../../src/stream/TopicReader.ts"
import { spoiltDocument } from "../support/spoiltDocuments.ts"

const folder = new URL("../samples/", import.meta.url)
const samples = readdirSync(folder, { recursive: true, encoding: "utf8" })
  .filter((path) => path.endsWith(".xml"))
  .map((path) => decodeText(readFileSync(new URL(path, folder))))
const spoilt = Array.from({ length: 2_000 }, (_, number) => decodeText(spoiltDocument("kept", number)))

const about = {
  type: "MEASUREMENT_DATA",
  councilId: 9,
  hilltopBaseUrl: "https://h.example/a.hts",
  at: "2026-01-01T00:00:00.000Z",
  hilltopUrl: "https://h.example/a.hts?x",
  siteName: "Awa",
  measurementName: "Flow",
  yearMonth: "2025-01"
} as const
const valueOf = (xml: string) => JSON.stringify({ ...about, xml })
const recordOf = (xml: string, item: number, key = "{}"): TopicRecord => ({
  topic: "hilltop_raw",
  partition: 3,
  offset: 17,
  key,
  value: valueOf(xml),
  headers: { item: String(item) },
  at: 0
})

/** Fails whoever parses. */
const noScanner = Layer.succeed(XmlScanner, XmlScanner.of({ scan: () => Effect.die("parsed again") }))
const map = (record: TopicRecord) => mapRecord(record, "observations")
const parsed = (xml: string, item: number) => Effect.provide(parseData(xml, { item }), SaxesXmlScanner)

const row = "<E><T>2025-01-01T00:05:00</T><I1>584</I1></E>\n"
const document = (rows: string) =>
  `<Hilltop><Agency>A</Agency><Measurement SiteName="Awa"><DataSource Name="Flow" NumItems="1"/><Data>${rows}</Data></Measurement></Hilltop>`

describe("a parsed document", () => {
  it.effect("is mapped as its text would be, without parsing it: each sample, and thousands that were spoilt", () =>
    Effect.gen(function* () {
      const kept = yield* ParsedDocuments
      let taken = 0
      for (const xml of [...samples, ...spoilt]) {
        for (const item of [1, 2]) {
          const read = yield* Effect.exit(parsed(xml, item))
          if (Exit.isFailure(read)) continue
          const again = yield* Effect.exit(Effect.provide(map(recordOf(xml, item)), SaxesXmlScanner))
          kept.keep("{}", { about, value: valueOf(xml), item, document: read.value })
          assert.deepStrictEqual(yield* Effect.exit(Effect.provide(map(recordOf(xml, item)), noScanner)), again)
          taken++
        }
      }
      assert.isAbove(taken, 100)
    }).pipe(Effect.provide(KeptParsedDocuments))
  )

  it.effect("is used only for the same record with the very same text and item, and once", () =>
    Effect.gen(function* () {
      const kept = yield* ParsedDocuments
      const xml = document(row)
      const value = valueOf(xml)
      const one = { about, value, item: 1, document: yield* parsed(xml, 1) }
      kept.keep("a", one)
      assert.isUndefined(kept.take("b", value, 1))
      assert.strictEqual(kept.take("a", value, 1)?.document, one.document)
      assert.isUndefined(kept.take("a", value, 1))
      kept.keep("a", one)
      assert.isUndefined(kept.take("a", value, 2))
      kept.keep("a", one)
      assert.isUndefined(kept.take("a", valueOf(document(row + row)), 1))
    }).pipe(Effect.provide(KeptParsedDocuments))
  )

  it.effect("gives way to newer ones, and is not kept at all where it is large: memory is bounded", () =>
    Effect.gen(function* () {
      const kept = yield* ParsedDocuments
      const xml = document(row.repeat(20_000))
      const value = valueOf(xml)
      const one = { about, value, item: 1, document: yield* parsed(xml, 1) }
      for (let n = 0; n < 100; n++) kept.keep(`${n}`, one)
      const there = Array.from({ length: 100 }, (_, n) => kept.take(`${n}`, value, 1)).filter(
        (found) => found !== undefined
      )
      assert.strictEqual(there.length, Math.floor(8_000_000 / value.length))
      kept.keep("large", { ...one, value: " ".repeat(longestKept + 1) })
      assert.isUndefined(kept.take("large", " ".repeat(longestKept + 1), 1))
    }).pipe(Effect.provide(KeptParsedDocuments))
  )

  it.effect("is kept by nobody where nothing says so", () =>
    Effect.gen(function* () {
      const kept = yield* ParsedDocuments
      const xml = document(row)
      kept.keep("a", { about, value: valueOf(xml), item: 1, document: yield* parsed(xml, 1) })
      assert.isUndefined(kept.take("a", valueOf(xml), 1))
    })
  )
})
