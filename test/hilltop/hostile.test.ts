/**
 * Documents made to take memory and time: each is refused, or read, in little of both, and the event loop goes on meanwhile.
 * What is to be refused has 20 MB, the most that a client takes unless told otherwise.
 */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Option } from "effect"
import { SaxesXmlScanner } from "../../layers/hilltop/SaxesXmlScanner.ts"
import { parseData, parseMeasurementList, parseSiteList } from "../../src/hilltop/HilltopXml.ts"
import type { XmlScanner } from "../../src/hilltop/XmlScanner.ts"

const size = 20_000_000
const fill = (text: string, length = size): string => text.repeat(Math.ceil(length / text.length))
const data = (rows: string): string =>
  '<Hilltop><Agency>A</Agency><Measurement SiteName="S"><DataSource Name="D"/><Data>' +
  `${rows}</Data></Measurement></Hilltop>`
const row = "<E><T>2025-01-01T00:00:00</T><I1>584</I1></E>"

const tooLong = "something is longer than"
/** Of what is read, and not refused at once. */
const part = 4_000_000

/** Its text, and what the refusal says; nothing where it is read. */
const documents: Readonly<Record<string, readonly [() => string, string | undefined]>> = {
  "a name without an end": [() => `<${fill("x")}`, tooLong],
  "a name that ends": [() => `<Hilltop><${fill("x")}/></Hilltop>`, tooLong],
  "an attribute without an end": [() => `<Hilltop a="${fill("x")}`, tooLong],
  "an attribute's name without an end": [() => `<Hilltop ${fill("x")}`, tooLong],
  "a million attributes": [
    () => `<Hilltop ${Array.from({ length: 1_000_000 }, (_, at) => `a${at}=""`).join(" ")}/>`,
    tooLong
  ],
  "a text without an end": [() => `<Hilltop>${fill("x")}`, tooLong],
  "a number of 20 million digits": [() => data(`<E><T>2025-01-01</T><I1>${fill("9")}</I1></E>`), tooLong],
  "a time of 20 million digits": [() => data(`<E><T>${fill("9")}</T><I1>5</I1></E>`), tooLong],
  "a number of 200 thousand digits": [() => data(`<E><T>2025-01-01</T><I1>${fill("9", 200_000)}</I1></E>`), undefined],
  "white space without an end": [() => `<Hilltop>${fill(" \n")}`, tooLong],
  "a comment without an end": [() => `<Hilltop><!--${fill("x")}`, tooLong],
  "a comment of rows": [() => data(`<!--${fill(row)}-->`), tooLong],
  "CDATA without an end": [() => `<Hilltop><![CDATA[${fill("x")}`, tooLong],
  "an instruction without an end": [() => `<Hilltop><?x ${fill("x")}`, tooLong],
  "a reference without an end": [() => `<Hilltop>&${fill("x")}`, tooLong],
  "seven million levels": [() => fill("<a>"), "nested more than 64 deep"],
  "seven million levels in rows": [() => data(fill("<E>")), "nested more than 64 deep"],
  "a document type of entities": [() => `<!DOCTYPE a [${fill('<!ENTITY a "&b;&b;">')}]><a/>`, tooLong],
  "a document type without an end": [() => `<!-- --><!DOCTYPE a [${fill("x")}`, tooLong],
  "spaces in a row": [() => data(`<E>${fill(" ")}<T>2025-01-01</T></E>`), tooLong],
  "a million empty elements": [() => data(fill("<a/>", part)), undefined],
  "700,000 gaps": [() => data(row + fill("<Gap/>", part)), undefined],
  "a million rows of nothing": [() => data(fill("<E/>", part)), undefined],
  "two million cells in one row": [() => data(`<E>${fill("<I1>5</I1>")}</E>`), undefined],
  "80,000 rows, every other with a comment": [
    () => data(fill(row + row.replace("</E>", "<!----></E>"), part)),
    undefined
  ],
  "three million rows without cells": [() => data(fill("<E></E>")), undefined],
  "400,000 plain rows": [() => data(fill(row)), undefined],
  "80,000 rows, each with a comment": [() => data(fill(row.replace("</E>", "<!----></E>"), part)), undefined],
  "100,000 references": [() => data(fill("<E><T>2025-01-01</T><I1>&#53;</I1></E>", part)), undefined],
  "20 million references in one text": [() => `<Hilltop>${fill("&#53;")}</Hilltop>`, tooLong],
  "20 million bare ampersands": [() => `<Hilltop>${fill("&")}</Hilltop>`, tooLong],
  "cells of bare ampersands": [
    () => data(fill("<E><T>2025-01-01</T><I1>5</I1><I2>& &a &# &#x</I2></E>", part)),
    undefined
  ],
  "cells of NULs and references to them": [
    () => data(fill("<E><T>2025-01-01</T><I1>5\u0000</I1><I2>&#0;&#xFFFFFFFFF;</I2></E>", part)),
    undefined
  ],
  "NULs behind it": [() => data(row) + fill("\u0000"), "text data outside of root node"],
  "white space before it": [() => fill(" \n") + data(row), tooLong],
  "cells of tabs": [
    () => data(fill(`<E><T>2025-01-01</T><I1>5</I1><I2>${"\t".repeat(5_000)}$ND</I2></E>`, part)),
    undefined
  ],
  "numbers with a million commas": [
    () => data(fill(`<E><T>2025-01-01</T><I1>${"1,234".repeat(50)}</I1></E>`, part)),
    undefined
  ],
  "rows that break off": [() => data(fill(row)).slice(0, -40), "it breaks off"],
  "60,000 measurements": [
    () => `<Hilltop>${fill('<Measurement SiteName="S"><DataSource Name="D"/><Data/></Measurement>', part)}</Hilltop>`,
    undefined
  ],
  "an error without an end": [() => `<HilltopServer><Error>${fill("x")}</Error></HilltopServer>`, tooLong],
  "an error of 400,000 parts": [
    () => `<HilltopServer><Error>${fill("<b>No</b>", part)}</Error></HilltopServer>`,
    "NoNo"
  ]
}

