/** The scanner as it is where every element goes through the XML parser: what shortcuts are held against. */
import { Effect, Layer } from "effect"
import { SaxesXmlScanner } from "../../layers/SaxesXmlScanner.ts"
import { XmlScanner } from "../../src/hilltop/XmlScanner.ts"

export const ParserAlone = Layer.effect(
  XmlScanner,
  Effect.map(XmlScanner, ({ scan }) =>
    XmlScanner.of({ scan: (text, { close, open, text: onText }) => scan(text, { open, text: onText, close }) })
  )
).pipe(Layer.provide(SaxesXmlScanner))
