/** Rows as digests: every form of them, whatever they look like. */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { ParserAlone } from "../../layers/hilltop/SaxesXmlScanner.ts"
import { SeriesRowsDigest } from "../../src/hilltop/SeriesRows.ts"
import { XmlScanner } from "../../src/hilltop/XmlScanner.ts"
import { seriesRowsOf } from "../support/seriesRowsOf.ts"

const document = (rows: string, format = "Calendar") =>
  `<?xml version="1.0" ?>\n<Hilltop>\n<Agency>A</Agency>\n<Measurement SiteName="S">\n<DataSource Name="D" NumItems="1">\n` +
  `<ItemInfo ItemNumber="1"><Units>mm</Units></ItemInfo>\n</DataSource>\n<Data DateFormat="${format}" NumItems="1">\n${rows}</Data>\n` +
  `</Measurement>\n</Hilltop>\n`
const at = (time: string) => Date.parse(`${time}+12:00`)
const cut = (rows: string) => seriesRowsOf(document(rows))

it.effect("have the times of all forms that rows have", () =>
  Effect.gen(function* () {
    const { count, times } = yield* cut(
      "<E><T>2025-01-01T00:05:00</T><I1>1</I1></E>\n<E><T>2025-01-01 00:10</T><I1>1</I1></E>\n" +
        "<E><I1>1</I1><T>2025-01-01T00:15:00</T></E>\n<E><D>2025-01-02</D><I1>1</I1></E>\n<E><T>2682633600</T><I1>1</I1></E>\n" +
        "<V>2682633660 12 13</V>\n"
    )
    assert.strictEqual(count, 6)
    assert.deepStrictEqual(
      [...times],
      [
        "2025-01-01T00:05:00",
        "2025-01-01T00:10:00",
        "2025-01-01T00:15:00",
        "2025-01-02T00:00:00",
        "2025-01-03T00:00:00",
        "2025-01-03T00:01:00"
      ].map(at)
    )
  })
)

it.effect("stand in order of time, and those of one time are the same in any order, also with a gap before them", () =>
  Effect.gen(function* () {
    const row = (minute: number, value: number) => `<E><T>2025-01-01T00:0${minute}:00</T><I1>${value}</I1></E>\n`
    const one = yield* cut(row(1, 1) + row(2, 2) + row(2, 3))
    const other = yield* cut(row(2, 2) + row(2, 3) + row(1, 1))
    assert.deepStrictEqual([...one.high], [...other.high])
    assert.deepStrictEqual(yield* cut(row(1, 1) + row(2, 3) + row(2, 2)), one)
    const [gapFirst, gapLater] = [
      row(1, 1) + "<Gap/>" + row(2, 2) + row(2, 3),
      row(1, 1) + row(2, 3) + "<Gap/>" + row(2, 2)
    ]
    assert.deepStrictEqual(yield* cut(gapFirst), yield* cut(gapLater))
  })
)

it.effect("tell every cell from another, and a row of one series from that of another", () =>
  Effect.gen(function* () {
    const time = "<T>2025-01-01T00:05:00</T>"
    const rows = [
      "<I1>1</I1>",
      "<I1>1.0</I1>",
      "<I2>1</I2>",
      "<I1>1</I1><I2>1</I2>",
      "<I1>1</I1><Q1>500</Q1>",
      `<Value>&lt;1</Value><Parameter Name="Lab" Value="ā"/>`,
      `<Value>&lt;1</Value><Parameter Name="Lab" Value="a"/>`,
      `<Value>&lt;1</Value><Parameter Name="Lab" Value="ŁŁ"/>`,
      `<Value>&lt;1</Value><Parameter Name="Lab" Value="AA"/>`,
      ""
    ]
    const { count, high } = yield* cut(rows.map((cells) => `<E>${time}${cells}</E>\n`).join(""))
    assert.strictEqual(new Set(high).size, count)
    const two = yield* cut(
      `<E>${time}</E></Data></Measurement><Measurement SiteName="T"><Data NumItems="1"><E>${time}</E>`
    )
    assert.notStrictEqual(two.high[0], two.high[1])
  })
)

