/** Rows read past the XML parser: the same as with it, at whatever stands between plain ones. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, type Exit, type Layer } from "effect"
import { ParserAlone, SaxesXmlScanner } from "../../layers/hilltop/SaxesXmlScanner.ts"
import { parseData } from "../../src/hilltop/HilltopXml.ts"
import { SeriesRowsDigest } from "../../src/hilltop/SeriesRows.ts"
import { CHUNK_LENGTH, type XmlScanner } from "../../src/hilltop/XmlScanner.ts"

const plainRow = "<E><T>2025-01-01T00:05:00</T><I1>584</I1></E>\n"

const series = (rows: string): string =>
  '<Measurement SiteName="S"><DataSource Name="Stage" NumItems="1"><TSType>StdSeries</TSType></DataSource>' +
  `<Data DateFormat="Calendar" NumItems="1">\n${rows}</Data></Measurement>`

const document = (rows: string, root = "Hilltop"): string =>
  `<?xml version="1.0" ?>\n<${root}>\n<Agency>A</Agency>\n${series(rows)}\n</${root}>`

const plain = (exit: Exit.Exit<object, object>): unknown => JSON.parse(JSON.stringify(exit))

/** The document and what its rows say to be compared. */
const readWith = Effect.fnUntraced(function* (text: string, scanner: Layer.Layer<XmlScanner>) {
  const rows = new SeriesRowsDigest()
  const exit = yield* Effect.exit(parseData(text, {}, rows)).pipe(Effect.provide(scanner))
  return { exit, rows: exit._tag === "Success" ? rows.finish() : undefined }
})

const same = Effect.fnUntraced(function* (text: string) {
  const { exit: past, rows: pastRows } = yield* readWith(text, SaxesXmlScanner)
  const { exit: through, rows: throughRows } = yield* readWith(text, ParserAlone)
  assert.deepStrictEqual(pastRows, throughRows)
  assert.deepStrictEqual(plain(past), plain(through))
  return past
})

