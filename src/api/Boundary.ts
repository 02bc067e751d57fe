/**
 * What every request passes, whatever it asks for: its ids, the limit of its body, one log line, its metrics, and a problem
 * in place of anything that went wrong without one.
 *
 * Runs outside of routing, so that unknown routes and defects are covered too.
 */
import {
  ByteSize,
  Clock,
  Context,
  Effect,
  type Fiber,
  Layer,
  Option,
  Random,
  References,
  Tracer,
  type Types
} from "effect"
import {
  HttpMethod,
  HttpMiddleware,
  HttpRouter,
  HttpServerRequest,
  HttpServerResponse,
  HttpTraceContext,
  type Headers
} from "effect/http"
import { isTraced, madeUpSpan } from "../running/traceContext.ts"
import { CurrentRequest, type RequestNotes } from "./CurrentRequest.ts"
import { eventPath, plainRequest } from "./plainRequest.ts"
import { reportRequest } from "./reportRequest.ts"
import { RouteTable } from "./RouteTable.ts"
import { dress, encodingUnsupported, explain, methodNotAllowed, tooLarge } from "./unanswered.ts"

const maxBody = ByteSize.mebibytes(1)
const maxBodyBytes = ByteSize.toNumberUnsafe(maxBody)

/** For the fibers of the server: where a body without a length ends. The same for all requests, so it is not given to each. */
export const BodyLimit = Layer.succeed(HttpServerRequest.MaxBodySize, maxBody)

/** Those who watch ask every few seconds, and a trace of each would bury the others. */
const isWatching = (url: string): boolean => /^\/(?:health\/|metrics(?:$|\?))/.test(url)

/** For the fibers of the server. */
export const WatchersUntraced = Layer.succeed(HttpMiddleware.TracerDisabledWhen, ({ url }) => isWatching(url))

/** The span the request belongs to: the tracer's, else the caller's, else one made up so that it has a trace id. */
const spanOf = (fiber: Fiber.Fiber<unknown, unknown>, headers: Headers.Headers): Tracer.AnySpan =>
  Context.getOrUndefined(fiber.context, Tracer.ParentSpan) ??
  Option.getOrElse(HttpTraceContext.fromHeaders(headers), () => madeUpSpan(fiber.getRef(Random.Random)))

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
  const ended = Effect.matchCauseEffect(answer, {
    onSuccess: dress,
    onFailure: (cause) => explain(table, path, cause)
  })
  if (!HttpMethod.hasBody(request.method)) return ended
  const plain = plainRequest(request, path === eventPath, maxBody)
  if (plain === undefined) return encodingUnsupported
  return plain === request ? ended : Effect.provideService(ended, HttpServerRequest.HttpServerRequest, plain)
}

/** In place of a route, where there is none. */
const unmatched = "unmatched"

/** What is known of a request at its beginning. */
const notesOf = (headers: Headers.Headers, { traceId }: Tracer.AnySpan): RequestNotes => {
  const asked = headers["x-request-id"]
  return {
    id: asked !== undefined && isSaneId(asked) ? asked : traceId,
    traceId,
    route: unmatched,
    caller: undefined
  }
}

/**
 * One step for what is the same for every request, and additions to the context rather than a merge, which copies it:
 * `GET /health/live` took 125 µs with generators and copies, and takes 50.
 */
export const Boundary: Layer.Layer<never, never, HttpRouter.HttpRouter | RouteTable> = HttpRouter.middleware(
  Effect.gen(function* () {
    const table = yield* RouteTable
    return (
      answer: Effect.Effect<HttpServerResponse.HttpServerResponse, Types.unhandled>
    ): Effect.Effect<HttpServerResponse.HttpServerResponse, Types.unhandled, HttpServerRequest.HttpServerRequest> =>
      Effect.withFiber((fiber) => {
        const request = Context.getUnsafe(fiber.context, HttpServerRequest.HttpServerRequest)
        const clock = fiber.getRef(Clock.Clock)
        const startedAt = clock.currentTimeNanosUnsafe()
        const span = spanOf(fiber, request.headers)
        const notes = notesOf(request.headers, span)
        return respond(table, request, answer).pipe(
          Effect.flatMap((response) => {
            // The template: what a span knows of the address itself is not passed on, since it names accounting points.
            if (span._tag === "Span" && notes.route !== unmatched) span.attribute("http.route", notes.route)
            const seconds = Number(clock.currentTimeNanosUnsafe() - startedAt) / 1e9
            return Effect.as(
              reportRequest(request.method, notes, response.status, seconds),
              HttpServerResponse.setHeader(response, "x-request-id", notes.id)
            )
          }),
          Effect.updateContext((context: Context.Context<never>) =>
            // A span that is not ours is no beginning of a trace: what is done for such a request is in none.
            (span._tag !== "Span" && isTraced(fiber)
              ? Context.add(context, References.TracerEnabled, false)
              : context
            ).pipe(Context.add(CurrentRequest, notes), Context.add(Tracer.ParentSpan, span))
          )
        )
      })
  }),
  { global: true }
)
