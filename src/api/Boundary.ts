/**
 * What every request passes, whatever it asks for: its ids, the limit of its body, one log line, its metrics, and a problem
 * in place of anything that went wrong without one.
 *
 * Runs outside of routing, so that unknown routes and defects are covered too.
 */
import { ByteSize, Clock, Context, Effect, type Layer, Option, Random, Scope, Tracer, type Types } from "effect"
import { HttpRouter, HttpServerRequest, HttpServerResponse, HttpTraceContext, type Headers } from "effect/http"
import { CurrentRequest, type RequestNotes } from "./CurrentRequest.ts"
import { reportRequest } from "./reportRequest.ts"
import { RouteTable } from "./RouteTable.ts"
import { dress, explain, methodNotAllowed, tooLarge } from "./unanswered.ts"

const maxBody = ByteSize.mebibytes(1)
const maxBodyBytes = ByteSize.toNumberUnsafe(maxBody)

/** Hex digits, as trace and span ids have them. */
const randomHex = (length: number): Effect.Effect<string> =>
  Effect.map(Effect.replicateEffect(Random.nextIntBetween(0, 0x1_0000_0000, { halfOpen: true }), length / 8), (words) =>
    words.map((word) => word.toString(16).padStart(8, "0")).join("")
  )

/** The span the request belongs to: the tracer's, else the caller's, else one made up so that it has a trace id. */
const spanOf = (headers: Headers.Headers): Effect.Effect<Tracer.AnySpan> =>
  Effect.serviceOption(Tracer.ParentSpan).pipe(
    Effect.map(Option.orElse(() => HttpTraceContext.fromHeaders(headers))),
    Effect.flatMap(
      Option.match({
        onSome: (span: Tracer.AnySpan) => Effect.succeed(span),
        onNone: () =>
          Effect.map(Effect.all([randomHex(32), randomHex(16)]), ([traceId, spanId]) =>
            Tracer.externalSpan({ traceId, spanId })
          )
      })
    )
  )

/** An id may be echoed and logged, so it must look like one, and not like a personal number. */
const isSaneId = (id: string): boolean =>
  /^[A-Za-z0-9._-]{1,64}$/.test(id) && !/(?<![0-9A-Za-z])[0-9]{11}(?![0-9A-Za-z])/.test(id)

const withoutQuery = (url: string): string => url.split("?", 1)[0] ?? url

const respond = (
  table: RouteTable["Service"],
  request: HttpServerRequest.HttpServerRequest,
  answer: Effect.Effect<HttpServerResponse.HttpServerResponse, Types.unhandled>
) => {
  const path = withoutQuery(request.url)
  const methods = table.without(request.method, path)
  if (methods !== undefined) return methodNotAllowed(methods)
  if (Number(request.headers["content-length"]) > maxBodyBytes) return tooLarge
  return Effect.matchCauseEffect(answer, { onSuccess: dress, onFailure: (cause) => explain(table, path, cause) })
}

export const Boundary: Layer.Layer<never, never, HttpRouter.HttpRouter | RouteTable> = HttpRouter.middleware(
  Effect.gen(function* () {
    const table = yield* RouteTable
    // As a fetch handler the requests' fibers know nothing of the layers': loggers, levels and tracer come from here.
    const surroundings = Context.omit(Scope.Scope)(yield* Effect.context<Scope.Scope>())

    const handle = Effect.fnUntraced(function* (
      answer: Effect.Effect<HttpServerResponse.HttpServerResponse, Types.unhandled>
    ): Effect.fn.Return<HttpServerResponse.HttpServerResponse, Types.unhandled, HttpServerRequest.HttpServerRequest> {
      const request = yield* HttpServerRequest.HttpServerRequest
      const startedAt = yield* Clock.currentTimeNanos
      const span = yield* spanOf(request.headers)
      const asked = request.headers["x-request-id"]
      const notes: RequestNotes = {
        id: asked !== undefined && isSaneId(asked) ? asked : span.traceId,
        traceId: span.traceId,
        route: "unmatched",
        caller: undefined
      }
      const own = Context.make(CurrentRequest, notes).pipe(
        Context.add(Tracer.ParentSpan, span),
        Context.add(HttpServerRequest.MaxBodySize, maxBody)
      )
      return yield* respond(table, request, answer).pipe(
        Effect.tap((response) =>
          Effect.flatMap(Clock.currentTimeNanos, (now) => {
            // The template: what a span knows of the address itself is not passed on, since it names accounting points.
            if (span._tag === "Span") span.attribute("http.route", notes.route)
            return reportRequest(request.method, notes, response.status, Number(now - startedAt) / 1e9)
          })
        ),
        Effect.map(HttpServerResponse.setHeader("x-request-id", notes.id)),
        Effect.provideContext(Context.merge(surroundings, own))
      )
    })
    return handle
  }),
  { global: true }
)
