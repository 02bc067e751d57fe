/**
 * Requests to Hilltop servers with undici: one deadline including the body, a limit of bytes counted while reading (after
 * decompression, so that a small bomb stays small), redirects only within the same server.
 *
 * Compressed answers are understood whether asked for or not. Trace headers stay at home: the servers are other people's.
 */
import { createHash } from "node:crypto"
import { isIP } from "node:net"
import { ByteSize, Duration, Effect, Layer, Option, Stream } from "effect"
import type { HttpClientError } from "effect/http"
import { HttpClient, HttpClientRequest, type HttpClientResponse } from "effect/http"
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { Agent } from "undici"
import { HilltopClient, HilltopFetchFailed, HilltopResponseTooLarge } from "../src/crawl/HilltopClient.ts"
import { isPublicAddress, privateAddressCode, publicLookup } from "./publicAddress.ts"
import { retryAfterSeconds } from "./retryAfter.ts"
import { Settings } from "./Settings.ts"
import { userAgent } from "./version.ts"

const connectTimeout = Duration.seconds(10)
const mostRedirects = 3

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

const unreachable = (error: HttpClientError.HttpClientError) => {
  const code = reasonCode(error)
  return code === privateAddressCode
    ? failed("forbidden", "the server's address is not a public one")
    : failed("unreachable", `no connection, or it broke off${code === undefined ? "" : ` (${code})`}`)
}

/** The body as it was before compression; undici leaves that to us. */
const decompressed = (
  response: HttpClientResponse.HttpClientResponse
): Stream.Stream<Uint8Array, HilltopFetchFailed> => {
  const body = Stream.mapError(response.stream, unreachable)
  const format = /^(?:x-)?(gzip|deflate)$/.exec(response.headers["content-encoding"]?.trim().toLowerCase() ?? "")?.[1]
  return format === "gzip" || format === "deflate"
    ? Stream.unwrap(
        Effect.map(Stream.toReadableStreamEffect(body), (compressed) =>
          Stream.fromReadableStream({
            evaluate: () => compressed.pipeThrough(new DecompressionStream(format)),
            onError: (error) =>
              error instanceof HilltopFetchFailed ? error : failed("unreachable", "the compressed answer is damaged")
          })
        )
      )
    : body
}

const dispatcher = Layer.effect(
  NodeHttpClient.Dispatcher,
  Effect.gen(function* () {
    const allowPrivate = yield* Settings.CRAWL_ALLOW_PRIVATE.config
    return yield* Effect.acquireRelease(
      Effect.sync(
        () =>
          new Agent({
            keepAliveTimeout: 10_000,
            connect: {
              timeout: Duration.toMillis(connectTimeout),
              ...(allowPrivate ? {} : { lookup: publicLookup })
            }
          })
      ),
      (agent) => Effect.promise(() => agent.destroy())
    )
  })
)

const make = Effect.gen(function* () {
  const timeout = yield* Settings.CRAWL_TIMEOUT.config
  const limit = yield* Settings.CRAWL_MAX_RESPONSE.config
  const allowPrivate = yield* Settings.CRAWL_ALLOW_PRIVATE.config
  const client = HttpClient.withScope(yield* HttpClient.HttpClient)

  /** A literal address is never looked up, so it is judged here. */
  const mayAsk = (url: URL) => {
    const host = url.hostname.replace(/^\[|\]$/g, "")
    return allowPrivate || isIP(host) === 0 || isPublicAddress(host)
  }

  const get = (
    url: string,
    redirects: number
  ): Effect.Effect<
    HttpClientResponse.HttpClientResponse,
    HilltopFetchFailed | HttpClientError.HttpClientError,
    Effect.Services<ReturnType<typeof client.execute>>
  > =>
    Effect.gen(function* () {
      if (!mayAsk(new URL(url))) return yield* failed("forbidden", "the server's address is not a public one")
      const response = yield* client.execute(
        HttpClientRequest.get(url, {
          headers: { "user-agent": userAgent, accept: "text/xml, */*;q=0.5", "accept-encoding": "gzip, deflate" }
        })
      )
      const location = response.headers["location"]
      if (response.status < 300 || response.status > 399 || location === undefined) return response
      const next = URL.canParse(location, url) ? new URL(location, url) : undefined
      if (next === undefined || next.origin !== new URL(url).origin) {
        return yield* failed("forbidden", "the server redirects to another one")
      }
      return redirects === 0 ? yield* failed("forbidden", "too many redirects") : yield* get(next.href, redirects - 1)
    })

  const readBytes = (response: HttpClientResponse.HttpClientResponse) =>
    decompressed(response).pipe(
      Stream.limitBytes<HilltopFetchFailed | HilltopResponseTooLarge, never>(ByteSize.bytes(limit), () =>
        Stream.fail(new HilltopResponseTooLarge({ limit }))
      ),
      Stream.mkUint8Array
    )

  return HilltopClient.of({
    fetch: (url) =>
      Effect.gen(function* () {
        const response = yield* get(url, mostRedirects)
        if (response.status < 200 || response.status > 299) {
          const retryAfter = yield* retryAfterSeconds(response.headers["retry-after"])
          return yield* new HilltopFetchFailed({
            kind: "status",
            detail: `the server answered ${response.status}`,
            status: response.status,
            ...(retryAfter === undefined ? {} : { retryAfter })
          })
        }
        const bytes = yield* readBytes(response)
        return { bytes, hash: createHash("sha256").update(bytes).digest("hex") }
      }).pipe(
        Effect.scoped,
        Effect.timeoutOption(timeout),
        Effect.flatMap(
          Option.match({
            onNone: () => Effect.fail(failed("deadline", `no complete answer within ${Duration.format(timeout)}`)),
            onSome: Effect.succeed
          })
        ),
        Effect.catchTag("HttpClientError", (error) => Effect.fail(unreachable(error))),
        Effect.provideService(HttpClient.TracerPropagationEnabled, false),
        Effect.withSpan("HilltopClient.fetch", { kind: "client" })
      )
  })
})

export const UndiciHilltopClient = Layer.effect(HilltopClient, make).pipe(
  Layer.provide(NodeHttpClient.layerUndiciNoDispatcher),
  Layer.provide(dispatcher)
)
