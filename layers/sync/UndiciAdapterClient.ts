/**
 * The adapter over HTTP, with undici: bearer key, one deadline for the whole request, an answer of bounded size.
 *
 * Connections follow the concurrency of the sync with some room for lookups. The client is made here rather than taken from
 * a layer: a layer is built once, with what its first user needs, and the adapter's client differs from all others. Answers may be
 * compressed unasked. One that is not what the contract says is described by the names of its fields, never by its values.
 */
import { ByteSize, Duration, Effect, Layer, Option, Redacted, Schema, Stream } from "effect"
import * as SchemaJITCompiler from "effect/schema/SchemaJITCompiler"
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { buildConnector, errors } from "undici"
import { AdapterBody, answerFromBody } from "../../src/domain/AccountingPoint.ts"
import { formatInstant } from "../../src/domain/Instant.ts"
import { tellOfAnswers } from "../../src/sync/tellOfAnswers.ts"
import { AccountingPointUnknown, AdapterClient, AdapterFailure } from "../../src/sync/AdapterClient.ts"
import { describeFaults } from "../../src/running/describeFaults.ts"
import { outgoingTraceparent } from "../../src/running/traceContext.ts"
import { decompressedBody } from "../http/decompressedBody.ts"
import { dispatchGet, type Received } from "../http/dispatchGet.ts"
import { noteWhereTraced, spanWhereTraced } from "../../src/running/spanWhereTraced.ts"
import { retryAfterSeconds } from "../../src/running/retryAfter.ts"
import { Settings } from "../Settings.ts"

/** An accounting point has a few dozen rows; a megabyte of them is an error of the adapter. */
const mostBytes = 1_048_576
const maxBody = ByteSize.bytes(mostBytes)

/** What lookups may have open beside the background sync, in connections. */
const lookupRoom = 16

/** In seconds. What the adapter asks for is believed for a day: a mistyped header must not end the sync of a point for a year. */
const longestRetryAfter = 24 * 3600

/** How the call is called in traces, which do not tell the accounting point. */
const template = "/accounting_point/{gsrn}"

const failure = (kind: AdapterFailure["kind"], detail: string, retryAfter?: number) =>
  new AdapterFailure({ kind, detail, ...(retryAfter === undefined ? {} : { retryAfter }) })

const staleConnection = new AdapterFailure({
  kind: "unavailable",
  detail: "the adapter closed a connection that was in use",
  staleConnection: true
})

const BodyText = Schema.fromJsonString(AdapterBody)
SchemaJITCompiler.enable(BodyText.ast)
const decodeBody = Schema.decodeUnknownEffect(BodyText)
/** Whether the status is one that asking again later may cure. */
const passes = (status: number): boolean => status === 408 || status === 429 || status >= 500

/**
 * Connections to the adapter, and which errors are those of one that had served before: the adapter, or something on the way,
 * closed it while the request was sent. A request whose connection was new says the adapter's own trouble.
 */
const makeConnections = Effect.fnUntraced(function* (connections: number) {
  const stale = new WeakSet<Error>()
  const connect = buildConnector({})
  const agent = yield* NodeHttpClient.makeDispatcherOptions({
    connections,
    pipelining: 1,
    connect: (options, callback) =>
      connect(options, (...connected) => {
        const [, socket] = connected
        // Heard before the client does, which tells its requests of it.
        socket?.once("error", (error) => {
          if (socket.bytesRead > 0) stale.add(error)
        })
        callback(...connected)
      })
  })
  const isStale = (cause: unknown): boolean =>
    cause instanceof Error &&
    (stale.has(cause) || (cause instanceof errors.SocketError && (cause.socket?.bytesRead ?? 0) > 0))
  return { agent, isStale }
})

/** What is told of a call in traces, as semantic conventions have it. */
const attributesOf = (url: URL) => ({
  "http.request.method": "GET",
  "url.template": template,
  "url.full": url.href,
  "url.path": url.pathname,
  "url.query": url.search.slice(1),
  "url.scheme": url.protocol.slice(0, -1),
  "server.address": url.hostname.replace(/^\[|\]$/g, ""),
  "server.port": url.port === "" ? (url.protocol === "https:" ? 443 : 80) : Number(url.port)
})

