/** Rows that are cut from the text: every form of them, and when cutting would be a guess. */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { cutRows } from "../../src/hilltop/SeriesRows.ts"

const document = (rows: string, format = "Calendar") =>
  `<?xml version="1.0" ?>\n<Hilltop>\n<Agency>A</Agency>\n<Measurement SiteName="S">\n<DataSource Name="D" NumItems="1">\n` +
  `<ItemInfo ItemNumber="1"><Units>mm</Units></ItemInfo>\n</DataSource>\n<Data DateFormat="${format}" NumItems="1">\n${rows}</Data>\n` +
  `</Measurement>\n</Hilltop>\n`
const at = (time: string) => Date.parse(`${time}+12:00`)
const cut = (rows: string) => Effect.map(cutRows(document(rows)), (found) => found!)

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

it.effect("stand in order of time, and those of one time as the document has them", () =>
  Effect.gen(function* () {
    const row = (minute: number, value: number) => `<E><T>2025-01-01T00:0${minute}:00</T><I1>${value}</I1></E>\n`
    const one = yield* cut(row(1, 1) + row(2, 2) + row(2, 3))
    const other = yield* cut(row(2, 2) + row(2, 3) + row(1, 1))
    assert.deepStrictEqual([...one.high], [...other.high])
    assert.notDeepEqual([...one.high], [...(yield* cut(row(1, 1) + row(2, 3) + row(2, 2))).high])
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
      (row) => `<!-- </E> -->${row}`
    ]
    for (const [index, spaced] of spacings.entries()) {
      const { high, low, rest, times } = yield* rows(spaced)
      assert.deepStrictEqual([times, high, low], [plain.times, plain.high, plain.low], `${index}`)
      assert.strictEqual(rest, plain.rest)
    }
    const other = yield* rows((row) => row.replace("rain and", "rain  or"))
    assert.notStrictEqual(other.high[2], plain.high[2])
  })
)

it.effect("know the gaps before them, and leave the rest of the document as it is", () =>
  Effect.gen(function* () {
    const row = "<E><T>2025-01-01T00:05:00</T><I1>1</I1></E>\n"
    const found = yield* cut(`${row}<Gap/>\n${row}<Gap />\n`)
    assert.deepStrictEqual([...found.gapBefore], [0, 1])
    assert.isTrue(found.gapAtEnd)
    assert.strictEqual(found.rest.replaceAll(/\s/g, ""), document("").replaceAll(/\s/g, ""))
  })
)

/** The result, and how often somebody else was served meanwhile. */
const withOthers = Effect.fnUntraced(function* <A>(effect: Effect.Effect<A>) {
  let turns = 0
  const counting = yield* Effect.forkChild(
    Effect.forever(
      Effect.andThen(
        Effect.sync(() => turns++),
        Effect.yieldNow
      )
    )
  )
  const result = yield* effect
  counting.interruptUnsafe()
  return { result, turns }
})

it.effect("are as many as there are, in large documents too, and others have their turn meanwhile", () =>
  Effect.gen(function* () {
    const rows = Array.from({ length: 50_000 }, (_, i) => `<E><T>2025-01-01T00:00:00</T><I1>${i}</I1></E>\n`).join("")
    const { result, turns } = yield* withOthers(cut(rows))
    assert.strictEqual(result.count, 50_000)
    const lanes = Array.from(result.high, (lane, i) => `${lane} ${result.low[i]}`)
    assert.strictEqual(new Set(lanes).size, 50_000)
    assert.isAbove(turns, 5)
    assert.isAbove((yield* withOthers(cut("<a/>".repeat(50_000)))).turns, 5)
  })
)

it.effect("are left in the document where they end otherwise, without looking for each end", () =>
  Effect.gen(function* () {
    for (const row of ["<E></E >", "<V></V\n>"]) {
      const rows = row.repeat(500_000)
      const { count, rest } = yield* cut(rows)
      assert.strictEqual(count, 0)
      assert.isTrue(rest.includes(rows))
    }
    const { count, rest } = yield* cut("<E>1</E><V>2</V><V>3</V ><E>4</E>")
    assert.deepStrictEqual([count, rest.includes("<V>3</V ><E>4</E>")], [2, true])
  })
)

it.effect("are left in the document where they are longer than any row is", () =>
  Effect.gen(function* () {
    const row = (cells: number) => `<E>${"<a/>".repeat(cells)}</E>`
    const { count, rest } = yield* cut(row(1) + row(16_382) + row(16_383))
    assert.strictEqual(count, 2)
    assert.isTrue(rest.includes(row(16_383)) && !rest.includes(row(1)))
  })
)

it.effect("are not cut where a `<E>` may be no row, nor from rows with attributes or unclosed ones", () =>
  Effect.gen(function* () {
    for (const odd of ["<![CDATA[<E>]]>", "<!-- --><![CDATA[<!--]]>", "<?x <E>?>"])
      assert.isUndefined(yield* cutRows(document(odd)))
    for (const odd of [`<E a="1"><T>2025-01-01T00:05:00</T></E>`, "<E/>", "<E>", "<E ><T>x</T></E>"]) {
      const found = yield* cut(odd)
      assert.strictEqual(found.count, 0)
      assert.include(found.rest, odd)
    }
  })
)
