/**
 * Whom the service speaks to over HTTP: the adapter, with the key it will show, and the collector of telemetry.
 *
 * The adapter is asked for an accounting point that nobody has. Its 404 proves nothing by itself, since a wrong path answers so
 * as well; so it is asked without a key too, and must refuse that.
 */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { Clock, Data, Duration, Effect, Redacted } from "effect"
import { HttpClient, HttpClientRequest } from "effect/http"
import { formatInstant } from "../../src/domain/Instant.ts"
import { Settings } from "../../layers/Settings.ts"
import { clockFinding, codeBeneath, failed, type Finding, ok, warning, whyUnreached } from "./Finding.ts"

/** With a right check digit, of a range that no grid company has. */
export const nobodysGsrn = "100000000000000007"

class Unanswered extends Data.TaggedError("Unanswered")<{ readonly why: string }> {}

const send = (request: HttpClientRequest.HttpClientRequest, patience: Duration.Duration) =>
  Effect.gen(function* () {
    const response = yield* HttpClient.execute(request)
    return { status: response.status, date: response.headers["date"], location: response.headers["location"] }
  }).pipe(
    Effect.scoped,
    Effect.mapError((error) => {
      const code = codeBeneath(error)
      return new Unanswered({
        why: whyUnreached(new URL(request.url).host, code) ?? `no answer (${code ?? "unknown"})`
      })
    }),
    Effect.timeoutOrElse({
      duration: patience,
      orElse: () =>
        Effect.fail(
          new Unanswered({ why: `${new URL(request.url).host} did not answer within ${Duration.format(patience)}` })
        )
    })
  )

type Answer = Effect.Success<ReturnType<typeof send>>

/** What an answer to a request with our key says, given what one without a key was answered. */
const adapterFinding = (answer: Answer, hasKey: boolean, bare: number | undefined): Finding => {
  const check = "adapter"
  switch (answer.status) {
    case 401:
      return hasKey
        ? failed(check, "refuses ADAPTER_API_KEY (401)", "set the key that the adapter knows")
        : failed(check, "asks for a key (401), and ADAPTER_API_KEY is not set", "set ADAPTER_API_KEY")
    case 403:
      return failed(
        check,
        "knows ADAPTER_API_KEY and does not allow it this (403)",
        "let the adapter give the key the right to read accounting points"
      )
    case 404:
      if (bare === 401 || bare === 403) return ok(check, "answers and takes ADAPTER_API_KEY")
      return warning(
        check,
        hasKey
          ? "answers 404 with the key and without: its path is wrong, or it asks for no key"
          : "answers 404: its path is wrong, or it is right and asks for no key",
        "check the path in ADAPTER_URL; `penstock sync run --gsrn …` asks for an accounting point that is kept"
      )
    case 200:
      return warning(check, "answers 200 for an accounting point that nobody has", "an unknown one must be a 404")
    case 429:
      return warning(check, "says it is asked too often (429)", "set ADAPTER_RATE to what it allows")
  }
  if (answer.status >= 500) return failed(check, `fails (${answer.status})`, "look into the adapter's log")
  if (answer.status >= 300 && answer.status < 400) {
    return failed(check, `leads elsewhere (${answer.status})`, "set ADAPTER_URL to where it leads; it is not followed")
  }
  return failed(
    check,
    `does not take the request (${answer.status})`,
    "check the path in ADAPTER_URL, and the contract in docs/adapter-authors.md"
  )
}

export const checkAdapter = Effect.gen(function* () {
  const url = yield* Settings.ADAPTER_URL.config
  if (url === undefined) {
    return [ok("adapter", "none (ADAPTER_URL is not set): lookups are answered from what is kept alone")]
  }
  const key = yield* Settings.ADAPTER_API_KEY.config
  const patience = yield* Settings.ADAPTER_TIMEOUT.config
  const skew = Duration.toMillis(yield* Settings.EVENT_CLOCK_SKEW.config)
  const now = yield* Clock.currentTimeMillis
  const request = HttpClientRequest.get(`${url.replace(/\/+$/, "")}/accounting_point/${nobodysGsrn}`).pipe(
    HttpClientRequest.setUrlParam("valid_from", formatInstant(now)),
    HttpClientRequest.acceptJson
  )
  return yield* Effect.gen(function* () {
    const answer = yield* send(
      key === undefined ? request : HttpClientRequest.bearerToken(request, Redacted.value(key)),
      patience
    )
    const bare = answer.status === 404 && key !== undefined ? (yield* send(request, patience)).status : undefined
    const clock = answer.date === undefined ? NaN : Date.parse(answer.date) - (yield* Clock.currentTimeMillis)
    // A Date header has whole seconds, and was written before it was read.
    const clocks = Number.isNaN(clock) ? [] : [clockFinding("adapter clock", "the adapter", clock, skew, 1_500)]
    return [adapterFinding(answer, key !== undefined, bare), ...clocks.filter(({ state }) => state !== "ok")]
  }).pipe(
    Effect.catchTag("Unanswered", ({ why }) =>
      Effect.succeed([failed("adapter", why, "check ADAPTER_URL, and whether the adapter runs")])
    )
  )
}).pipe(Effect.provide(NodeHttpClient.layerUndici))

export const checkOtlp = Effect.gen(function* () {
  const url = yield* Settings.OTEL_EXPORTER_OTLP_ENDPOINT.config
  if (url === undefined) return []
  const request = HttpClientRequest.bodyJsonUnsafe(HttpClientRequest.post(`${url.replace(/\/+$/, "")}/v1/traces`), {
    resourceSpans: []
  })
  const remedy = "check OTEL_EXPORTER_OTLP_ENDPOINT: it is the collector's port for HTTP (4318), without /v1/traces"
  return yield* send(request, Duration.seconds(5)).pipe(
    Effect.map(({ status }): ReadonlyArray<Finding> => {
      if (status < 300) return [ok("telemetry", "the collector takes it")]
      if (status === 401 || status === 403) {
        return [
          failed(
            "telemetry",
            `the collector refuses us (${status})`,
            "it wants headers: see OTEL_EXPORTER_OTLP_HEADERS"
          )
        ]
      }
      return [failed("telemetry", `what answers there is no collector of OTLP over HTTP (${status})`, remedy)]
    }),
    Effect.catchTag("Unanswered", ({ why }) => Effect.succeed([failed("telemetry", why, remedy)]))
  )
}).pipe(Effect.provide(NodeHttpClient.layerUndici))
