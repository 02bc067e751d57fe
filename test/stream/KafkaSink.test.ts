/** The size of a record decides whether a topic takes it, so it is exact, whatever text is in it. */
import { assert, describe, it } from "@effect/vitest"
import { recordBytes } from "../../src/stream/KafkaSink.ts"

describe("the size of a record", () => {
  it.each(["", "plain", "Tāmaki", "€", "🌧", "half a pair: \ud83c", "\udf27\ud83c"])(
    "is that of its key and value in UTF-8: %j",
    (text) => {
      // Long enough for every place of a character to fall where one piece ends and the next begins.
      for (const value of [text, text.repeat(50_000), `x${text.repeat(50_000)}`, `xx${text.repeat(50_000)}`]) {
        assert.strictEqual(recordBytes({ key: text, value }), Buffer.byteLength(text) + Buffer.byteLength(value))
      }
    }
  )
})
