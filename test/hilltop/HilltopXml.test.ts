/** Answers that are not the document that was asked for: error documents, other documents, hostile ones. */
import { readFileSync } from "node:fs"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { SaxesXmlScanner } from "../../layers/hilltop/SaxesXmlScanner.ts"
import { parseData, parseMeasurementList, parseSiteList } from "../../src/hilltop/HilltopXml.ts"
import { formatNzst } from "../../src/hilltop/Nzst.ts"

const failureOf = (text: string) => Effect.flip(parseData(text)).pipe(Effect.provide(SaxesXmlScanner))

describe("an error document", () => {
  it.effect.each([
    ["<HilltopServer><Error>No data</Error></HilltopServer>", "No data"],
    ["<Hilltop><Agency>A</Agency><Error>No data</Error></Hilltop>", "No data"],
    ["<Error>No data</Error>", "No data"],
    ["<error>No data</error>", "No data"],
    ["<e>No data</e>", "No data"],
    ["<Whatever>\n <Error>\n  No\tdata\n </Error>\n</Whatever>", "No data"],
    ["<HilltopServer><Error>Smith &amp; Sons &#186;C</Error></HilltopServer>", "Smith & Sons ºC"],
    ["<HilltopServer><Error>No <b>data</b> here</Error></HilltopServer>", "No data here"],
    ["<HilltopServer><Error><![CDATA[a < b]]></Error></HilltopServer>", "a < b"],
    ["<HilltopServer><Error/></HilltopServer>", "an Error without a text"],
    ["<Hilltop><Agency>A</Agency><Measurement SiteName='S'><Error>No data</Error></Measurement></Hilltop>", "No data"],
    [
      "<Hilltop><Measurement SiteName='S'><DataSource Name='D'/><Data><Error>Timed out</Error></Data></Measurement></Hilltop>",
      "Timed out"
    ],
    [
      "<Hilltop><Measurement SiteName='S'><DataSource Name='D'/><Data><E><T>2025-01-01</T><I1>5</I1></E><E><Error>x</Error></E>" +
        "</Data></Measurement></Hilltop>",
      "x"
    ],
    [
      '<ows:ExceptionReport xmlns:ows="http://www.opengis.net/ows"><ows:Exception exceptionCode="NoApplicableCode">' +
        "<ows:ExceptionText>The file is locked</ows:ExceptionText></ows:Exception></ows:ExceptionReport>",
      "The file is locked"
    ],
    ['<ExceptionReport><Exception exceptionCode="MissingParameterValue"/></ExceptionReport>', "MissingParameterValue"],
    ["<ServiceExceptionReport><ServiceException>No</ServiceException></ServiceExceptionReport>", "No"]
  ] as const)("%s is known by its Error element", ([text, message]) =>
    Effect.gen(function* () {
      const error = yield* failureOf(text)
      assert.deepStrictEqual([error._tag, error.message], ["HilltopErrorDocument", message])
    })
  )

  it.effect("says no more than a task's history can hold", () =>
    Effect.gen(function* () {
      const error = yield* failureOf(`<HilltopServer><Error>${"long ".repeat(10_000)}</Error></HilltopServer>`)
      assert.strictEqual(error.message.length, 500)
    })
  )
})

const deep = (levels: number): string => "<a>".repeat(levels) + "</a>".repeat(levels)
const bomb =
  '<?xml version="1.0"?>\n<!DOCTYPE lolz [\n<!ENTITY lol "lol">\n<!ENTITY lol2 "&lol;&lol;&lol;&lol;&lol;">\n]>\n' +
  "<Hilltop><Agency>&lol2;</Agency></Hilltop>"

