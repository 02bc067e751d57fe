/** What makes two documents say the same, and what does not. */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { SaxesXmlScanner } from "../../layers/hilltop/SaxesXmlScanner.ts"
import { XmlDigest } from "../../src/hilltop/XmlDigest.ts"
import { XmlScanner } from "../../src/hilltop/XmlScanner.ts"

const digestOfXml = Effect.fnUntraced(function* (text: string, options: { readonly unordered: boolean }) {
  const digest = new XmlDigest(options)
  yield* XmlScanner.use((scanner) => scanner.scan(text, digest))
  return digest.finish()
})

const base =
  `<?xml version="1.0" ?>\n<HilltopServer>\n<Agency>Council</Agency>\n<Version>2404.2</Version>\n<Projection>NZTM2000</Projection>\n` +
  `<Site Name="A" Kind="x"><Easting>1</Easting><Northing>2</Northing></Site>\n<Site Name="B">\n</Site>\n<CRC>30406</CRC>\n</HilltopServer>\n`

const same: ReadonlyArray<readonly [string, (text: string) => string]> = [
  ["white space", (text) => text.replaceAll("\n", "\r\n  ").trimStart()],
  ["the order of attributes", (text) => text.replace(`Name="A" Kind="x"`, `Kind='x'   Name='A'`)],
  ["entity references", (text) => text.replace(`"B"`, `"&#66;"`)],
  ["comments", (text) => text.replace("<Site", "<!-- new --><Site")],
  ["CDATA", (text) => text.replace("<Easting>1", "<Easting><![CDATA[1]]>")],
  [
    "another agency, version and checksum",
    (text) => text.replace("Council", "Kaunihera").replace("2404.2", "2512").replace("30406", "1")
  ],
  ["no checksum", (text) => text.replace("<CRC>30406</CRC>\n", "")]
]
const other: ReadonlyArray<readonly [string, (text: string) => string]> = [
  ["another value", (text) => text.replace("<Easting>1", "<Easting>1.5")],
  ["another name", (text) => text.replace(`"B"`, `"b"`)],
  ["an attribute more", (text) => text.replace(`"B"`, `"B" Kind="x"`)],
  ["a site more", (text) => text.replace("</HilltopServer>", `<Site Name="C"/></HilltopServer>`)],
  ["a site less", (text) => text.replace(`<Site Name="B">\n</Site>`, "")],
  ["a site twice", (text) => text.replace("</HilltopServer>", `<Site Name="B"/></HilltopServer>`)],
  ["another projection", (text) => text.replace("NZTM2000", "NZMG")],
  [
    "values that changed places",
    (text) =>
      text
        .replace("<Easting>1</Easting><Northing>2", "<Northing>1</Northing><Easting>2")
        .replace("</Northing></Site>", "</Easting></Site>")
  ],
  ["a text that moved out of its element", (text) => text.replace("<Easting>1</Easting>", "<Easting></Easting>1")]
]

it.layer(SaxesXmlScanner)("the digest of a document", (it) => {
  for (const unordered of [true, false]) {
    it.effect(unordered ? "is the same for documents in another order" : "tells an order from another", () =>
      Effect.gen(function* () {
        const swapped = base.replace(/(<Site Name="A".*?<\/Site>)\n(<Site Name="B">\n<\/Site>)/s, "$2\n$1")
        assert.notStrictEqual(swapped, base)
        const digests = yield* Effect.forEach([base, swapped], (text) => digestOfXml(text, { unordered }))
        assert.strictEqual(digests[0] === digests[1], unordered)
      })
    )
    for (const [name, change] of same) {
      it.effect(`is not changed by ${name}${unordered ? " of a list" : ""}`, () =>
        Effect.gen(function* () {
          assert.notStrictEqual(change(base), base)
          assert.strictEqual(yield* digestOfXml(change(base), { unordered }), yield* digestOfXml(base, { unordered }))
        })
      )
    }
    for (const [name, change] of other) {
      it.effect(`is changed by ${name}${unordered ? " of a list" : ""}`, () =>
        Effect.gen(function* () {
          assert.notStrictEqual(
            yield* digestOfXml(change(base), { unordered }),
            yield* digestOfXml(base, { unordered })
          )
        })
      )
    }
  }
})