it.effect("are the same however they are spaced and remarked upon", () =>
  Effect.gen(function* () {
    const cells = [
      "<T>2025-01-01T00:05:00</T><I1>1</I1><Q1>500</Q1>",
      `<T>2025-01-01 00:10</T><Value>&lt;1</Value><Parameter Name="Lab of Tāne" Value="a b"/>`,
      "<T>2025-01-01T00:15:00</T><Value>rain and wind</Value>"
    ]
    const rows = (spaced: (row: string) => string) =>
      cut(cells.map((row) => `${spaced(`<E>${row}</E>`)}\n`).join("") + spaced("<V>2682633660 12 13</V>"))
    const plain = yield* rows((row) => row)
    assert.strictEqual(new Set(plain.high).size, 4)
    const spacings: ReadonlyArray<(row: string) => string> = [
      (row) => row.replaceAll("><", ">\n\t\t<"),
      (row) => row.replaceAll(/>(?=[^<])/g, ">  ").replaceAll(/(?<=[^>])<\//g, "\r\n</"),
      (row) => row.replaceAll("/>", " />").replaceAll(" ", "  ").replaceAll("  00:10", " 00:10"),
      (row) => row.replaceAll(" Value=", "\n  Value="),
      (row) => row.replaceAll("><", "><!-- <E> --><"),
      (row) => `<!-- </E> -->${row}`,
      (row) => row.replaceAll("<E>", "<E >").replaceAll("</E>", "</E\n>").replaceAll("<V>", "<V\t>"),
      (row) => row.replaceAll("&lt;", "&#60;").replaceAll(/Name="([^"]*)" Value="([^"]*)"/g, "Value='$2' Name='$1'"),
      (row) => row.replaceAll("<I1>1<", "<I1><![CDATA[1]]><").replace("<E>", "<?seen ?><E><?seen <E> ?>")
    ]
    for (const [index, spaced] of spacings.entries()) {
      const { header, high, low, times } = yield* rows(spaced)
      assert.deepStrictEqual([times, high, low], [plain.times, plain.high, plain.low], `${index}`)
      assert.strictEqual(header, plain.header)
    }
    const other = yield* rows((row) => row.replace("rain and", "rain  or"))
    assert.notStrictEqual(other.high[2], plain.high[2])
  })
)

it.effect("know the gaps before them, and are no part of the header with them", () =>
  Effect.gen(function* () {
    const row = "<E><T>2025-01-01T00:05:00</T><I1>1</I1></E>\n"
    const found = yield* cut(`${row}<Gap/>\n${row.replace("00:05", "00:06")}<Gap />\n`)
    assert.deepStrictEqual([...found.gapBefore], [0, 1])
    assert.isTrue(found.gapAtEnd)
    assert.strictEqual(found.header, (yield* cut("")).header)
    assert.notStrictEqual(found.header, (yield* seriesRowsOf(document(row).replace("mm", "m"))).header)
    assert.strictEqual(found.header, (yield* seriesRowsOf(document(row).replace("<Agency>A", "<Agency>B"))).header)
  })
)

it.effect("are as many as there are, in large documents too", () =>
  Effect.gen(function* () {
    const rows = Array.from({ length: 50_000 }, (_, i) => `<E><T>2025-01-01T00:00:00</T><I1>${i}</I1></E>\n`).join("")
    const { count, high, low } = yield* cut(rows)
    assert.strictEqual(count, 50_000)
    assert.strictEqual(new Set(Array.from(high, (lane, i) => `${lane} ${low[i]}`)).size, 50_000)
  })
)

it.effect("are rows by their name: with attributes, empty, one in another, of any length", () =>
  Effect.gen(function* () {
    const time = "<T>2025-01-01T00:05:00</T>"
    const odd = [
      "<E/>",
      `<E a="1">${time}</E>`,
      `<E>${time}</E>`,
      `<E>${time}<E>1</E></E>`,
      `<E>${time}${"<a/>".repeat(20_000)}</E>`
    ]
    const { count, header, high } = yield* cut(odd.join(""))
    assert.strictEqual(count, odd.length)
    assert.strictEqual(new Set(high).size, odd.length)
    assert.strictEqual(header, (yield* cut("")).header)
    assert.strictEqual((yield* cut("<!--<E></E>--><Note><![CDATA[<E></E>]]></Note>")).count, 0)
  })
)

it.effect("are the same whichever way the scanner read them", () =>
  Effect.gen(function* () {
    const row = "<E><T>2025-01-01T00:05:00</T><I1>1</I1></E>\n"
    const text = document(`${row}${row}<Gap/>${row.replace("1<", "&#49;<")}${row}<V>2682633660 12</V>${row}`)
    const alone = new SeriesRowsDigest()
    yield* XmlScanner.use((scanner) => scanner.scan(text, alone)).pipe(Effect.provide(ParserAlone))
    assert.deepStrictEqual(yield* seriesRowsOf(text), alone.finish())
  })
)
