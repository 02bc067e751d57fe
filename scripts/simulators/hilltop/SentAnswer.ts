/**
 * How an answer goes out: encoded, compressed, cut off, trickled, or not at all.
 *
 * What fits into a quarter of a megabyte is sent whole with its length; anything longer leaves in pieces while it is still
 * being made, so twenty megabytes never exist at once. Two faults need Node's own socket, because no HTTP answer can
 * express them.
 */
import { NodeHttpServerRequest, NodeStream } from "@effect/platform-node"
import { Effect, Stream } from "effect"
import { HttpServerResponse, type HttpServerRequest } from "effect/http"
import { promisify } from "node:util"
import { constants, createGzip, gzip } from "node:zlib"
import type { FaultName, FaultRule } from "./HilltopFaults.ts"
import { spoiltText } from "./SpoiltText.ts"
import { encodeWindows1252 } from "./Windows1252.ts"

export interface SendingSettings {
  /** Named in the Content-Type; nothing is named where undefined, as by the servers that were seen. */
  readonly charset: string | undefined
  readonly gzip: "when asked" | "always" | "never"
}

/** An answer as it leaves: its type and its text, in pieces that may still have to be made. */
export interface Outgoing {
  readonly contentType: string
  readonly pieces: Iterable<string | Uint8Array>
}

const longestWhole = 262_144

const utf8 = new TextEncoder()

export const faultOf = <Name extends FaultName>(
  faults: ReadonlyArray<FaultRule>,
  name: Name
): Extract<FaultRule, { readonly fault: Name }> | undefined =>
  faults.find((rule): rule is Extract<FaultRule, { readonly fault: Name }> => rule.fault === name)

function* encoded(outgoing: Outgoing, faults: ReadonlyArray<FaultRule>): Generator<Uint8Array> {
  if (faultOf(faults, "bom") !== undefined) yield Uint8Array.of(0xef, 0xbb, 0xbf)
  const legacy = faultOf(faults, "windows-1252") !== undefined
  const spoilt = faultOf(faults, "spoilt-text")
  for (const piece of spoilt === undefined ? outgoing.pieces : spoiltText(outgoing.pieces, spoilt.kind)) {
    if (typeof piece !== "string") yield piece
    else yield legacy ? encodeWindows1252(piece) : utf8.encode(piece)
  }
}

/** Stops making pieces once there is enough. */
function* firstBytes(pieces: Iterable<Uint8Array>, count: number): Generator<Uint8Array> {
  let left = count
  if (left <= 0) return
  for (const piece of pieces) {
    yield piece.subarray(0, left)
    left -= piece.length
    if (left <= 0) return
  }
}

function* slices(pieces: Iterable<Uint8Array>, size: number): Generator<Uint8Array> {
  for (const piece of pieces) {
    for (let start = 0; start < piece.length; start += size) yield piece.subarray(start, start + size)
  }
}

/** The body as one, or what has been made of it so far and the rest. */
const collect = (
  pieces: Iterable<Uint8Array>
): { readonly whole: Uint8Array } | { readonly rest: Iterable<Uint8Array> } => {
  const iterator = pieces[Symbol.iterator]()
  const made: Array<Uint8Array> = []
  let length = 0
  while (length <= longestWhole) {
    const next = iterator.next()
    if (next.done === true) return { whole: made.length === 1 && made[0] !== undefined ? made[0] : Buffer.concat(made) }
    made.push(next.value)
    length += next.value.length
  }
  return {
    rest: (function* () {
      yield* made
      for (let next = iterator.next(); next.done !== true; next = iterator.next()) yield next.value
    })()
  }
}

const oneByOne = (pieces: Iterable<Uint8Array>): Stream.Stream<Uint8Array> =>
  Stream.fromIterable(pieces, { chunkSize: 1 })

const compress = promisify(gzip)

/** Closes the connection with a reset once what was written has left; then waits for the interruption that follows. */
export const resetConnection = (request: HttpServerRequest.HttpServerRequest): Effect.Effect<never> => {
  const { socket } = NodeHttpServerRequest.toIncomingMessage(request)
  return Effect.callback<void>((resume) => {
    socket.write("", () => resume(Effect.void))
  }).pipe(Effect.andThen(Effect.sync(() => socket.resetAndDestroy())), Effect.andThen(Effect.never))
}

const wantsGzip = (
  request: HttpServerRequest.HttpServerRequest,
  faults: ReadonlyArray<FaultRule>,
  settings: SendingSettings
): boolean => {
  if (settings.gzip === "always" || faultOf(faults, "gzip-unasked") !== undefined) return true
  return settings.gzip === "when asked" && /\bgzip\b/i.test(request.headers["accept-encoding"] ?? "")
}

/** Sends this answer in the way these faults allow. */
export const send = Effect.fnUntraced(function* (
  request: HttpServerRequest.HttpServerRequest,
  outgoing: Outgoing,
  faults: ReadonlyArray<FaultRule>,
  settings: SendingSettings
) {
  const charset = faultOf(faults, "charset")?.charset ?? settings.charset
  const contentType = charset === undefined ? outgoing.contentType : `${outgoing.contentType}; charset=${charset}`
  const truncate = faultOf(faults, "truncate")
  const all = encoded(outgoing, faults)
  const body = collect(truncate?.after_bytes === undefined ? all : firstBytes(all, truncate.after_bytes))
  const halved = truncate !== undefined && truncate.after_bytes === undefined
  const pieces =
    "whole" in body
      ? [halved ? body.whole.subarray(0, body.whole.length / 2) : body.whole]
      : halved
        ? firstBytes(body.rest, longestWhole)
        : body.rest

  const reset = faultOf(faults, "reset")
  if (reset !== undefined) {
    const start = oneByOne(firstBytes(pieces, reset.after_bytes))
    return HttpServerResponse.stream(Stream.concat(start, Stream.fromEffectDrain(resetConnection(request))), {
      contentType
    })
  }
  const trickle = faultOf(faults, "trickle")
  if (trickle !== undefined) {
    const pause = (1_000 * trickle.piece_bytes) / trickle.bytes_per_second
    const slowly = oneByOne(slices(pieces, trickle.piece_bytes)).pipe(Stream.tap(() => Effect.sleep(pause)))
    return HttpServerResponse.stream(slowly, { contentType })
  }
  const zipped = wantsGzip(request, faults, settings)
  const headers = zipped ? { "content-encoding": "gzip", vary: "accept-encoding" } : {}
  if (Array.isArray(pieces)) {
    const whole: Uint8Array = pieces[0] ?? new Uint8Array()
    // Level 1: the simulator shares its machine with what it tests.
    const bytes = zipped ? yield* Effect.promise(() => compress(whole, { level: constants.Z_BEST_SPEED })) : whole
    return HttpServerResponse.uint8Array(bytes, { contentType, headers })
  }
  const stream = oneByOne(pieces)
  return HttpServerResponse.stream(
    zipped ? stream.pipe(NodeStream.pipeThroughSimple(() => createGzip({ level: constants.Z_BEST_SPEED }))) : stream,
    { contentType, headers }
  )
})
