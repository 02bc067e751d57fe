/**
 * The adapter contract over HTTP: `GET /accounting_point/{gsrn}?valid_from=…[&valid_to=…]`, and what can go wrong with it.
 *
 * It is strict where a real adapter may be: the key, the check digit of the GSRN, times with an offset (an unencoded
 * `+` is a space). Nothing is logged per request; two faults need Node's own socket, since no HTTP answer can express
 * them.
 */
import { NodeHttpServerRequest } from "@effect/platform-node"
import { Clock, Effect, Exit, Stream } from "effect"
import { HttpRouter, HttpServerResponse, type HttpServerRequest } from "effect/http"
import { ServerResponse } from "node:http"
import { seeded, type SeedKey } from "../SeededRandom.ts"
import type { FaultName, FaultPlan } from "./AdapterFaults.ts"
import type { AdapterTally, OpenRequest } from "./AdapterStatistics.ts"
import { isGsrn } from "./InventedNumbers.ts"
import type { LivingWorld } from "./LivingWorld.ts"
import { parseMoment } from "./OsloMidnight.ts"
import { isSpoilingFault, spoiltAnswer } from "./SpoiltAnswer.ts"
import { wireAnswer, type AskedTime, type WireAnswer } from "./WireAnswer.ts"

/** What the routes of one simulator share. */
export interface AdapterParts {
  readonly seed: SeedKey
  readonly apiKey: string
  readonly world: LivingWorld
  readonly faults: FaultPlan
  readonly tally: AdapterTally
}

/** An RFC 9457 answer. */
export const problem = (
  status: number,
  title: string,
  headers: Readonly<Record<string, string>> = {}
): HttpServerResponse.HttpServerResponse =>
  HttpServerResponse.jsonUnsafe(
    { type: "about:blank", title, status },
    { status, headers, contentType: "application/problem+json" }
  )

/** The route of the contract. */
export const adapterRoute = (parts: AdapterParts) =>
  HttpRouter.add(
    "GET",
    "/accounting_point/:gsrn",
    Effect.fnUntraced(function* (request: HttpServerRequest.HttpServerRequest) {
      const url = new URL(request.url, "http://adapter")
      const open: OpenRequest = {
        at: yield* Clock.currentTimeMillis,
        ended_at: null,
        gsrn: url.pathname.slice(url.pathname.lastIndexOf("/") + 1),
        valid_from: url.searchParams.get("valid_from"),
        valid_to: url.searchParams.get("valid_to"),
        traceparent: request.headers["traceparent"] ?? null,
        outcome: null,
        fault: null
      }
      const number = parts.tally.begin(open)
      return yield* Effect.onExit(answer(parts, request, open, number), (exit) =>
        Effect.map(Clock.currentTimeMillis, (at) =>
          // A request that was interrupted without a fault of ours was abandoned by its caller.
          parts.tally.end(open, open.outcome ?? (Exit.isSuccess(exit) ? exit.value.status : "abandoned"), at)
        )
      )
    })
  )

const answer = Effect.fnUntraced(function* (
  parts: AdapterParts,
  request: HttpServerRequest.HttpServerRequest,
  open: OpenRequest,
  number: number
) {
  const faults = parts.faults.current()
  if (faults.outage !== "none") return yield* strike(parts, faults.outage, request, open, undefined, number)
  const index = parts.world.indexOf(open.gsrn)
  const asked = index === undefined ? number : parts.tally.countPoint(index)
  const fate = parts.faults.fateOf(open.gsrn, asked)
  if (fate.latency > 0) yield* Effect.sleep(fate.latency)

  if (request.headers["authorization"] !== `Bearer ${parts.apiKey}`) {
    return problem(401, "The bearer key is missing or wrong", { "www-authenticate": "Bearer" })
  }
  if (!isGsrn(open.gsrn)) return problem(400, "The GSRN is malformed")
  const time = askedTime(open)
  if (typeof time === "string") return problem(400, time)

  // The state of the moment of answering, not of asking: a slow adapter does not answer with old data.
  const now = yield* Clock.currentTimeMillis
  const state = index === undefined ? undefined : parts.world.stateAt(index, now, time.from)
  const truth =
    index === undefined || state === undefined ? undefined : wireAnswer(parts.seed, index, state, time, fate.clip)
  if (fate.fault !== undefined) return yield* strike(parts, fate.fault, request, open, truth, asked)
  return truth === undefined ? problem(404, "There is no such accounting point") : HttpServerResponse.jsonUnsafe(truth)
})