describe("between plain rows,", () => {
  it.effect.each([
    plainRow,
    "<E><T>2025-01-01T00:05:00</T></E>",
    "<E/>",
    "<E></E>",
    "<E> \r\n\t<I1>5</I1>\t<T>2025-01-01T00:05:00</T>\r\n</E>",
    "<E><T>2025-01-01T00:05:00</T><I1>1</I1><I1>2</I1></E>",
    "<E><T>2025-01-01T00:05:00</T><T>2025-01-01T00:05:00</T></E>",
    "<E><T>2025-01-01T00:05:00</T><T>2025-01-01T00:10:00</T></E>",
    "<E><T>2025-01-01T00:05:00</T><D>2025-01-02</D></E>",
    "<E><T>2025-01-01T00:05:00</T><E>5</E></E>",
    "<E><T>2025-01-01T00:05:00</T><Error>5</Error></E>",
    "<E><T>2025-01-01T00:05:00</T><Value>5</Value></E>",
    "<E><T>2025-01-01T00:05:00</T><I2>5</I2></E>",
    "<E><T>2025-01-01T00:05:00</T><Q1>5</Q1></E>",
    "<E><T>2025-01-01T00:05:00</T><I1>*</I1></E>",
    "<E><T>2025-01-01T00:05:00</T><I1></I1></E>",
    "<E><T>2025-01-01T00:05:00</T><I1>5</I1> </E>",
    "<E><T>2025-01-01T00:05:00</T><I1>5</I1></E >",
    "<E><T>2025-01-01 00:05:00</T><I1>5</I1></E>",
    "<E><T>2025-02-31T00:05:00</T><I1>5</I1></E>",
    "<E><T>2025-01-01T00:05:00</T><I1>5</I1></E>5\n",
    "5<E><T>2025-01-01T00:05:00</T><I1>5</I1></E>",
    "<E><I1>1</I1><T>2025-01-01T00:05:00</T><I1>5</I1></E>",
    "<E>5<T>2025-01-01T00:05:00</T><I1>5</I1></E>",
    `<E><E><T>2025-01-01T00:05:00</T><I1>5</I1></E>${plainRow}</E>`,
    "<E><T>2025-01-01T00:05:00</T><I1/></E>",
    "<E><T>2025-01-01T00:05:00</T><I1> </I1></E>",
    "<E><T>2025-01-01T00:05:00</T><I1> * </I1></E>",
    "<E><T>2025-01-01T00:05:00</T><I1>5></I1></E>",
    "<E><T>2025-01-01T00:05:00</T><I1>5]]></I1></E>",
    "<E><T>2025-01-01T00:05:00</T><I1>&#53;</I1></E>",
    "<E><T>2025-01-01T00:05:00</T><Value>&lt;0.002</Value><QualityCode>500</QualityCode></E>",
    "<E><T>2025-01-01T00:05:00</T><Value>&gt;2400</Value></E>",
    "<E><T>2025-01-01T00:05:00</T><Value>&lt; 5</Value></E>",
    "<E><T>2025-01-01T00:05:00</T><Value>&lt;&lt;5</Value></E>",
    "<E><T>2025-01-01T00:05:00</T><Value>&lt;</Value></E>",
    "<E><T>2025-01-01T00:05:00</T><Value>&lt5</Value></E>",
    "<E><T>&lt;2025-01-01T00:05:00</T><Value>5</Value></E>",
    '<E><T>2025-01-01T00:05:00</T><Value>5</Value><Parameter Name="Lab" Value="Demo Lab"/></E>',
    '<E><T>2025-01-01T00:05:00</T><Parameter Name="a>b" Value=""/><Parameter Name="Lab" Value="x"></Parameter></E>',
    '<E><T>2025-01-01T00:05:00</T><Parameter Name="A" Value="B &amp; C"/><Value>5</Value></E>',
    `<E><T>2025-01-01T00:05:00</T><Parameter Name="&apos;&quot;" Value="&lt;&gt;"/><Value>5</Value></E>`,
    '<E><T>2025-01-01T00:05:00</T><Parameter Name="A" Value="B & C"/><Value>5</Value></E>',
    '<E><T>2025-01-01T00:05:00</T><Parameter Name="A" Value="B &AMP; C"/><Value>5</Value></E>',
    '<E><T>2025-01-01T00:05:00</T><Parameter Name="A" Value="B &#38; C"/><Value>5</Value></E>',
    '<E><T>2025-01-01T00:05:00</T><Parameter Name="A" Value="B &bomb; C"/><Value>5</Value></E>',
    "<E><T>2025-01-01T00:05:00</T><I2>&amp;lt;</I2><Value>&amp;5</Value></E>",
    "<E><T>2025-01-01T00:05:00</T><I2>a &apos;&quot; b</I2><Value>5&gt;</Value></E>",
    "<E><T>2025-01-01T00:05:00</T><I2>&lt; </I2><Value>&amp5</Value></E>",
    "<E><T>2025-01-01T00:05:00</T><I2>a&bomb;</I2><Value>5</Value></E>",
    '<E><T>2025-01-01T00:05:00</T><Parameter Name="Kōrero" Value="Ōtaki, 5 µg\u00a0"/><Value>5</Value></E>',
    '<E><T>2025-01-01T00:05:00</T><Parameter Name="A" Value="\u0085\u{1f4a7}"/><Value>5</Value></E>',
    "<E><T>2025-01-01T00:05:00</T><I2>Ōtaki\u2028</I2><Value>\u00a05</Value></E>",
    "<E><T>2025-01-01T00:05:00</T><I2>Ōtaki</I2><Value>5\ufeff</Value></E>",
    "<E><T>2025-01-01T00:05:00</T><I2>\ud800</I2><Value>５</Value></E>",
    '<E><T>2025-01-01T00:05:00</T><Parameter Name="A" Value="<"/><Value>5</Value></E>',
    '<E><T>2025-01-01T00:05:00</T><Parameter Name="A"Value="B"/><Value>5</Value></E>',
    '<E><T>2025-01-01T00:05:00</T><Parameter Value="A" Name="B"/><Value>5</Value></E>',
    '<E><T>2025-01-01T00:05:00</T><Parameter Name="A" Value="B" Name="C"/><Value>5</Value></E>',
    '<E><T>2025-01-01T00:05:00</T><Value Name="A" Value="B">5</Value></E>',
    '<E><T>2025-01-01T00:05:00</T><Value Name="A" Value="B"/></E>',
    "<E><T>2025-01-01T00:05:00</T><Value >5</Value></E>",
    "<E><T>2025-01-01T00:05:00</T><I1>\u00e95</I1></E>",
    "<E><T>2025-01-01T00:05:00</T><I1>5\u0001</I1></E>",
    "<E><T>2025-01-01T00:05:00</T><I1>5</I2></E>",
    "<E><T>2025-01-01T00:05:00</T><I1>5</I1 ></E>",
    "<E><T>2025-01-01T00:05:00</T><I1>5</I1></F>",
    "<E><T>2025-01-01T00:05:00</T><I1>5<!-- or 6 --></I1></E>",
    "<E><T>2025-01-01T00:05:00</T><I1><![CDATA[5]]></I1></E>",
    "<E><T>2025-01-01T00:05:00</T>text<I1>5</I1></E>",
    "<E><T><b>2025</b></T><I1>5</I1></E>",
    "<E><E>1</E><T>2025-01-01T00:05:00</T><I1>5</I1></E>",
    '<E a="1"><E><T>2025-01-01T00:05:00</T><I1>5</I1></E></E>',
    `<E ><!--${plainRow}--></E>`,
    `<E ><![CDATA[${plainRow}]]></E>`,
    `<E ><?x ${plainRow}?></E>`,
    `<E a='<E>'/>`,
    `<!--${plainRow}-->`,
    `<X>${plainRow}</X>`,
    "<Gap/>",
    "<Gap></Gap><Gap/>",
    "<Gap/><Gap/><E x='1'/>",
    "<V>2682504000 612</V>",
    `</Data><Data>${plainRow}`,
    `</Data></Measurement>${series(plainRow).replace(/<\/Data>.*$/, "")}`
  ])("%j is read as the parser reads it", (odd) =>
    Effect.gen(function* () {
      for (const rows of [odd, odd + plainRow, plainRow + odd, plainRow + odd + plainRow, plainRow + odd + odd]) {
        yield* same(document(rows))
        yield* same(document(rows, "Error"))
      }
    })
  )
})

