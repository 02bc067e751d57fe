/**
 * Requests to Hilltop servers with undici: one deadline including the body, a limit of bytes counted while reading (after
 * decompression, so that a small bomb stays small), redirects only within the same server and within its budget.
 *
 * Compressed answers are understood whether asked for or not. No trace headers are sent: the servers are other people's.
 * However many answers are in flight, those that are received and worked on together take a bounded share of memory.
 */
import { createHash } from "node:crypto"
import { isIP } from "node:net"
import { Duration, Effect, Layer, Scope, Stream } from "effect"
import type { HttpClientError } from "effect/http"
import { Cookies, HttpClient, HttpClientRequest, type HttpClientResponse } from "effect/http"
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { Agent, buildConnector, type Dispatcher, errors } from "undici"
import { type AnswerShare, makeAnswerMemory } from "../../src/hilltop/AnswerMemory.ts"
import { HilltopClient, HilltopFetchFailed, HilltopResponseTooLarge } from "../../src/hilltop/HilltopClient.ts"
import type { StoreUnavailable } from "../../src/domain/StoreUnavailable.ts"
import { headLength } from "../../src/hilltop/AskedRange.ts"
import { CollectedBytes } from "./CollectedBytes.ts"
import { decompressedBody } from "../http/decompressedBody.ts"
import { isPublicAddress, privateAddressCode, publicLookup } from "./publicAddress.ts"
import { makePutOffRedirects, type Redirected } from "../../src/hilltop/PutOffRedirects.ts"
import { RedirectBudget } from "../../src/hilltop/RedirectBudget.ts"
import { spanWhereTraced } from "../../src/running/spanWhereTraced.ts"
import { retryAfterSeconds } from "../../src/running/retryAfter.ts"
import { Settings } from "../Settings.ts"
import { tolerantOfHeads } from "./tolerantHeads.ts"
import { userAgent } from "../version.ts"
import { monotonicMillis } from "../../src/running/monotonicMillis.ts"

const connectTimeout = Duration.seconds(10)
const mostRedirects = 3
/** Of the deadline, that a request may wait for its server's budget where it is redirected: as much is left for the server. */
const shareOfWaiting = 0.5

/** Bytes. A month of five-minute values just fits, and most answers are far smaller. */
const smallAnswer = 500_000
/**
 * Of answers that are received or worked on, beyond what is small. 32 answers of 20 MB at full speed make some 330 MB of
 * memory in all, and 32 of 9 MB that are published 400 to 450, of which 200 are there at rest.
 */
const receivedAtOnce = 32_000_000
/** What is made of an answer takes up to ten times its size: its text, its rows, its message in several forms. */
const workedAtOnce = 10_000_000

const failed = (kind: HilltopFetchFailed["kind"], detail: string) => new HilltopFetchFailed({ kind, detail })

/** Codes of the operating system and of undici that tell why there was no connection, and nothing else. */
const reasonCode = (error: HttpClientError.HttpClientError): string | undefined => {
  let cause: unknown = error.reason.cause
  for (let depth = 0; depth < 4 && typeof cause === "object" && cause !== null; depth++) {
    if ("code" in cause && typeof cause.code === "string") return cause.code
    cause = "cause" in cause ? cause.cause : undefined
  }
  return undefined
}

/** What undici's parser could not read of an answer, in words of its own that quote nothing; none for any other failure. */
const parserReason = ({ reason: { cause } }: HttpClientError.HttpClientError): string | undefined =>
  cause instanceof errors.HTTPParserError ? /\(([^()]{1,80})\)$/.exec(cause.message)?.[1] : undefined

const unreachable = (error: HttpClientError.HttpClientError) => {
  const fault = parserReason(error)
  if (fault !== undefined) return failed("unreachable", `the answer is no HTTP that can be read: ${fault}`)
  const code = reasonCode(error)
  return code === privateAddressCode
    ? failed("forbidden", "the server's address is not a public one")
    : failed("unreachable", `no connection, or it broke off${code === undefined ? "" : ` (${code})`}`)
}

/** From http to https of the same host is for the operator to know. What else the server wrote may hold anything. */
const elsewhere = (asked: URL, next: URL | undefined) => {
  const isUpgrade = next?.hostname === asked.hostname && asked.protocol === "http:" && next.protocol === "https:"
  if (next === undefined || !isUpgrade) return failed("forbidden", "the server redirects to another one")
  const target = next.pathname === asked.pathname ? `${next.origin}${next.pathname}` : next.origin
  return new HilltopFetchFailed({
    kind: "forbidden",
    detail: `the server redirects to ${target}`,
    movedTo: target
  })
}

