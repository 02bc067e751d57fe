/**
 * The adapter over HTTP, with undici: bearer key, one deadline for the whole request, an answer of bounded size.
 *
 * Connections follow the concurrency of the sync with some room for lookups. The client is made here rather than taken from
 * a layer: a layer is built once, for whoever is first, and the adapter's client differs from all others. An answer that is
 * not what the contract says is described by the names of its fields, never by its values.
 */
import { ByteSize, Duration, Effect, Layer, Option, Redacted, Schema, SchemaIssue, Stream } from "effect"
import type { HttpClientError } from "effect/http"
import { HttpClient, HttpClientRequest, type HttpClientResponse } from "effect/http"
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { AdapterBody, answerFromBody } from "../src/domain/AccountingPoint.ts"
import { formatInstant } from "../src/domain/Instant.ts"
import { AccountingPointUnknown, AdapterClient, AdapterFailure } from "../src/sync/AdapterClient.ts"
import { retryAfterSeconds } from "./retryAfter.ts"
import { Settings } from "./Settings.ts"

/** An accounting point has a few dozen rows; a megabyte of them is an error of the adapter. */
const maxBody = ByteSize.mebibytes(1)

/** What lookups may have open beside the background sync, in connections. */
const lookupRoom = 16

const failure = (kind: AdapterFailure["kind"], detail: string, retryAfter?: number) =>
  new AdapterFailure({ kind, detail, ...(retryAfter === undefined ? {} : { retryAfter }) })

const decodeBody = Schema.decodeUnknownEffect(Schema.fromJsonString(AdapterBody))
const formatIssue = SchemaIssue.makeFormatterStandardSchemaV1()

/** Which field is wrong and by which rule; the formatter is told nothing of the value. */
const describeIssue = (error: Schema.SchemaError): string => {
  const [first] = formatIssue(error.issue).issues
  const path = (first?.path ?? []).map((part) => String(typeof part === "object" ? part.key : part)).join(".")
  return path === ""
    ? "the answer is not the JSON object of the contract"
    : `the answer's ${path} is not as the contract says`
}

/** Whether the status is one that asking again later may cure. */
const passes = (status: number): boolean => status === 408 || status === 429 || status >= 500

const live = Effect.gen(function* () {
  const url = yield* Settings.ADAPTER_URL.config
  if (url === undefined) return AdapterClient.layerNone
  const key = yield* Settings.ADAPTER_API_KEY.config
  const timeout = yield* Settings.ADAPTER_TIMEOUT.config
  const concurrency = yield* Settings.ADAPTER_CONCURRENCY.config
  const base = url.replace(/\/+$/, "")

  const readText = (response: HttpClientResponse.HttpClientResponse) =>
    response.stream.pipe(
      Stream.limitBytes<HttpClientError.HttpClientError | AdapterFailure, never>(maxBody, () =>
        Stream.fail(failure("invalid", "the answer is larger than 1 MiB"))
      ),
      Stream.decodeText,
      Stream.mkString
    )

  const make = Effect.gen(function* () {
    const agent = yield* NodeHttpClient.makeDispatcherOptions({ connections: concurrency + lookupRoom, pipelining: 1 })
    const client = HttpClient.withScope(
      yield* Effect.provideService(NodeHttpClient.makeUndici, NodeHttpClient.Dispatcher, agent)
    )
    return AdapterClient.of({
      configured: true,
      fetch: (gsrn, validFrom) =>
        Effect.gen(function* () {
          const request = HttpClientRequest.get(`${base}/accounting_point/${gsrn}`).pipe(
            HttpClientRequest.setUrlParam("valid_from", formatInstant(validFrom)),
            HttpClientRequest.acceptJson,
            key === undefined ? (same) => same : HttpClientRequest.bearerToken(Redacted.value(key))
          )
          const response = yield* client.execute(request)
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
          Effect.timeoutOption(timeout),
          Effect.flatMap(
            Option.match({
              onNone: () => Effect.fail(failure("deadline", `no answer within ${Duration.format(timeout)}`)),
              onSome: Effect.succeed
            })
          ),
          Effect.catchTags({
            HttpClientError: () => Effect.fail(failure("unavailable", "the adapter cannot be reached")),
            SchemaError: (error) => Effect.fail(failure("invalid", describeIssue(error)))
          }),
          Effect.withSpan("AdapterClient.fetch", { kind: "client" })
        )
    })
  })
  return Layer.effect(AdapterClient, make)
})

export const UndiciAdapterClient = Layer.unwrap(live)