/** The result, and how often somebody else was served meanwhile. How long pauses are, the bench of the parser measures. */
const withOthers = <A>(effect: Effect.Effect<A>) =>
  Effect.gen(function* () {
    let turns = 0
    const others = yield* Effect.forkChild(
      Effect.forever(
        Effect.andThen(
          Effect.sleep("1 millis"),
          Effect.sync(() => turns++)
        )
      )
    )
    const result = yield* effect
    yield* Fiber.interrupt(others)
    return { result, turns }
  })

const messageOf = <A>(exit: Exit.Exit<A, { readonly message: string }>): string | undefined =>
  Exit.isSuccess(exit)
    ? undefined
    : Option.getOrUndefined(Option.map(Cause.findErrorOption(exit.cause), ({ message }) => message))

describe("a document of", () => {
  it.live.each(Object.entries(documents))(
    "%s is dealt with in little time and memory",
    ([name, [make, refusal]]) =>
      Effect.gen(function* () {
        const text = make()
        // A text made by repetition is a tree of parts until its first character is looked for.
        text.indexOf("\u0000")
        const before = process.memoryUsage().heapUsed
        const started = performance.now()
        const { result, turns } = yield* withOthers(Effect.exit(parseData(text).pipe(Effect.provide(SaxesXmlScanner))))
        // 4 MB at a fiftieth of the usual speed.
        const took = performance.now() - started
        assert.isBelow(took, 20_000, name)
        if (took > 500) assert.isAbove(turns, 3, name)
        assert.isBelow(process.memoryUsage().heapUsed - before, 500_000_000, name)
        const message = messageOf(result)
        if (refusal === undefined) assert.isUndefined(message)
        else {
          assert.include(message, refusal)
          assert.isBelow(message?.length ?? 0, 600)
        }
      }),
    60_000
  )

  it.live("100 million characters and more is refused before it is scanned", () =>
    Effect.gen(function* () {
      const text = fill("<a/>", 100_000_001)
      const started = performance.now()
      const parses: ReadonlyArray<Effect.Effect<object, { readonly message: string }, XmlScanner>> = [
        parseData(text),
        parseMeasurementList(text),
        parseSiteList(text)
      ]
      for (const parse of parses) {
        const error = yield* Effect.flip(Effect.provide(parse, SaxesXmlScanner))
        assert.include(error.message, "more than 100000000 characters")
      }
      assert.isBelow(performance.now() - started, 1_000)
    })
  )
})
