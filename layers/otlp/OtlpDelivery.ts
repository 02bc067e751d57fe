/**
 * Delivers what the exporters hand over, on its own time: they are told at once that it went well, and nothing waits for the endpoint.
 *
 * Each address has a queue of a few batches and one delivery under way, so that an endpoint that hangs costs no more memory than
 * that; of what does not fit, the oldest goes. The log says once that the endpoint is away, and once that it is back. At the end of
 * the service what is left has a few seconds.
 */
import { Deferred, Duration, Effect, FiberSet, Layer, Metric, Random } from "effect"
import { HttpClient, type HttpClientRequest, HttpClientResponse } from "effect/http"
import { retryAfterSeconds } from "../../src/running/retryAfter.ts"
import { telemetryEndsWithin } from "../../src/running/stopping.ts"

export interface OtlpDeliveryOptions {
  /** How long the endpoint has to take one batch. */
  readonly timeout: Duration.Duration
  /** Batches that wait for an address. */
  readonly mostWaiting: number
}

/** Between two tries, in seconds, doubling; and the longest that an endpoint may ask for. */
const [shortestPause, longestPause] = [1, 30]
const longestAsked = 300

const dropped = Metric.counter("penstock_otlp_batches_dropped_total", {
  description: "Batches of telemetry that were not delivered, by signal",
  incremental: true
})

/** `traces`, `metrics` or `logs`, as addresses end by convention. */
const signalOf = (address: string): string => /(traces|metrics|logs)\/?$/.exec(address)?.[1] ?? "telemetry"

/** How an attempt ended; one that failed is tried again, after so many seconds at least, unless it was refused for good. */
type Attempt = "taken" | { readonly reason: string; readonly retryAfter: number | undefined }

/** As the protocol has it: these may pass, any other refusal is of the batch or of whoever sent it. */
const passes = (status: number): boolean => [408, 429, 502, 503, 504].includes(status)

/** The log says that the endpoint goes and comes, for all signals together: they mostly share it. */
const makeNews = () => {
  const away = new Set<string>()
  return {
    lost: (signal: string, reason: string) =>
      Effect.suspend(() => {
        const isNews = away.size === 0
        away.add(signal)
        return isNews ? Effect.logWarning(`OTLP: ${signal} cannot be delivered: ${reason}`) : Effect.void
      }),
    taken: (signal: string) =>
      Effect.suspend(() =>
        away.delete(signal) && away.size === 0
          ? Effect.logInfo("OTLP: the endpoint takes everything again")
          : Effect.void
      )
  }
}

interface Lane {
  readonly signal: string
  readonly waiting: Array<HttpClientRequest.HttpClientRequest>
  isBusy: boolean
}

/** A client that takes every request and answers 200 to it; what it needs is the one that delivers. */
const make = Effect.fnUntraced(function* ({ mostWaiting, timeout }: OtlpDeliveryOptions) {
  const client = yield* HttpClient.HttpClient
  const news = makeNews()
  const deliveries = yield* FiberSet.make<void>()
  const fork = yield* FiberSet.runtime(deliveries)()
  const ending = yield* Deferred.make<void>()
  const lanes = new Map<string, Lane>()

  const attempt = (request: HttpClientRequest.HttpClientRequest): Effect.Effect<Attempt> =>
    Effect.gen(function* () {
      const { headers, status } = yield* client.execute(request)
      if (status >= 200 && status <= 299) return "taken"
      const reason = `the endpoint answered ${status}`
      return {
        reason,
        retryAfter: passes(status) ? ((yield* retryAfterSeconds(headers["retry-after"])) ?? 0) : undefined
      }
    }).pipe(
      Effect.scoped,
      Effect.provideService(HttpClient.TracerDisabledWhen, () => true),
      Effect.timeoutOrElse({
        duration: timeout,
        orElse: () => Effect.succeed({ reason: "no answer in time", retryAfter: 0 })
      }),
      Effect.catchTag("HttpClientError", () => Effect.succeed({ reason: "it cannot be reached", retryAfter: 0 }))
    )

  const count = ({ signal }: Lane) => Metric.update(Metric.withAttributes(dropped, { signal }), 1)
  /** Until it is taken or refused; once the service ends, one last time. */
  const deliver = Effect.fnUntraced(function* (lane: Lane, request: HttpClientRequest.HttpClientRequest) {
    for (let pause = shortestPause; ; pause = Math.min(longestPause, pause * 2)) {
      const isLast = Deferred.isDoneUnsafe(ending)
      const end = yield* attempt(request)
      if (end === "taken") return yield* news.taken(lane.signal)
      yield* news.lost(lane.signal, end.reason)
      if (end.retryAfter === undefined || isLast) return yield* count(lane)
      const seconds = Math.max(Math.min(end.retryAfter, longestAsked), pause * (yield* Random.nextBetween(0.8, 1.2)))
      yield* Effect.raceFirst(Effect.sleep(Duration.seconds(seconds)), Deferred.await(ending))
    }
  })
  const work = (lane: Lane) =>
    Effect.whileLoop({
      while: () => (lane.isBusy = lane.waiting.length > 0),
      body: () => deliver(lane, lane.waiting.shift()!),
      step: () => {}
    })

  const laneOf = (address: string) => {
    const lane = lanes.get(address) ?? { signal: signalOf(address), waiting: [], isBusy: false }
    lanes.set(address, lane)
    return lane
  }
  yield* Effect.addFinalizer(() =>
    Deferred.succeed(ending, undefined).pipe(
      Effect.andThen(FiberSet.awaitEmpty(deliveries)),
      Effect.interruptible,
      Effect.timeoutOption(telemetryEndsWithin)
    )
  )
  return HttpClient.make((request) =>
    Effect.gen(function* () {
      const lane = laneOf(request.url)
      lane.waiting.push(request)
      if (lane.waiting.length > mostWaiting) {
        lane.waiting.shift()
        yield* count(lane)
      }
      if (!lane.isBusy) {
        lane.isBusy = true
        fork(work(lane))
      }
      return HttpClientResponse.fromWeb(request, new Response(null, { status: 200 }))
    })
  )
})

export const OtlpDelivery = (
  options: OtlpDeliveryOptions
): Layer.Layer<HttpClient.HttpClient, never, HttpClient.HttpClient> =>
  Layer.effect(HttpClient.HttpClient, make(options))