describe("a document of times in another form", () => {
  it.effect.each(["mowsecs", "DayNumber", "odd"])("%s is read as the parser reads it", (format) =>
    Effect.gen(function* () {
      const text = document(`${plainRow.repeat(3)}<E><T>2682504000</T><I1>5</I1></E>\n${plainRow}`)
      yield* same(text.replace('"Calendar"', `"${format}"`))
      yield* same(text.replace('NumItems="1"><TSType>', 'NumItems="2"><TSType>'))
    })
  )
})

describe("a long document", () => {
  it.effect("is read whole, wherever the scanner pauses", () =>
    Effect.gen(function* () {
      const rows = Math.ceil((2 * CHUNK_LENGTH) / plainRow.length)
      for (let shift = 0; shift < plainRow.length + 5; shift++) {
        const exit = yield* same(document(" ".repeat(shift) + plainRow.repeat(rows)))
        assert.strictEqual(exit._tag === "Success" ? exit.value.measurements[0]?.rows.length : 0, rows)
      }
    })
  )

  it.effect.each([1, 2, 3, 10, 100, 1000])("with an unusual row in %i is read as the parser reads it", (every) =>
    Effect.gen(function* () {
      const unusual = plainRow.replace("584", "&#53;")
      const rows = `${plainRow.repeat(every - 1)}${unusual}`.repeat(Math.ceil(4_000 / every))
      const exit = yield* same(document(`${rows}<!--${rows}-->${rows}`))
      const read = exit._tag === "Success" ? [...(exit.value.measurements[0]?.rows ?? [])] : []
      assert.strictEqual(read.length, 2 * every * Math.ceil(4_000 / every))
      assert.strictEqual(read.filter(({ value }) => value === "5").length, read.length / every)
    })
  )

  it.effect("names the line of a fault behind rows that no parser saw", () =>
    Effect.gen(function* () {
      for (const end of ["\n", "\r\n", "\r"]) {
        const rows = plainRow.repeat(100) + plainRow.replace("584", "&#53;")
        const text = document(rows.repeat(50) + "<E></F>").replaceAll("\n", end)
        const exit = yield* same(text)
        assert.include(JSON.stringify(exit), "at line 5055")
      }
    })
  )
})