/**
 * Apostrophes stand bare in what is asked, as browsers and most clients of Hilltop send them. The URL parser, through
 * which every request goes, encodes them in queries.
 */
const bareApostrophes: Dispatcher.DispatcherComposeInterceptor = (dispatch) => (options, handler) =>
  dispatch({ ...options, path: options.path.replace(/\?.*$/, (query) => query.replaceAll("%27", "'")) }, handler)

const connector = (allowPrivate: boolean): buildConnector.connector => {
  const connect = buildConnector({
    timeout: Duration.toMillis(connectTimeout),
    ...(allowPrivate ? {} : { lookup: publicLookup })
  })
  return (options, callback) =>
    connect(options, (...[error, socket]) =>
      error === null ? callback(null, tolerantOfHeads(socket)) : callback(error, null)
    )
}

/** Waits until the server may be asked once more. */
interface Turns {
  readonly next: (next: Redirected, status: number) => Effect.Effect<void, HilltopFetchFailed | StoreUnavailable>
  /** How long it has waited in all, in milliseconds. */
  readonly waited: () => number
}

/** Not taken from a layer: a layer is built once, and others that want a client would get this one with its guard. */
const makeClient = (allowPrivate: boolean) =>
  Effect.acquireRelease(
    Effect.sync(
      () =>
        new Agent({
          keepAliveTimeout: 10_000,
          connect: connector(allowPrivate)
        })
    ),
    (agent) => Effect.promise(() => agent.destroy())
  ).pipe(
    Effect.flatMap((agent) =>
      Effect.provideService(NodeHttpClient.makeUndici, NodeHttpClient.Dispatcher, agent.compose(bareApostrophes))
    )
  )

