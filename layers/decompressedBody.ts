/**
 * The body of an answer as it was before compression, by what its first bytes are rather than by what the header says.
 *
 * Servers compress unasked, proxies change bodies and leave the header: a body that begins like gzip is gzip (no document
 * does), one that claims to be and does not is taken as it is. `deflate` means zlib's format to some servers, and bare
 * deflate to others.
 */
import { Effect, type Scope, Sink, Stream } from "effect"
import * as NodeStream from "@effect/platform-node/NodeStream"
import type { Duplex } from "node:stream"
import { createBrotliDecompress, createGunzip, createInflate, createInflateRaw } from "node:zlib"

/** What undoes the compression; none where there is none. */
const decompressorOf = (encoding: string, first: number | undefined, second = 0): (() => Duplex) | undefined => {
  if (first === 0x1f && second === 0x8b) return createGunzip
  if (encoding === "deflate") {
    const isZlib = first !== undefined && (first & 0x0f) === 8 && (first * 256 + second) % 31 === 0
    return isZlib ? createInflate : createInflateRaw
  }
  return encoding === "br" ? createBrotliDecompress : undefined
}

/** `body` without its compression; fails with `damaged` where that is not what the header says. */
export const decompressedBody = <E, E2, R>(
  body: Stream.Stream<Uint8Array, E, R>,
  contentEncoding: string | undefined,
  damaged: () => E2
): Effect.Effect<Stream.Stream<Uint8Array, E | E2, R>, E, R | Scope.Scope> =>
  Effect.gen(function* () {
    const [[first = new Uint8Array()], rest] = yield* Stream.peel(
      Stream.filter(body, (piece) => piece.length > 0),
      Sink.take<Uint8Array>(1)
    )
    const whole = Stream.concat(Stream.succeed(first), rest)
    const encoding = contentEncoding?.trim().toLowerCase() ?? ""
    const decompressor = first.length === 0 ? undefined : decompressorOf(encoding, first[0], first[1])
    return decompressor === undefined
      ? whole
      : NodeStream.pipeThroughDuplex(whole, { evaluate: decompressor, onError: damaged })
  })
