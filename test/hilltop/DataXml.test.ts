/** GetData answers: which column is taken, how rows of each form are read, what is left out, and nothing is lost between. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { SaxesXmlScanner } from "../../layers/hilltop/SaxesXmlScanner.ts"
import type { DataOptions } from "../../src/hilltop/DataXml.ts"
import type { DataRow } from "../../src/hilltop/HilltopDocument.ts"
import { parseData } from "../../src/hilltop/HilltopXml.ts"
import { formatHilltopTime, parseNzst } from "../../src/hilltop/Nzst.ts"

const itemInfo = (number: number, name: string, more = ""): string =>
  `<ItemInfo ItemNumber="${number}"><ItemName>${name}</ItemName>${more}</ItemInfo>`

const series = (rows: string, items = itemInfo(1, "Stage"), numItems = 1, data = 'DateFormat="Calendar"'): string =>
  `<Measurement SiteName="S"><DataSource Name="Gauging Results" NumItems="${numItems}">${items}</DataSource>` +
  `<Data ${data} NumItems="${numItems}">${rows}</Data></Measurement>`

const document = (body: string): string =>
  `<?xml version="1.0" ?>\n<Hilltop>\n<Agency>Demo</Agency>\n${body}\n</Hilltop>`

const read = (body: string, options?: DataOptions) =>
  parseData(document(body), options).pipe(Effect.provide(SaxesXmlScanner))

/** The first series of an answer that must have one. */
const first = Effect.fnUntraced(function* (body: string, options?: DataOptions) {
  const [measurement] = (yield* read(body, options)).measurements
  assert.isDefined(measurement)
  return { ...measurement, rows: [...measurement.rows] }
})

const at = (text: string): number => parseNzst(text) ?? Number.NaN
const noon = at("2025-01-01T12:00:00")
const noonRow = (cells: string): string => `<E><T>2025-01-01T12:00:00</T>${cells}</E>`

const three = itemInfo(1, "Stage") + itemInfo(3, "Comment") + itemInfo(2, "Flow")
const threeRows = noonRow("<I1>612</I1><I2>1.234</I2><I3>Clear</I3>")

describe("the wanted item", () => {
  it.effect.each([
    [{}, 1, "612"],
    [{ item: 2 }, 2, "1.234"],
    [{ itemName: "Flow" }, 2, "1.234"],
    [{ itemName: "No such item" }, 1, "612"],
    [{ item: 1, itemName: "Flow" }, 1, "612"]
  ] as const)("of %j is number %i", ([options, item, value]) =>
    Effect.gen(function* () {
      const measurement = yield* first(series(threeRows, three, 3), options)
      assert.strictEqual(measurement.item, item)
      assert.deepStrictEqual(measurement.rows, [{ observedAt: noon, value }])
    })
  )

  it.effect("is counted as missing where the rows do not have it", () =>
    Effect.gen(function* () {
      const measurement = yield* first(series(threeRows, three, 3), { item: 7 })
      assert.deepStrictEqual(measurement.rows, [])
      assert.strictEqual(measurement.skipped.noValue, 1)
    })
  )

  it.effect("is the only one, whatever its number in the list of measurements", () =>
    Effect.gen(function* () {
      const measurement = yield* first(series(noonRow("<I1>5</I1>")), { item: 4 })
      assert.deepStrictEqual([measurement.item, measurement.rows], [1, [{ observedAt: noon, value: "5" }]])
      const undescribed = yield* first(series(noonRow("<I1>5</I1>"), ""), { item: 4 })
      assert.deepStrictEqual([undescribed.item, undescribed.rows], [1, [{ observedAt: noon, value: "5" }]])
    })
  )

  it.effect("is the first where the document describes none", () =>
    Effect.gen(function* () {
      const measurement = yield* first(series(noonRow("<I1>5</I1>"), ""))
      assert.deepStrictEqual([measurement.item, measurement.rows.length], [1, 1])
    })
  )
})