/** The time asked about, or what is wrong with it. */
const askedTime = (open: OpenRequest): AskedTime | string => {
  if (open.valid_from === null) return "valid_from is missing"
  const from = parseMoment(open.valid_from)
  const to = open.valid_to === null ? Infinity : parseMoment(open.valid_to)
  if (from === undefined || to === undefined) return "valid_from and valid_to must be RFC 3339 times with an offset"
  return from < to ? { from, to } : "valid_to must be later than valid_from"
}

/** Lets a fault happen to a request. `truth` is what would have been answered, undefined for an unknown point. */
const strike = Effect.fnUntraced(function* (
  parts: AdapterParts,
  fault: FaultName,
  request: HttpServerRequest.HttpServerRequest,
  open: OpenRequest,
  truth: WireAnswer | undefined,
  asked: number
) {
  open.fault = fault
  const { retry_after, huge_body_bytes } = parts.faults.current()
  const later: Readonly<Record<string, string>> = retry_after === null ? {} : { "retry-after": String(retry_after) }
  switch (fault) {
    case "error":
      return problem(500, "The adapter failed")
    case "unavailable":
      return problem(503, "The datahub is not available", later)
    case "busy":
      return problem(429, "Too many requests", later)
    case "timeout":
      return problem(408, "The request took too long")
    case "not_found":
      return problem(404, "There is no such accounting point")
    case "forbidden":
      return problem(403, "The key is not allowed to do this")
    case "redirect":
      return HttpServerResponse.empty({ status: 302, headers: { location: `/elsewhere/${open.gsrn}` } })
    case "hang":
      open.outcome = "hang"
      return yield* Effect.never
    case "reset":
      open.outcome = "reset"
      NodeHttpServerRequest.toIncomingMessage(request).socket.resetAndDestroy()
      return yield* Effect.never
  }
  // What is left spoils an answer, and there is none about a point that is unknown.
  if (truth === undefined) return problem(404, "There is no such accounting point")
  if (fault === "trickle") return trickling(truth)
  if (fault === "huge_body") return hugeBody(truth, huge_body_bytes)
  if (fault === "cut_off") {
    open.outcome = "cut_off"
    yield* sendHalf(request, JSON.stringify(truth))
    return yield* Effect.never
  }
  if (!isSpoilingFault(fault)) return problem(500, "The adapter failed")
  const spoilt = spoiltAnswer(
    fault,
    truth,
    parts.world.indexOf(truth.gsrn) ?? 0,
    seeded(parts.seed, "spoil", open.gsrn, asked)
  )
  return HttpServerResponse.text(spoilt.body, { contentType: spoilt.contentType })
})

/** Promises the whole body, sends half of it, and closes the connection. */
const sendHalf = (request: HttpServerRequest.HttpServerRequest, body: string) =>
  Effect.callback<void>((resume) => {
    const response = NodeHttpServerRequest.toServerResponse(request)
    if (!(response instanceof ServerResponse)) return
    response.writeHead(200, { "content-type": "application/json", "content-length": Buffer.byteLength(body) })
    // Closed only once the half is out, so that the caller sees the status before the end.
    response.write(body.slice(0, body.length / 2), () => {
      response.socket?.destroy()
      resume(Effect.void)
    })
  })

/** Eight bytes a second; the shortest answer has some 400. */
const trickling = (truth: WireAnswer): HttpServerResponse.HttpServerResponse => {
  const bytes = new TextEncoder().encode(JSON.stringify(truth))
  const pieces = Array.from({ length: Math.ceil(bytes.length / 4) }, (_, i) => bytes.subarray(4 * i, 4 * i + 4))
  return HttpServerResponse.stream(
    Stream.tap(Stream.fromIterable(pieces), () => Effect.sleep("500 millis")),
    {
      contentType: "application/json"
    }
  )
}

const paddingChunk = new TextEncoder().encode("x".repeat(65_536))

/** The true answer with one unknown field of the given size: readable, for a reader that has no limit. */
const hugeBody = (truth: WireAnswer, bytes: number): HttpServerResponse.HttpServerResponse => {
  const encode = new TextEncoder()
  const chunks = function* (): Generator<Uint8Array> {
    yield encode.encode(`${JSON.stringify(truth).slice(0, -1)},"padding":"`)
    for (let left = bytes; left > 0; left -= paddingChunk.length) {
      yield left >= paddingChunk.length ? paddingChunk : paddingChunk.subarray(0, left)
    }
    yield encode.encode(`"}`)
  }
  return HttpServerResponse.stream(Stream.fromIterable(chunks()), { contentType: "application/json" })
}