describe("what is not the document", () => {
  it.effect.each([
    ["", "an empty answer"],
    [" \n\uFEFF", "an empty answer"],
    ["The service is unavailable.", "plain text where XML was expected"],
    ['{"Data":[]}', "JSON where XML was expected"],
    ["<html><body><br></body></html>", "an HTML page where XML was expected"],
    ["<HTML><body/></HTML>", "an HTML page where XML was expected"],
    ["\uFEFF\n<!DOCTYPE html>\n<html><body/></html>", "an HTML page where XML was expected"],
    ['<!doctype HTML PUBLIC "-//W3C//DTD XHTML 1.0 Strict//EN">', "an HTML page where XML was expected"],
    ["<!-- proxy --><html><body></body></html>", "an HTML page where XML was expected"],
    ["<!-- proxy --><html><body><br></body></html>", "an HTML page where XML was expected"],
    [bomb, "not well-formed XML at line 5: a document type declaration is not allowed"],
    ['<!DOCTYPE Hilltop SYSTEM "file:///etc/passwd"><Hilltop/>', "a document type declaration is not allowed"],
    [deep(65), "elements are nested more than 64 deep"],
    [deep(200_000), "elements are nested more than 64 deep"],
    [deep(64), "a <a> document where <Hilltop> was expected"],
    ["<HilltopServer><Agency>A</Agency></HilltopServer>", "a <HilltopServer> document where <Hilltop> was expected"],
    ["<Hilltop></Hilltop>", "a <Hilltop> document with neither an Agency nor a Measurement in it"],
    ["<Hilltop><Agency>A</Agency>", "not well-formed XML at line 1: it breaks off: unclosed tag: Hilltop"],
    ["<Hilltop><Agency>A</Agency></Hilltop", "it breaks off"],
    ["<Hilltop><Agency>A</Hilltop>", "not well-formed XML at line 1"],
    ["<Hilltop/><Hilltop/>", "documents may contain only one root"],
    ["<Hilltop><Agency>&nbsp;</Agency></Hilltop>", "undefined entity"],
    ["\n\n<Hilltop><Agency>Smith & Sons</Agency><Agency>\n&deg;</Agency></Hilltop>", "at line 4: undefined entity"],
    ['<Hilltop><Measurement SiteName="a" SiteName="b"/></Hilltop>', "duplicate attribute"],
    [`<${"x".repeat(100_000)}/>`, `a <${"x".repeat(40)}> document`]
  ] as const)("%j is refused with a readable message", ([text, message]) =>
    Effect.gen(function* () {
      const error = yield* failureOf(text)
      assert.strictEqual(error._tag, "HilltopParseError")
      assert.include(error.message, message)
      assert.isBelow(error.message.length, 300)
    })
  )

  it.effect("an error that breaks off is no error document", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* failureOf("<HilltopServer><Error>No da"))._tag, "HilltopParseError")
    })
  )
})

const site = (inner: string): string => `<Site Name="S">${inner}</Site>`

describe("a list", () => {
  it.effect.each([
    ["<HilltopServer></HilltopServer>", "neither an Agency nor a Site in it"],
    ["<HilltopServer><Agency>A</Agency><Site/></HilltopServer>", "a Site without a Name"],
    ["<Hilltop><Agency>A</Agency></Hilltop>", "a <Hilltop> document where <HilltopServer> was expected"]
  ] as const)("of sites is not %s", ([text, message]) =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(parseSiteList(text))
      assert.deepStrictEqual(error._tag, "HilltopParseError")
      assert.include(error.message, message)
    }).pipe(Effect.provide(SaxesXmlScanner))
  )

  it.effect.each([
    ["<HilltopServer></HilltopServer>", "neither an Agency nor a DataSource in it"],
    ["<HilltopServer><Agency>A</Agency><DataSource/></HilltopServer>", "a DataSource without a Name"],
    ['<HilltopServer><DataSource Name="D"><Measurement/></DataSource></HilltopServer>', "a Measurement without a Name"]
  ] as const)("of measurements is not %s", ([text, message]) =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(parseMeasurementList(text))
      assert.deepStrictEqual(error._tag, "HilltopParseError")
      assert.include(error.message, message)
    }).pipe(Effect.provide(SaxesXmlScanner))
  )

  it.effect("of sites takes coordinates that cannot be read for none", () =>
    Effect.gen(function* () {
      const list = yield* parseSiteList(
        "<HilltopServer>" +
          site("<Easting>1</Easting>") +
          site("<Easting>x</Easting><Northing>2</Northing>") +
          site("<Easting/><Northing/>") +
          site("<Northing>2</Northing><Easting>-1.5</Easting>") +
          site("<Easting/><Northing/><Latitude>-41.5</Latitude><Longitude>174</Longitude>") +
          "</HilltopServer>"
      )
      assert.deepStrictEqual(
        list.sites.map(({ location }) => location),
        [null, null, null, { easting: -1.5, northing: 2 }, { latitude: -41.5, longitude: 174 }]
      )
    }).pipe(Effect.provide(SaxesXmlScanner))
  )

  it.effect("of measurements does without From, To, Item, RequestAs and Units", () =>
    Effect.gen(function* () {
      const list = yield* parseMeasurementList(
        '<HilltopServer><DataSource Site="S" Name="D"><From>????</From><NumItems>x</NumItems>' +
          '<Measurement Name="M"/><Measurement Name="N"><Item>0</Item><Units></Units><Divisor>x</Divisor><VM/></Measurement>' +
          "</DataSource></HilltopServer>"
      )
      assert.deepStrictEqual(list.dataSources, [
        {
          name: "D",
          site: "S",
          measurements: [
            { name: "M", requestAs: "M", item: 1, virtual: false },
            { name: "N", requestAs: "N", item: 1, virtual: true }
          ]
        }
      ])
    }).pipe(Effect.provide(SaxesXmlScanner))
  )

  it.effect("of real measurements has as many of each kind as were counted by hand", () =>
    Effect.gen(function* () {
      const sample = new URL("../samples/eop-mit/MeasurementsResponse-list.xml", import.meta.url)
      const { dataSources } = yield* parseMeasurementList(readFileSync(sample, "utf8"))
      const measurements = dataSources.flatMap((dataSource) => dataSource.measurements)
      const ofType = (type: string) => dataSources.filter(({ tsType }) => tsType === type).length
      assert.deepStrictEqual(["StdSeries", "StdQualSeries", "CheckSeries"].map(ofType), [8, 8, 2])
      assert.deepStrictEqual([measurements.length, measurements.filter(({ virtual }) => virtual).length], [47, 31])
    }).pipe(Effect.provide(SaxesXmlScanner))
  )
})

