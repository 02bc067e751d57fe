/** The promises of XmlScanner, for every layer that gives it. */
import { assert, layer } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, type Layer } from "effect"
import { ParserAlone, SaxesXmlScanner } from "../../layers/hilltop/SaxesXmlScanner.ts"
import { CHUNK_LENGTH, MAX_DEPTH, type XmlHandler, XmlScanner } from "../../src/hilltop/XmlScanner.ts"

const recorder = (): XmlHandler & { readonly events: Array<string> } => {
  const events: Array<string> = []
  return {
    events,
    open: (name, attributes) =>
      events.push(
        `<${name}${Object.entries(attributes)
          .map(([key, value]) => ` ${key}=${value}`)
          .join("")}>`
      ),
    text: (text) => events.push(text),
    close: (name) => events.push(`</${name}>`)
  }
}

const silent: XmlHandler = { open: () => {}, text: () => {}, close: () => {} }

const scan = (text: string, handler: XmlHandler) => XmlScanner.use((scanner) => scanner.scan(text, handler))

const nested = (levels: number): string => "<a>\n".repeat(levels) + "</a>".repeat(levels)

const suite = (name: string, scanner: Layer.Layer<XmlScanner>) =>
  layer(scanner, { excludeTestServices: true })(name, (it) => {
    it.effect("tells elements, attributes and text in order, with entities and CDATA resolved", () =>
      Effect.gen(function* () {
        const handler = recorder()
        yield* scan(
          '<?xml version="1.0" ?>\n<!-- note --><a b="1 &amp; 2" c=\'&#186;\'>x&lt;y&#x41;<d/><![CDATA[<&>]]></a>',
          handler
        )
        assert.deepStrictEqual(
          handler.events.filter((event) => event.trim() !== ""),
          ["<a b=1 & 2 c=º>", "x<yA", "<d>", "</d>", "<&>", "</a>"]
        )
      })
    )

    it.effect("hands on the same text wherever the pieces that it is fed in end", () =>
      Effect.gen(function* () {
        // A surrogate pair, a line end, an entity, a tag and an attribute each lie across an end in one of these.
        for (let shift = 0; shift < 60; shift++) {
          const tail = '<b c="d&amp;e">🌊\r\nx &lt; y</b>'
          const handler = recorder()
          yield* scan(`<a>${"-".repeat(CHUNK_LENGTH - 3 - shift)}${tail}</a>`, handler)
          const text = handler.events.join("")
          assert.isTrue(text.endsWith("-<b c=d&e>🌊\nx < y</b></a>"), `shift ${shift}: ${text.slice(-60)}`)
        }
      })
    )

    it.effect("accepts the deepest allowed document, and names the line where a deeper one goes too far", () =>
      Effect.gen(function* () {
        yield* scan(nested(MAX_DEPTH), silent)
        const error = yield* Effect.flip(scan(nested(MAX_DEPTH + 1), silent))
        assert.deepStrictEqual([error._tag, error.line], ["XmlMalformed", MAX_DEPTH + 1])
      })
    )

    it.effect("refuses a document type declaration before anything behind it", () =>
      Effect.gen(function* () {
        const handler = recorder()
        const error = yield* Effect.flip(scan('<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', handler))
        assert.include(error.message, "document type declaration")
        assert.notInclude(handler.events.join(""), "<a>")
      })
    )

    it.effect("stops at the first fault", () =>
      Effect.gen(function* () {
        const handler = recorder()
        yield* Effect.flip(scan("<a><b></c><d/></a>", handler))
        assert.notInclude(handler.events, "<d>")
      })
    )

    it.effect("takes an exception of the handler for the defect that it is", () =>
      Effect.gen(function* () {
        const broken: XmlHandler = {
          ...silent,
          close: () => {
            throw new Error("a bug")
          }
        }
        const exit = yield* Effect.exit(scan("<a/>", broken))
        assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause))
      })
    )

    it.effect("gives the event loop back while it scans a large document", () =>
      Effect.gen(function* () {
        let turns = 0
        const clock = yield* Effect.forkChild(
          Effect.forever(Effect.sleep("1 millis").pipe(Effect.andThen(Effect.sync(() => turns++))))
        )
        const document = `<a>${"<E><T>2025-01-01T00:00:00</T><I1>584</I1></E>\n".repeat(50_000)}</a>`
        yield* scan(document, silent)
        yield* Fiber.interrupt(clock)
        assert.isAbove(turns, 3)
      })
    )
  })

suite("SaxesXmlScanner", SaxesXmlScanner)
suite("ParserAlone", ParserAlone)
