/**
 * The adapter over HTTP, with undici: bearer key, one deadline for the whole request, an answer of bounded size.
 *
 * Connections follow the concurrency of the sync with some room for lookups. The client is made here rather than taken from
 * a layer: a layer is built once, with what its first user needs, and the adapter's client differs from all others. Answers may be
 * compressed unasked. One that is not what the contract says is described by the names of its fields, never by its values.
 */
import { ByteSize, Duration, Effect, Layer, Option, Redacted, Schema, Stream } from "effect"
import type { HttpClientError } from "effect/http"
import { HttpClient, HttpClientRequest, type HttpClientResponse } from "effect/http"
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { buildConnector, errors } from "undici"
import { AdapterBody, answerFromBody } from "../../src/domain/AccountingPoint.ts"
import { formatInstant } from "../../src/domain/Instant.ts"
import { tellOfAnswers } from "../../src/sync/tellOfAnswers.ts"
import { AccountingPointUnknown, AdapterClient, AdapterFailure } from "../../src/sync/AdapterClient.ts"
import { describeFaults } from "../../src/running/describeFaults.ts"
import { decompressedBody } from "../http/decompressedBody.ts"
import { spanWhereTraced } from "../../src/running/spanWhereTraced.ts"
import { retryAfterSeconds } from "../../src/running/retryAfter.ts"
import { Settings } from "../Settings.ts"

/** An accounting point has a few dozen rows; a megabyte of them is an error of the adapter. */
const maxBody = ByteSize.mebibytes(1)

/** What lookups may have open beside the background sync, in connections. */
const lookupRoom = 16

/** How the call is called in traces, which do not tell the accounting point. */
const template = "/accounting_point/{gsrn}"
const spanName = () => `GET ${template}`

const failure = (kind: AdapterFailure["kind"], detail: string, retryAfter?: number) =>
  new AdapterFailure({ kind, detail, ...(retryAfter === undefined ? {} : { retryAfter }) })

const staleConnection = new AdapterFailure({
  kind: "unavailable",
  detail: "the adapter closed a connection that was in use",
  staleConnection: true
})

const decodeBody = Schema.decodeUnknownEffect(Schema.fromJsonString(AdapterBody))
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
  const isStale = ({ reason: { cause } }: HttpClientError.HttpClientError): boolean =>
    cause instanceof Error &&
    (stale.has(cause) || (cause instanceof errors.SocketError && (cause.socket?.bytesRead ?? 0) > 0))
  return { agent, isStale }
})

const live = Effect.gen(function* () {
  const url = yield* Settings.ADAPTER_URL.config
  if (url === undefined) return AdapterClient.layerNone
  const key = yield* Settings.ADAPTER_API_KEY.config
  const timeout = yield* Settings.ADAPTER_TIMEOUT.config
  const concurrency = yield* Settings.ADAPTER_CONCURRENCY.config
  const base = url.replace(/\/+$/, "")

  const damaged = () => failure("invalid", "the compressed answer is damaged")
  const readText = Effect.fnUntraced(function* (response: HttpClientResponse.HttpClientResponse) {
    const sent = yield* decompressedBody(response.stream, response.headers["content-encoding"], damaged)
    return yield* sent.pipe(
      Stream.limitBytes<HttpClientError.HttpClientError | AdapterFailure, never>(maxBody, () =>
        Stream.fail(failure("invalid", "the answer is larger than 1 MiB"))
      ),
      Stream.decodeText,
      Stream.mkString
    )
  })

  const make = Effect.gen(function* () {
    const { agent, isStale } = yield* makeConnections(concurrency + lookupRoom)
    const client = HttpClient.withScope(
      yield* Effect.provideService(NodeHttpClient.makeUndici, NodeHttpClient.Dispatcher, agent)
    )
    return tellOfAnswers({
      configured: true,
      deadline: Duration.toMillis(timeout),
      fetch: (gsrn, validFrom, within) =>
        Effect.gen(function* () {
          const request = HttpClientRequest.get(`${base}/accounting_point/${gsrn}`).pipe(
            HttpClientRequest.setUrlParam("valid_from", formatInstant(validFrom)),
            HttpClientRequest.acceptJson,
            key === undefined ? (same) => same : HttpClientRequest.bearerToken(Redacted.value(key))
          )
          const response = yield* client.execute(request).pipe(
            Effect.mapError((error) => (isStale(error) ? staleConnection : error)),
            Effect.annotateSpans("url.template", template),
            Effect.provideService(HttpClient.SpanNameGenerator, spanName)
          )
          if (response.status === 404) return yield* new AccountingPointUnknown()
          if (response.status !== 200) {
            const retryAfter = yield* retryAfterSeconds(response.headers["retry-after"])
            return yield* passes(response.status)
              ? failure("unavailable", `the adapter answered ${response.status}`, retryAfter)
              : failure("refused", `the adapter answered ${response.status}`)
          }
          const body = yield* decodeBody(yield* readText(response))
          const answer = answerFromBody(gsrn, body)
          return typeof answer === "string" ? yield* failure("invalid", answer) : answer
        }).pipe(
          Effect.scoped,
          Effect.timeoutOption(within === undefined ? timeout : Duration.millis(within)),
          Effect.flatMap(
            Option.match({
              onNone: () => Effect.fail(failure("deadline", `no answer within ${Duration.format(timeout)}`)),
              onSome: Effect.succeed
            })
          ),
          Effect.catchTags({
            HttpClientError: () => Effect.fail(failure("unavailable", "the adapter cannot be reached")),
            SchemaError: (error) => Effect.fail(failure("invalid", describeFaults("the answer", error)))
          }),
          spanWhereTraced("AdapterClient.fetch")
        )
    })
  })
  return Layer.effect(AdapterClient, make)
})

export const UndiciAdapterClient = Layer.unwrap(live)