const dataOf = (rows: string, dateFormat = "Calendar") =>
  `<Hilltop><Agency>A</Agency><Measurement SiteName="S"><DataSource Name="D" NumItems="1"/>` +
  `<Data DateFormat="${dateFormat}" NumItems="1">${rows}</Data></Measurement></Hilltop>`
const at = (time: string, ...cells: ReadonlyArray<string>) => `<E><T>2025-01-01T${time}:00</T>${cells.join("")}</E>`
const good = at("00:00", "<I1>5</I1>") + at("01:00", "<I1>6</I1>")
const read = (text: string) =>
  parseData(text).pipe(
    Effect.provide(SaxesXmlScanner),
    Effect.map(({ measurements }) => measurements[0]!)
  )

describe("a document with a small fault", () => {
  it.effect.each([
    ["white space before it", `\r\n  <?xml version="1.0"?>\n${dataOf(good)}`],
    ["a byte order mark behind white space", `\n\uFEFF<?xml version="1.0"?>\n${dataOf(good)}`],
    ["two byte order marks", `\uFEFF\uFEFF${dataOf(good)}`],
    ["NULs, white space and an end mark behind it", `${dataOf(good)}\r\n\u0000\u0000\u001a\n`],
    ["a control character in a comment", dataOf(`<!-- \u0001 -->${good}`)],
    ["a control character in a parameter", dataOf(good.replace("</E>", '<Parameter Name="Lab" Value="\u0007"/></E>'))],
    ["a reference to nothing in a parameter", dataOf(good.replace("</E>", '<Parameter Name="Lab" Value="&#0;"/></E>'))],
    ["a reference to half a character", dataOf(good.replace("</E>", "<I2>&#xD800;&#x110000;&#x1;</I2></E>"))],
    ["a bare ampersand in a text", dataOf(good.replace("</E>", "<I2>Smith & Sons</I2></E>"))],
    ["a bare ampersand in an attribute", dataOf(good.replace("</E>", '<Parameter Name="Lab" Value="A&B"/></E>'))],
    ["a bare ampersand at the end of a text", dataOf(good.replace("</E>", "<I2>Smith &</I2></E>"))],
    ["an ampersand before a semicolon", dataOf(good.replace("</E>", "<I2>Smith &; Sons; &c.</I2></E>"))]
  ] as const)("is read all the same: %s", ([, text]) =>
    Effect.gen(function* () {
      const { rows, skipped } = yield* read(text)
      assert.deepStrictEqual(
        Array.from(rows, ({ value }) => value),
        ["5", "6"]
      )
      assert.deepStrictEqual(skipped, { unreadableTime: 0, noValue: 0, asterisk: 0, notANumber: 0 })
    })
  )

  it.effect.each([
    ["<I1>7\u0000</I1>", "notANumber"],
    ["<I1>&#0;7</I1>", "notANumber"],
    ["<I1>\uFFFD7</I1>", "notANumber"],
    ["<I1>7&1</I1>", "notANumber"],
    ["<I1>~7</I1>", "notANumber"],
    ["<I1>0.5*</I1>", "notANumber"],
    ["<I1>1,234</I1>", "notANumber"]
  ] as const)("loses the value %s and no other", ([cell, reason]) =>
    Effect.gen(function* () {
      const { rows, skipped } = yield* read(dataOf(good + at("02:00", cell)))
      assert.strictEqual(rows.length, 2)
      assert.strictEqual(skipped[reason], 1)
    })
  )

  it.effect("keeps what is literal in CDATA, and references in all texts", () =>
    Effect.gen(function* () {
      const text = "<HilltopServer><Error><![CDATA[a & b &amp; c]]> &amp; &#x41;&lt;</Error></HilltopServer>"
      assert.strictEqual((yield* failureOf(text)).message, "a & b &amp; c & A<")
    })
  )

  it.effect("reads day numbers only where the document says that its times are such", () =>
    Effect.gen(function* () {
      const days = ["46305.4166667", "46306", "46306.5"].map((time) => `<E><T>${time}</T><I1>5</I1></E>`).join("")
      for (const format of ["Calendar", "", "mowsecs"]) {
        const { rows, skipped } = yield* read(dataOf(days, format))
        // A whole number of seconds may be meant, and is all that mowsecs can be.
        assert.strictEqual(rows.length, format === "mowsecs" ? 1 : 0, format)
        assert.strictEqual(skipped.unreadableTime, 3 - rows.length)
      }
      const { rows } = yield* read(dataOf(days, "Excel"))
      assert.deepStrictEqual(
        Array.from(rows, ({ observedAt }) => formatNzst(observedAt)),
        ["2026-10-10T10:00:00+12:00", "2026-10-11T00:00:00+12:00", "2026-10-11T12:00:00+12:00"]
      )
    })
  )
})