describe("rows", () => {
  it.effect("keep times in mowsecs, dates alone, spaces, fractions and the end of a day apart from nonsense", () =>
    Effect.gen(function* () {
      const times = ["2025-01-01 12:00:00", "2025-01-01T12:00:00.000", "1/1/2025 12:00", "2682504000", "nonsense", ""]
      const rows = times.map((time) => `<E><T>${time}</T><I1>1</I1></E>`).join("\n")
      const measurement = yield* first(series(`${rows}<E><D>2025-01-01</D><I1>2</I1></E><E><I1>3</I1></E><E/>`))
      assert.deepStrictEqual(
        measurement.rows.map(({ observedAt }) => observedAt),
        [noon, noon, noon, noon, at("2025-01-01")]
      )
      assert.deepStrictEqual(measurement.skipped, { unreadableTime: 4, noValue: 0, asterisk: 0, notANumber: 0 })
      const midnight = yield* first(series("<E><T>2024-12-31T24:00:00</T><I1>1</I1></E>"))
      assert.strictEqual(midnight.rows[0]?.observedAt, at("2025-01-01"))
    })
  )

  it.effect("in mowsecs are read as such, and a calendar time among them as what it is", () =>
    Effect.gen(function* () {
      const rows = "<E><T>2682504000</T><I1>1</I1></E><E><T>86400</T><I1>2</I1></E>" + noonRow("<I1>3</I1>")
      const measurement = yield* first(series(rows, itemInfo(1, "Stage"), 1, 'DateFormat="mowsecs"'))
      assert.deepStrictEqual(
        measurement.rows.map(({ observedAt }) => observedAt),
        [noon, at("1940-01-02"), noon]
      )
    })
  )

  it.effect("of the native form have all items in one text, without the divisor applied", () =>
    Effect.gen(function* () {
      const items = itemInfo(1, "Stage") + itemInfo(2, "Flow", "<Divisor>1000</Divisor>")
      const rows = "<V>2682504000 612 1234</V>\n<V>2682504300 613</V><V>x 1 2</V><V>2682504600 614 *</V>"
      const measurement = yield* first(series(rows, items, 2, 'DateFormat="mowsecs"'), { item: 2 })
      assert.deepStrictEqual(measurement.rows, [{ observedAt: noon, value: "1234" }])
      assert.deepStrictEqual(measurement.skipped, { unreadableTime: 1, noValue: 1, asterisk: 1, notANumber: 0 })
      assert.isFalse(measurement.divisorApplied)
      assert.strictEqual(measurement.dataSource.items[1]?.divisor, 1000)
    })
  )

  it.effect("without a number are left out and counted by reason", () =>
    Effect.gen(function* () {
      const cells = [
        "",
        "<I1/>",
        "<I1></I1>",
        "<I1>*</I1>",
        "<Value>*</Value>",
        "<I1>not-a-number</I1>",
        "<I1>1,5</I1>"
      ]
      const parameters = '<Parameter Name="Lab" Value="7"/>'
      const measurement = yield* first(series([...cells, parameters, "<I1>5</I1>"].map(noonRow).join("")))
      assert.strictEqual(measurement.rows.length, 1)
      assert.deepStrictEqual(measurement.skipped, { unreadableTime: 0, noValue: 4, asterisk: 2, notANumber: 2 })
    })
  )

  it.effect("keep their quality, that of the item before that of the data source", () =>
    Effect.gen(function* () {
      const rows = [
        "<I1>1</I1><I2>2</I2><Q1>600</Q1><Q2>500</Q2>",
        "<I1>1</I1><I2>2</I2><Q2>500</Q2><Q1>600</Q1>",
        "<I1>1</I1><I2>2</I2><Q1>600</Q1>",
        "<I1>1</I1><I2>2</I2>",
        "<I1>1</I1><I2>2</I2><Q1>good</Q1>"
      ]
      const items = itemInfo(1, "Stage") + itemInfo(2, "Flow")
      const measurement = yield* first(series(rows.map(noonRow).join(""), items, 2), { item: 2 })
      assert.deepStrictEqual(
        measurement.rows.map(({ quality }) => quality),
        [500, 500, 600, undefined, undefined]
      )
    })
  )

  it.effect("carry nothing over from the row before", () =>
    Effect.gen(function* () {
      const body = noonRow("<Value>&lt;5</Value><QualityCode>400</QualityCode>") + noonRow("") + noonRow("<I1>6</I1>")
      const measurement = yield* first(series(body))
      assert.deepStrictEqual(measurement.rows, [
        { observedAt: noon, value: "5", qualifier: "<", quality: 400 },
        { observedAt: noon, value: "6" }
      ])
    })
  )

  it.effect("remember where the record has gaps", () =>
    Effect.gen(function* () {
      const row = noonRow("<I1>1</I1>")
      const measurement = yield* first(series(`<Gap/>${row}${row}<Gap/><Gap/>${row}<Gap></Gap>`))
      assert.deepStrictEqual(measurement.gapsBefore, [0, 2, 3])
    })
  )
})

