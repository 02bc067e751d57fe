/** The rows of a document as the crawl hears them, by the service's own scanner. */
import { Effect } from "effect"
import { SaxesXmlScanner } from "../../layers/hilltop/SaxesXmlScanner.ts"
import { SeriesRowsDigest } from "../../src/hilltop/SeriesRows.ts"
import { XmlScanner } from "../../src/hilltop/XmlScanner.ts"

export const seriesRowsOf = Effect.fnUntraced(function* (text: string) {
  const rows = new SeriesRowsDigest()
  yield* XmlScanner.use((scanner) => scanner.scan(text, rows))
  return rows.finish()
}, Effect.provide(SaxesXmlScanner))
