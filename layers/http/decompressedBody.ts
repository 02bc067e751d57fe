/**
 * The body of an answer as it was before compression, by what its first bytes are rather than by what the header says.
 *
 * Servers compress unasked, proxies change bodies and leave the header: a body that begins like gzip, zlib or zstd is that
 * (no document does), one that claims to be compressed and begins like a document is taken as it is. `deflate` means zlib's
 * format to some servers, and bare deflate to others; some compress twice. Some leave out the trailer of gzip, or send a line end
 * behind it: what was compressed is whole all the same, if it ends as a document does.
 */
import { Effect, Option, type Scope, Sink, Stream } from "effect"
import * as NodeStream from "@effect/platform-node/NodeStream"
import type { Duplex } from "node:stream"
import {
  constants,
  createBrotliDecompress,
  createGunzip,
  createInflate,
  createInflateRaw,
  createZstdDecompress,
  gunzipSync
} from "node:zlib"
import { GzipEnd } from "./GzipEnd.ts"

/** Bytes that tell a document from what was compressed, however small the pieces are that they come in. */
const tellingLength = 16
/** Nobody compresses more often; what does is a bomb. */
const mostLayers = 3
/** Of memory: 8 MB, as much as servers may ask for (RFC 9659). The library's own limit is 128. */
const zstdWindow = { params: { [constants.ZSTD_d_windowLogMax]: 23 } }

/** Bytes that are unpacked at a time. zlib's own 16,384 make a fetch of 200 kB cost a tenth more. */
const pieceLength = 65_536

/** White space and byte order marks, then a tag or JSON in nothing but plain characters: no compressed data begins so. */
const isDocument = (first: Uint8Array): boolean =>
  /^(?:\xef\xbb\xbf|[\t\n\r ])*(?:<[?!A-Za-z]|[{[])[\t\n\r -~]*$/.test(Buffer.from(first).toString("latin1"))

/** What undoes the compression; none where there is none. */
const decompressorOf = (encoding: string | undefined, first: Uint8Array): (() => Duplex) | undefined => {
  const [a = 0, b = 0, c, d] = first
  if (a === 0x1f && b === 0x8b)
    return () => createGunzip({ finishFlush: constants.Z_SYNC_FLUSH, chunkSize: pieceLength })
  if (a === 0x28 && b === 0xb5 && c === 0x2f && d === 0xfd) return () => createZstdDecompress(zstdWindow)
  if (first.length === 0 || isDocument(first)) return undefined
  const isZlib = (a & 0x0f) === 8 && (a * 256 + b) % 31 === 0
  if (isZlib && (a === 0x78 || encoding === "deflate")) return createInflate
  if (encoding === "deflate") return createInflateRaw
  return encoding === "br" ? createBrotliDecompress : undefined
}

/** The first bytes, so many or all there are, in the pieces they came in. */
const beginning = (least: number) =>
  Sink.fold<{ length: number; readonly pieces: Array<Uint8Array> }, Uint8Array>(
    () => ({ length: 0, pieces: [] }),
    ({ length }) => length < least,
    (state, piece) =>
      Effect.sync(() => {
        state.pieces.push(piece)
        state.length += piece.length
        return state
      })
  )
const telling = beginning(tellingLength)

/** Bytes, packed and unpacked: a month of five-minute values just fits. */
const [smallPacked, smallUnpacked] = [100_000, 500_000]

/** Its head and its trailer. */
const leastGzip = 18
const small = beginning(smallPacked + 1)

/** One piece, with a byte to spare: where a piece is full, zlib takes another of its size before it sees that nothing is left. */
const unpack = Option.liftThrowable((packed: Uint8Array, length: number) =>
  gunzipSync(packed, { maxOutputLength: length, chunkSize: Math.max(64, length + 1) })
)

/**
 * A small whole answer in gzip, unpacked at once: 0.4 ms of the main thread for one of 200 kB, where a stream through another thread
 * makes a fetch take a tenth more of all threads. None of one that is not exactly as its trailer says: the stream knows what to make of it.
 */
const unpackedAtOnce = (packed: Uint8Array): Option.Option<Uint8Array> => {
  if (packed.length < leastGzip) return Option.none()
  const length = new DataView(packed.buffer, packed.byteOffset, packed.length).getUint32(packed.length - 4, true)
  if (length === 0 || length > smallUnpacked) return Option.none()
  return Option.filter(unpack(packed, length), (unpacked) => unpacked.length === length)
}

const joined = (pieces: ReadonlyArray<Uint8Array>): Uint8Array =>
  pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces)

/** `body` without its compression; fails with `damaged` where that is not what the header says. */
export const decompressedBody = <E, E2, R>(
  body: Stream.Stream<Uint8Array, E, R>,
  contentEncoding: string | undefined,
  damaged: () => E2
): Effect.Effect<Stream.Stream<Uint8Array, E | E2, R>, E | E2, R | Scope.Scope> => {
  // What was done last is undone first.
  const encodings = (contentEncoding ?? "")
    .toLowerCase()
    .split(",")
    .map((name) => name.trim())
  const undo = (
    layer: Stream.Stream<Uint8Array, E | E2, R>,
    layers: number
  ): Effect.Effect<Stream.Stream<Uint8Array, E | E2, R>, E | E2, R | Scope.Scope> =>
    Effect.gen(function* () {
      const [{ length, pieces }, rest] = yield* Stream.peel(layer, telling)
      const first = Buffer.concat(pieces, Math.min(length, tellingLength))
      const whole = Stream.concat(Stream.fromIterable(pieces), rest)
      const decompressor = decompressorOf(encodings.pop(), first)
      if (decompressor === undefined || layers === mostLayers) return whole
      if (first[0] !== 0x1f) {
        return yield* undo(
          NodeStream.pipeThroughDuplex(whole, { evaluate: decompressor, onError: damaged }),
          layers + 1
        )
      }
      const [start, behind] = yield* Stream.peel(whole, small)
      const atOnce = start.length > smallPacked ? Option.none() : unpackedAtOnce(joined(start.pieces))
      if (Option.isSome(atOnce)) return yield* undo(Stream.succeed(atOnce.value), layers + 1)
      const end = new GzipEnd()
      const packed = Stream.concat(Stream.fromIterable(start.pieces), behind)
      const unpacked = NodeStream.pipeThroughDuplex(end.withoutLineEnds(packed), {
        evaluate: decompressor,
        onError: damaged
      })
      return yield* undo(end.checked(unpacked, damaged), layers + 1)
    })
  return undo(body, 0)
}