describe("a document", () => {
  it.effect("keeps every series in it", () =>
    Effect.gen(function* () {
      const answer = yield* read(series(noonRow("<I1>1</I1>")) + series("") + series(noonRow("<I1>2</I1>")))
      assert.deepStrictEqual(
        answer.measurements.map(({ rows }) => Array.from(rows, ({ value }) => value)),
        [["1"], [], ["2"]]
      )
    })
  )

  const row = noonRow("<I1>1</I1>")
  it.effect.each([
    [series(row).replace(' SiteName="S"', ""), "a Measurement without a SiteName"],
    [series(row).replace(' Name="Gauging Results"', ""), "a DataSource without a Name"],
    [series(row).replace(/<DataSource.*<\/DataSource>/, ""), "a Measurement without a DataSource"],
    [series(row).replace(/<Data .*<\/Data>/, ""), "a Measurement without Data"]
  ] as const)("%s is refused, and the message says what is missing", ([body, message]) =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(read(body))
      assert.strictEqual(error._tag, "HilltopParseError")
      assert.include(error.message, message)
    })
  )
})

describe("a depth profile", () => {
  const section =
    '<Section SiteName="L"><SurveyTime> 4-Feb-2019 09:30:00</SurveyTime><E><O>.5</O><I1>&lt;4</I1></E>' +
    "<E><I1>5</I1></E><E><O>2</O></E><E><O>2</O><I2>7</I2><I1>6</I1></E></Section>"
  const dataSource = '<DataSource Name="D"><DataType>DepthProfile</DataType></DataSource>'

  it.effect.each([
    section,
    `<Measurement SiteName="S">${dataSource}</Measurement>${section}`,
    `<Measurement SiteName="S">${dataSource}${section}</Measurement>`,
    `<Measurement SiteName="S">${dataSource}<Data>${section}</Data></Measurement>`
  ])("is read wherever its section stands: %s", (body) =>
    Effect.gen(function* () {
      const { measurements, profiles } = yield* read(body)
      assert.isTrue(measurements.every(({ rows }) => rows.length === 0))
      const rows = [
        { depth: "0.5", value: "4", qualifier: "<" as const },
        { depth: "2", value: "6" }
      ]
      assert.deepStrictEqual(profiles, [{ siteName: "L", surveyedAt: at("2019-02-04T09:30:00"), rows, skipped: 2 }])
    })
  )

  it.effect("has the values of the wanted item", () =>
    Effect.gen(function* () {
      const { profiles } = yield* read(section, { item: 2 })
      assert.deepStrictEqual(profiles?.[0]?.rows, [{ depth: "2", value: "7" }])
    })
  )

  it.effect("stands beside a series without disturbing it", () =>
    Effect.gen(function* () {
      const { measurements, profiles } = yield* read(series(noonRow("<I1>1</I1>") + section + noonRow("<I1>2</I1>")))
      assert.deepStrictEqual(
        measurements.map(({ rows }) => Array.from(rows, ({ value }) => value)),
        [["1", "2"]]
      )
      assert.strictEqual(profiles?.length, 1)
    })
  )

  it.effect("that is asked for where there is none is an answer without data", () =>
    Effect.gen(function* () {
      const answer = yield* read(`<Measurement SiteName="S">${dataSource}</Measurement>`)
      assert.deepStrictEqual(answer, { agency: "Demo", measurements: [] })
    })
  )
})