const make = Effect.gen(function* () {
  const timeout = yield* Settings.CRAWL_TIMEOUT.config
  const limit = yield* Settings.CRAWL_MAX_RESPONSE.config
  const allowPrivate = yield* Settings.CRAWL_ALLOW_PRIVATE.config
  const client = HttpClient.withScope(yield* makeClient(allowPrivate))
  const budget = yield* RedirectBudget
  const patience = shareOfWaiting * Duration.toMillis(timeout)

  /** A literal address is never looked up, so it is judged here. */
  const mayAsk = (url: URL) => {
    const host = url.hostname.replace(/^\[|\]$/g, "")
    return allowPrivate || isIP(host) === 0 || isPublicAddress(host)
  }

  const putOff = makePutOffRedirects()
  const makeTurns = (asked: string): Turns => {
    let waited = 0
    return {
      waited: () => waited,
      next: Effect.fnUntraced(function* (next, status) {
        const since = yield* monotonicMillis
        const wait = yield* budget.reserve(next.url, patience - waited)
        if (wait === undefined) {
          putOff.keep(asked, next)
          // Told as the answer that it is: a server that was slowed down is asked faster again by answers.
          return yield* new HilltopFetchFailed({
            kind: "status",
            status,
            detail: "the server redirects, and its budget has no room for one more request now"
          })
        }
        yield* Effect.sleep(wait)
        waited += (yield* monotonicMillis) - since
      })
    }
  }

  const get = (
    { cookies, redirects, url }: Redirected,
    turns: Turns
  ): Effect.Effect<
    HttpClientResponse.HttpClientResponse,
    HilltopFetchFailed | StoreUnavailable | HttpClientError.HttpClientError,
    Effect.Services<ReturnType<typeof client.execute>>
  > =>
    Effect.gen(function* () {
      // A task that an operator queued by hand may have anything for an address.
      if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol)) {
        return yield* failed("forbidden", "the address is none of a web server")
      }
      if (!mayAsk(new URL(url))) return yield* failed("forbidden", "the server's address is not a public one")
      const response = yield* client.execute(
        HttpClientRequest.get(url, {
          headers: {
            "user-agent": userAgent,
            accept: "text/xml, */*;q=0.5",
            "accept-encoding": "gzip, deflate",
            ...(Cookies.isEmpty(cookies) ? {} : { cookie: Cookies.toCookieHeader(cookies) })
          }
        })
      )
      const location = response.headers["location"]
      if (response.status < 300 || response.status > 399 || location === undefined) return response
      const next = URL.canParse(location, url) ? new URL(location, url) : undefined
      if (next === undefined || next.origin !== new URL(url).origin) return yield* elsewhere(new URL(url), next)
      if (redirects === 0) return yield* failed("forbidden", "too many redirects")
      // What stands before a server may send everyone back to the same address with a cookie, and let pass who shows it.
      const redirected = {
        url: next.href,
        cookies: Cookies.merge(cookies, response.cookies),
        redirects: redirects - 1
      }
      yield* turns.next(redirected, response.status)
      return yield* get(redirected, turns)
    })

  const memory = makeAnswerMemory({
    small: smallAnswer,
    largest: limit,
    received: receivedAtOnce,
    worked: workedAtOnce
  })
  const tooLarge = (begun: CollectedBytes) =>
    new HilltopResponseTooLarge({
      limit,
      head: Buffer.from(begun.bytes().subarray(0, headLength)).toString("latin1")
    })

  const read = Effect.fnUntraced(function* (
    response: HttpClientResponse.HttpClientResponse,
    share: AnswerShare,
    scope: Scope.Scope
  ) {
    const encoding = response.headers["content-encoding"]
    const announced = encoding === undefined ? Number(response.headers["content-length"] ?? 0) : 0
    if (announced > limit) return yield* new HilltopResponseTooLarge({ limit })
    const damaged = () => failed("unreachable", "the compressed answer is damaged")
    const body = yield* decompressedBody(Stream.mapError(response.stream, unreachable), encoding, damaged)
    const collected = new CollectedBytes(smallAnswer, limit)
    const free = Effect.sync(() => collected.free())
    yield* Scope.addFinalizer(scope, free)
    const hash = createHash("sha256")
    yield* Stream.runForEachArray(body, (arrived): Effect.Effect<void, HilltopResponseTooLarge> =>
      Effect.suspend(() => {
        for (const piece of arrived) {
          if (collected.length + piece.length > limit) return Effect.fail(tooLarge(collected))
          hash.update(piece)
          collected.add(piece)
        }
        return share.grow(collected.length)
      })
    )
    return { bytes: collected.bytes(), hash: hash.digest("hex"), free }
  })

  const ask = Effect.fnUntraced(function* (url: string, turns: Turns, share: AnswerShare, scope: Scope.Scope) {
    const first = putOff.take(url) ?? { url, cookies: Cookies.empty, redirects: mostRedirects }
    const response = yield* get(first, turns)
    if (response.status >= 200 && response.status <= 299) return yield* read(response, share, scope)
    const retryAfter = yield* retryAfterSeconds(response.headers["retry-after"])
    return yield* new HilltopFetchFailed({
      kind: "status",
      detail: `the server answered ${response.status}`,
      status: response.status,
      ...(retryAfter === undefined ? {} : { retryAfter })
    })
  })

  return HilltopClient.of({
    fetch: (url) =>
      Effect.gen(function* () {
        const share = yield* memory.share
        const scope = yield* Effect.scope
        const startedAt = yield* monotonicMillis
        const turns = makeTurns(url)
        const answer = yield* Effect.scoped(ask(url, turns, share, scope)).pipe(
          Effect.catchTag("HttpClientError", (error) => Effect.fail(unreachable(error))),
          Effect.raceFirst(deadline(timeout, share))
        )
        const millis = Math.round((yield* monotonicMillis) - startedAt - (yield* share.waited) - turns.waited())
        yield* share.turn
        return { ...answer, millis }
      }).pipe(Effect.provideService(HttpClient.TracerPropagationEnabled, false), spanWhereTraced("HilltopClient.fetch"))
  })
})

/** Fails when the server has had so much time; while an answer waits for memory, its server is not to blame. */
const deadline = Effect.fnUntraced(function* (timeout: Duration.Duration, share: AnswerShare) {
  const most = Duration.toMillis(timeout)
  const startedAt = yield* monotonicMillis
  for (;;) {
    const left = most - ((yield* monotonicMillis) - startedAt - (yield* share.waited))
    if (left <= 0) return yield* failed("deadline", `no complete answer within ${Duration.format(timeout)}`)
    yield* Effect.sleep(left)
  }
})

export const UndiciHilltopClient = Layer.effect(HilltopClient, make)