const tooLarge = () => failure("invalid", "the answer is larger than 1 MiB")
const damaged = () => failure("invalid", "the compressed answer is damaged")
const openingBrace = 0x7b

const textOf = ({ body, headers }: Received): Effect.Effect<string, AdapterFailure> => {
  const encoding = headers["content-encoding"]
  // No format of compression begins like JSON, unless it says that it is one.
  if (encoding === undefined && body[0] === openingBrace) return Effect.succeed(body.toString())
  return Effect.scoped(
    Effect.flatMap(decompressedBody(Stream.make<[Uint8Array]>(body), encoding?.toString(), damaged), (sent) =>
      sent.pipe(
        Stream.limitBytes<AdapterFailure, never>(maxBody, () => Stream.fail(tooLarge())),
        Stream.decodeText,
        Stream.mkString
      )
    )
  )
}

const live = Effect.gen(function* () {
  const url = yield* Settings.ADAPTER_URL.config
  if (url === undefined) return AdapterClient.layerNone
  const key = yield* Settings.ADAPTER_API_KEY.config
  const timeout = yield* Settings.ADAPTER_TIMEOUT.config
  const concurrency = yield* Settings.ADAPTER_CONCURRENCY.config
  const base = new URL(url)
  const basePath = base.pathname.replace(/\/+$/, "")
  const headers = {
    accept: "application/json",
    ...(key === undefined ? {} : { authorization: `Bearer ${Redacted.value(key)}` })
  }
  // The deadline comes first.
  const pause = Duration.toMillis(timeout) + 1_000

  const make = Effect.gen(function* () {
    const { agent, isStale } = yield* makeConnections(concurrency + lookupRoom)
    /** The body of a 200. */
    const get = Effect.fnUntraced(function* (path: string) {
      const received = yield* dispatchGet(agent, {
        origin: base.origin,
        path,
        headers: { ...headers, traceparent: yield* outgoingTraceparent },
        longest: mostBytes,
        pause
      })
      const { status } = received
      yield* noteWhereTraced(() => ({
        "http.response.status_code": status,
        "error.type": status >= 400 ? String(status) : undefined
      }))
      if (status === 200) return received
      if (status === 404) return yield* new AccountingPointUnknown()
      const asked = yield* retryAfterSeconds(received.headers["retry-after"]?.toString())
      return yield* passes(status)
        ? failure("unavailable", `the adapter answered ${status}`, asked && Math.min(asked, longestRetryAfter))
        : failure("refused", `the adapter answered ${status}`)
    })
    return tellOfAnswers({
      configured: true,
      deadline: Duration.toMillis(timeout),
      fetch: (gsrn, validFrom, within) => {
        const path = `${basePath}/accounting_point/${gsrn}?valid_from=${encodeURIComponent(formatInstant(validFrom))}`
        return get(path).pipe(
          spanWhereTraced(`GET ${template}`, () => ({
            kind: "client",
            attributes: attributesOf(new URL(path, base.origin))
          })),
          Effect.flatMap(textOf),
          Effect.flatMap(decodeBody),
          Effect.flatMap((body) => {
            const answer = answerFromBody(gsrn, body)
            return typeof answer === "string" ? Effect.fail(failure("invalid", answer)) : Effect.succeed(answer)
          }),
          Effect.timeoutOption(within === undefined ? timeout : Duration.millis(within)),
          Effect.flatMap(
            Option.match({
              onNone: () => Effect.fail(failure("deadline", `no answer within ${Duration.format(timeout)}`)),
              onSome: Effect.succeed
            })
          ),
          Effect.catchTags({
            DispatchFailed: ({ begun, cause }) =>
              Effect.fail(
                !begun && isStale(cause) ? staleConnection : failure("unavailable", "the adapter cannot be reached")
              ),
            AnswerTooLong: () => Effect.fail(tooLarge()),
            SchemaError: (error) => Effect.fail(failure("invalid", describeFaults("the answer", error)))
          }),
          spanWhereTraced("AdapterClient.fetch")
        )
      }
    })
  })
  return Layer.effect(AdapterClient, make)
})

export const UndiciAdapterClient = Layer.unwrap(live)