const Row = Schema.Struct({
  minute: Schema.Int.check(Schema.isBetween({ minimum: -30_000_000, maximum: 50_000_000 })),
  digits: Schema.Int,
  decimals: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 6 })),
  qualifier: Schema.Literals(["", "<", ">"]),
  quality: Schema.NullOr(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 600 }))),
  wq: Schema.Boolean,
  gap: Schema.Boolean
})

const escape = (text: string): string => text.replaceAll(/[&<>"'\s]/g, (character) => `&#${character.charCodeAt(0)};`)
/** XML cannot say these at all. */
const sayable = (text: string): string =>
  text.toWellFormed().replaceAll(/[^\t\n\r -\uD7FF\uE000-\uFFFD\u{10000}-\u{10FFFF}]/gu, "?")

const valueOf = ({ digits, decimals }: typeof Row.Type): string => {
  const text = String(Math.abs(digits)).padStart(decimals + 1, "0")
  const cut = text.length - decimals
  return `${digits < 0 ? "-" : ""}${text.slice(0, cut)}${decimals === 0 ? "" : `.${text.slice(cut)}`}`
}

it.effect.prop(
  "whatever series a server sends, its rows come back as they were",
  {
    rows: Schema.Array(Row),
    site: Schema.String,
    name: Schema.String,
    indent: Schema.Literals(["", "\n", "\r\n    "])
  },
  ({ rows, site, name, indent }) =>
    Effect.gen(function* () {
      const body = rows.map((row) => {
        const value = escape(row.qualifier + valueOf(row))
        const quality =
          row.quality === null
            ? ""
            : `<${row.wq ? "QualityCode" : "Q1"}>${row.quality}</${row.wq ? "QualityCode" : "Q1"}>`
        const cell = row.wq ? `<Value>${value}</Value>` : `<I1>${value}</I1>`
        return `${row.gap ? "<Gap/>" : ""}<E>${indent}<T>${formatHilltopTime(row.minute * 60_000)}</T>${indent}${cell}${indent}${quality}</E>`
      })
      const text =
        `<Hilltop><Agency>A</Agency>${indent}<Measurement SiteName="${escape(sayable(site))}">` +
        `<DataSource NumItems='1' Name='${escape(sayable(name))}'/><Data>${body.join(indent)}</Data></Measurement></Hilltop>`
      const answer = yield* parseData(text)
      const [measurement] = answer.measurements
      assert.strictEqual(measurement?.siteName, sayable(site))
      assert.strictEqual(measurement?.dataSource.name, sayable(name))
      const expected: ReadonlyArray<DataRow> = rows.map((row) => ({
        observedAt: row.minute * 60_000,
        value: valueOf(row),
        ...(row.qualifier === "" ? {} : { qualifier: row.qualifier }),
        ...(row.quality === null ? {} : { quality: row.quality })
      }))
      assert.deepStrictEqual([...(measurement?.rows ?? [])], expected)
      assert.deepStrictEqual(
        measurement?.gapsBefore,
        rows.flatMap((row, index) => (row.gap ? [index] : []))
      )
      assert.deepStrictEqual(measurement?.skipped, { unreadableTime: 0, noValue: 0, asterisk: 0, notANumber: 0 })
    }).pipe(Effect.provide(SaxesXmlScanner))
)

const laboratory = (cells: string, options?: DataOptions) =>
  first(series(noonRow(cells), itemInfo(1, "E. coli"), 2), options)

describe("what is said beside a value", () => {
  it.effect.each([
    ["<I1>0.002</I1><I2>$ND\t&lt;\t</I2>", { value: "0.002", qualifier: "<" }],
    [
      "<I1>2400</I1><I2>Units\tn/100ml\t$ND\t>\t$QC\t500\tMethod\tX &amp; Y\t</I2>",
      { value: "2400", qualifier: ">", quality: 500 }
    ],
    ["<I2>$QC\t400\tLab\t\t$ND\t&lt;;\t</I2><I1>5</I1>", { value: "5", qualifier: "<", quality: 400 }],
    ["<I1>5</I1><I2>$QC\t600</I2>", { value: "5", quality: 600 }],
    ["<I1>5</I1><I2>$ND\t\t$QC\t\tMethod\tX</I2>", { value: "5" }],
    ["<I1>5</I1><I2>\t</I2>", { value: "5" }],
    ["<I1>&lt;5</I1><I2>$ND\t&lt;\t</I2>", { value: "5", qualifier: "<" }],
    ["<I1>5</I1><Q1>500</Q1><I2>$QC\t200</I2>", { value: "5", quality: 500 }],
    ["<I1>5</I1><I2>Cost\t$5</I2>", { value: "5" }],
    ["<I1>5</I1><I2>Method\tX\uFFFD\t$ND\t&lt;</I2>", { value: "5", qualifier: "<" }],
    [
      '<Value>5</Value><Parameter Name="$ND" Value="&lt;"/><Parameter Name="$QC" Value="300"/>',
      { value: "5", qualifier: "<", quality: 300 }
    ],
    ["<Value>0.004</Value><I1>0.0035</I1>", { value: "0.0035" }],
    ["<I1>0.0035</I1><Value>&lt;0.004</Value>", { value: "0.0035" }]
  ] as const)("%j is read as what it is", ([cells, expected]) =>
    Effect.gen(function* () {
      const { rows, skipped } = yield* laboratory(cells, { item: 1 })
      assert.deepStrictEqual(rows, [{ observedAt: noon, ...expected }])
      assert.deepStrictEqual(skipped, { unreadableTime: 0, noValue: 0, asterisk: 0, notANumber: 0 })
    })
  )

  it.effect.each([
    ["<I1>5</I1><I2>$ND\t*\t</I2>", "notANumber"],
    ["<I1>*</I1><I2>$ND\t*\t</I2>", "asterisk"],
    ["<I1/><I2>$ND\t*\t</I2>", "noValue"],
    ["<I1/><I2>$ND\t>\t</I2><I3>$ND\t&lt;\t</I3>", "notANumber"],
    ["<I1>5</I1><I1/>", "notANumber"],
    ['<Value>5</Value><Parameter Name="$\uFFFDD" Value="&lt;"/>', "notANumber"],
    ["<I1>5</I1><I2>$ND\t~\t</I2>", "notANumber"],
    ["<I1>&lt;5</I1><I2>$ND\t>\t</I2>", "notANumber"],
    ["<I1>5</I1><I2>$ND\t>\t</I2><I3>$ND\t&lt;\t</I3>", "notANumber"],
    // With spaces in place of tabs nobody can tell what belongs to what.
    ["<I1>5</I1><I2>$ND &lt; $QC 500</I2>", "notANumber"],
    ["<I1>5</I1><I2>$\uFFFDD\t&lt;\t</I2>", "notANumber"],
    ["<I1>5</I1><I2>\uFFFDND\t&lt;\t</I2>", "notANumber"],
    ["<I1>5</I1><I2>$ND\t\uFFFD\t</I2>", "notANumber"],
    ["<I1/><Value>5</Value>", "notANumber"],
    ["<I1/><Value/>", "noValue"],
    ["<I1>5</I1><I1>6</I1>", "notANumber"],
    ["<T>2025-01-01T13:00:00</T><I1>5</I1>", "unreadableTime"]
  ] as const)("%j is left out rather than guessed at", ([cells, reason]) =>
    Effect.gen(function* () {
      const { rows, skipped } = yield* laboratory(cells, { item: 1 })
      assert.deepStrictEqual(rows, [])
      assert.strictEqual(skipped[reason], 1)
    })
  )

  it.effect("is that of its own row alone", () =>
    Effect.gen(function* () {
      const rows = noonRow("<I1>5</I1><I2>$ND\t&lt;\t$QC\t400\t</I2>") + noonRow("<I1>6</I1>")
      assert.deepStrictEqual((yield* first(series(rows, "", 2), { item: 1 })).rows, [
        { observedAt: noon, value: "5", qualifier: "<", quality: 400 },
        { observedAt: noon, value: "6" }
      ])
    })
  )
})
