/** Compressed bodies in pieces of every size; what the header may say is proved across sockets, see hilltopSockets.test.ts. */
import { assert, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { brotliCompressSync, constants, deflateRawSync, gzipSync, zstdCompressSync } from "node:zlib"
import { decompressedBody } from "../../../layers/http/decompressedBody.ts"

const document = `<?xml version="1.0" ?>\n<Hilltop>\n<Agency>Demo</Agency>\n</Hilltop>\n`

const inPieces = (body: Uint8Array, length: number) =>
  Stream.fromIterable(
    Array.from({ length: Math.ceil(body.length / length) }, (_, i) => body.subarray(i * length, (i + 1) * length))
  )

it.effect.each([
  ["gzip", gzipSync(document)],
  ["gzip", gzipSync(gzipSync(document))],
  ["deflate", deflateRawSync(document)],
  ["br", brotliCompressSync(document)],
  ["zstd", zstdCompressSync(document)],
  ["gzip", Buffer.from(document)],
  ["br", Buffer.from(`\uFEFF\r\n${document}`)]
] as const)("a body is understood in whatever pieces it comes: %s", ([encoding, body]) =>
  Effect.gen(function* () {
    for (const length of [1, 2, 3, 15, 16, 17, 1_000]) {
      const stream = yield* decompressedBody(inPieces(body, length), encoding, () => "damaged")
      const text = Buffer.concat(yield* Stream.runCollect(stream)).toString()
      assert.strictEqual(text.replace("\uFEFF\r\n", ""), document, `${length}`)
    }
  })
)

const unpacked = Effect.fnUntraced(function* (body: Uint8Array, length: number, encoding = "gzip") {
  const stream = yield* decompressedBody(inPieces(body, length), encoding, () => "damaged")
  return Buffer.concat(yield* Stream.runCollect(stream)).toString()
})
const zipped = gzipSync(document)

it.effect.each([
  ["without its trailer", zipped.subarray(0, -8)],
  ["with half of its trailer", zipped.subarray(0, -4)],
  ["with a line end behind it", Buffer.concat([zipped, Buffer.from("\r\n")])],
  ["with line ends in place of its trailer", Buffer.concat([zipped.subarray(0, -8), Buffer.from("\n\n")])],
  ["with NULs behind it", Buffer.concat([zipped, Buffer.alloc(3)])],
  ["in two parts", Buffer.concat([gzipSync(document.slice(0, 20)), gzipSync(document.slice(20))])],
  ["twice, without the inner trailer", gzipSync(zipped.subarray(0, -8))]
] as const)("a document in gzip is whole %s", ([, body]) =>
  Effect.gen(function* () {
    for (const length of [1, 7, 1_000]) assert.strictEqual(yield* unpacked(body, length), document, `${length}`)
  })
)

it.effect.each([
  ["without its end", zipped.subarray(0, -20)],
  ["with another checksum", Buffer.concat([zipped.subarray(0, -8), Buffer.alloc(4, 7), zipped.subarray(-4)])],
  ["with something else behind it", Buffer.concat([zipped, Buffer.from("more")])],
  ["of nothing but its beginning", zipped.subarray(0, 10)],
  ["of something that is no document, without its trailer", gzipSync('{"a":1}').subarray(0, -8)]
] as const)("a body in gzip is damaged %s", ([, body]) =>
  Effect.gen(function* () {
    for (const length of [1, 7, 1_000]) {
      assert.strictEqual(yield* Effect.flip(unpacked(body, length)), "damaged", `${length}`)
    }
  })
)

it.effect("a body may be empty, whatever its header says", () =>
  Effect.gen(function* () {
    for (const encoding of [undefined, "gzip", "br", "deflate"]) {
      const stream = yield* decompressedBody(Stream.empty, encoding, () => "damaged")
      assert.strictEqual(Buffer.concat(yield* Stream.runCollect(stream)).length, 0)
    }
  })
)

it.effect("a body in zstd is damaged when it asks for more memory than it may", () =>
  Effect.gen(function* () {
    const text = Buffer.alloc(20_000_000, " ")
    const sized = Effect.fnUntraced(function* (windowLog: number) {
      const body = zstdCompressSync(text, { params: { [constants.ZSTD_c_windowLog]: windowLog } })
      return yield* Stream.runCount(yield* decompressedBody(inPieces(body, 1_000), "zstd", () => "damaged"))
    })
    assert.isAbove(yield* sized(23), 1)
    assert.strictEqual(yield* Effect.flip(sized(24)), "damaged")
  })
)
