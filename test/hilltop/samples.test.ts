/**
 * Every sample document, with what it must be read as in the `.expected.json` beside it. Times stand there as text, so that
 * they can be compared with the sample by eye; `parse` names the request that the sample answers.
 */
import { readdirSync, readFileSync } from "node:fs"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { SaxesXmlScanner } from "../../layers/hilltop/SaxesXmlScanner.ts"
import type { HilltopErrorDocument, HilltopParseError } from "../../src/hilltop/HilltopDocument.ts"
import { decodeText } from "../../src/hilltop/HilltopText.ts"
import { parseData, parseMeasurementList, parseSiteList } from "../../src/hilltop/HilltopXml.ts"
import { formatNzst } from "../../src/hilltop/Nzst.ts"
import type { XmlScanner } from "../../src/hilltop/XmlScanner.ts"

const folder = new URL("../samples/", import.meta.url)
const samples = readdirSync(folder, { recursive: true, encoding: "utf8" })
  .map((path) => path.replaceAll("\\", "/"))
  .filter((path) => /\.(?:xml|html|json)$/.test(path) && !path.endsWith(".expected.json"))
  .sort()

const textOf = (path: string): string => decodeText(readFileSync(new URL(path, folder)))
const expectedOf = (path: string): { readonly parse: keyof typeof parsers } =>
  JSON.parse(textOf(`${path}.expected.json`))

type Failure = HilltopErrorDocument | HilltopParseError
const parsers = {
  SiteList: (text: string): Effect.Effect<object, Failure, XmlScanner> => parseSiteList(text),
  MeasurementList: (text: string): Effect.Effect<object, Failure, XmlScanner> => parseMeasurementList(text),
  GetData: (text: string): Effect.Effect<object, Failure, XmlScanner> => parseData(text)
}
const requests = ["SiteList", "MeasurementList", "GetData"] as const

const readable = (key: string, value: unknown): unknown =>
  typeof value === "number" && ["observedAt", "surveyedAt", "from", "to"].includes(key) ? formatNzst(value) : value

const outcome = (parse: keyof typeof parsers, text: string) =>
  parsers[parse](text).pipe(
    Effect.match({
      onSuccess: (document) => ({ parse, document }),
      onFailure: ({ _tag, message }) => ({ parse, failure: { _tag, message } })
    }),
    Effect.map((plain) => JSON.parse(JSON.stringify(plain, readable)))
  )

describe("the sample", () => {
  it.effect.each(samples)("%s is read as it says beside it", (path) =>
    Effect.gen(function* () {
      const expected = expectedOf(path)
      assert.deepStrictEqual(yield* outcome(expected.parse, textOf(path)), expected)
    }).pipe(Effect.provide(SaxesXmlScanner))
  )
})

describe("an answer of another kind", () => {
  const other = {
    "synthetic/collectionlist.xml": "a <HilltopProject> document where <",
    "synthetic/welcome.html": "an HTML page where XML was expected",
    "synthetic/timerange.json": "JSON where XML was expected",
    "synthetic/getdata-truncated.xml": "not well-formed XML at line 21: it breaks off: "
  }
  it.effect.each(Object.entries(other))("%s is no answer to any request", ([path, message]) =>
    Effect.gen(function* () {
      for (const parse of requests) {
        const { failure } = yield* outcome(parse, textOf(path))
        assert.strictEqual(failure._tag, "HilltopParseError")
        assert.include(failure.message, message)
      }
    }).pipe(Effect.provide(SaxesXmlScanner))
  )

  it.effect.each(samples.filter((path) => /error/i.test(path)))("%s is an error document for every request", (path) =>
    Effect.gen(function* () {
      for (const parse of requests) {
        const { failure } = yield* outcome(parse, textOf(path))
        assert.strictEqual(failure._tag, "HilltopErrorDocument")
      }
    }).pipe(Effect.provide(SaxesXmlScanner))
  )

  it.effect("a list of the other kind is not taken for an empty one", () =>
    Effect.gen(function* () {
      const asSites = yield* outcome("SiteList", textOf("synthetic/measurementlist-site-all-variants.xml"))
      assert.include(asSites.failure.message, "a list of measurements where a list of sites was asked for")
      const asMeasurements = yield* outcome("MeasurementList", textOf("synthetic/sitelist-location-yes.xml"))
      assert.include(asMeasurements.failure.message, "a list of sites where a list of measurements was asked for")
    }).pipe(Effect.provide(SaxesXmlScanner))
  )
})
