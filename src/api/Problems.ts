/**
 * What a caller is told when it does not get what it asked for: RFC 9457 problems, every kind in one catalogue.
 *
 * A handler fails with a problem (`refuse`), which the endpoint declares by its status, so that the OpenAPI document
 * lists it. A detail states the rule that was broken; nothing the caller sent is ever repeated in it.
 */
import { Effect, Schema } from "effect"
import { HttpServerResponse } from "effect/http"
import { HttpApiSchema } from "effect/http-api"
import { CurrentRequest } from "./CurrentRequest.ts"

const catalogue = {
  "malformed-request": { status: 400, title: "Malformed request" },
  unauthorized: { status: 401, title: "Unauthorized" },
  "insufficient-scope": { status: 403, title: "Insufficient scope" },
  "end-user-mismatch": { status: 403, title: "Not the end user" },
  "route-unknown": { status: 404, title: "Not found" },
  "accounting-point-unknown": { status: 404, title: "Accounting point unknown" },
  "controllable-unit-unknown": { status: 404, title: "Controllable unit unknown" },
  "source-unknown": { status: 404, title: "Source unknown" },
  "site-unknown": { status: 404, title: "Site unknown" },
  "series-unknown": { status: 404, title: "Series unknown" },
  "history-not-kept": { status: 404, title: "History not kept" },
  "task-unknown": { status: 404, title: "Task unknown" },
  "topic-unknown": { status: 404, title: "Topic unknown" },
  "dead-letter-unknown": { status: 404, title: "Dead letter unknown" },
  "method-not-allowed": { status: 405, title: "Method not allowed" },
  "source-exists": { status: 409, title: "Source exists already" },
  "task-not-set-aside": { status: 409, title: "Task not set aside" },
  "body-too-large": { status: 413, title: "Body too large" },
  "media-type-unsupported": { status: 415, title: "Media type not supported" },
  "too-many-mismatches": { status: 429, title: "Too many mismatches" },
  "too-many-tries": { status: 429, title: "Too many tries" },
  "internal-error": { status: 500, title: "Internal error" },
  "adapter-unusable": { status: 502, title: "Adapter not usable" },
  "being-synced": { status: 503, title: "Being synced" },
  "database-unavailable": { status: 503, title: "Database not available" },
  "too-slow": { status: 503, title: "Not answered in time" },
  "not-ready": { status: 503, title: "Not ready" },
  "stream-unavailable": { status: 503, title: "Stream not available" },
  "too-many-streams": { status: 503, title: "Too many streams of events" },
  "no-progress": { status: 503, title: "No progress" },
  "shutting-down": { status: 503, title: "Shutting down" },
  "adapter-deadline": { status: 504, title: "Adapter too slow" }
} as const

export type ProblemKind = keyof typeof catalogue

const contentType = "application/problem+json"

/** What `type` begins with. */
const urn = "urn:penstock:problem:"

const typesOf = (status: number): ReadonlyArray<string> =>
  Object.entries(catalogue).flatMap(([kind, known]) => (known.status === status ? [`${urn}${kind}`] : []))

const Title = Schema.String.annotate({ description: "The kind of problem in words." })
const Detail = Schema.String.annotate({
  description: "The rule that was broken; all of them where there are several. It repeats nothing that was sent."
})
const TraceId = Schema.String.annotate({
  description: "The trace that the request belongs to, as in `traceparent` and in the log.",
  examples: ["4bf92f3577b34da6a3ce929d0e0e4736"]
})

const declared = <const Status extends number, Headers extends Schema.Struct.Fields>(
  status: Status,
  identifier: string,
  description: string,
  headers: Headers
) =>
  HttpApiSchema.WithHeaders(
    Schema.Struct({
      type: Schema.String.annotate({
        format: "uri",
        description: `The kind of problem: ${typesOf(status)
          .map((type) => `\`${type}\``)
          .join(", ")}. There may be more.`,
        examples: typesOf(status)
      }),
      title: Title,
      status: Schema.Literal(status),
      detail: Detail,
      trace_id: TraceId
    })
      .annotate({ identifier, description })
      .pipe(HttpApiSchema.asJson({ contentType }), HttpApiSchema.status(status)),
    headers
  )

const RetryAfter = {
  "retry-after": Schema.Int.annotate({ description: "After how many seconds to ask again.", examples: [1] })
}
const challenge = Schema.String.annotate({
  description: "Which key is needed, as RFC 6750 has it.",
  examples: [`Bearer realm="penstock"`]
})
const Challenge = { "www-authenticate": challenge }

/** The problems an endpoint may declare, by status, with the headers that come with them. */
export const problems = {
  400: declared(400, "MalformedRequest", "Something of the request is missing or malformed.", {}),
  401: declared(401, "Unauthorized", "No key was shown, or none that is valid.", Challenge),
  403: declared(403, "Forbidden", "The key is not of a scope that is needed, or this is not the end user.", {
    "www-authenticate": Schema.optionalKey(challenge),
    age: Schema.optionalKey(
      Schema.Int.annotate({
        description: "Of a lookup: how many seconds ago the copy was synced, where it is stale.",
        examples: [3600]
      })
    )
  }),
  404: declared(404, "NotFound", "There is no such thing here.", {}),
  405: declared(405, "MethodNotAllowed", "The resource has no such method.", {
    allow: Schema.String.annotate({ description: "The methods there are." })
  }),
  409: declared(409, "Conflict", "It contradicts what is here.", {}),
  413: declared(413, "BodyTooLarge", "The body is larger than 1 MiB.", {}),
  415: declared(415, "MediaTypeUnsupported", "The body is of a media type that is not read here.", {}),
  429: declared(429, "TooManyTries", "Too many tries.", RetryAfter),
  500: declared(500, "InternalError", "A defect of the service.", {}),
  502: declared(502, "AdapterUnusable", "The adapter is needed and cannot be used.", RetryAfter),
  503: declared(503, "Unavailable", "Try again later.", RetryAfter),
  504: declared(504, "AdapterTooSlow", "The adapter is needed and did not answer in time.", RetryAfter)
}

/** Of endpoints that read a body. */
export const bodyProblems = [problems[413], problems[415]] as const

type StatusOf<K extends ProblemKind> = (typeof catalogue)[K]["status"]
export type ProblemOf<K extends ProblemKind> = (typeof problems)[StatusOf<K>]["Type"]
type HeadersOf<K extends ProblemKind> = ProblemOf<K>["headers"]
type HeadersArgument<K extends ProblemKind> =
  {} extends HeadersOf<K> ? [headers?: HeadersOf<K>] : [headers: HeadersOf<K>]

const bodyOf = (kind: ProblemKind, detail: string, traceId: string) => ({
  type: `${urn}${kind}`,
  title: catalogue[kind].title,
  status: catalogue[kind].status,
  detail,
  trace_id: traceId
})

/** Fails with the problem; for handlers and middleware of endpoints that declare its status. */
export const refuse = <K extends ProblemKind>(
  kind: K,
  detail: string,
  ...[headers]: HeadersArgument<K>
): Effect.Effect<never, ProblemOf<K>> =>
  Effect.flatMap(CurrentRequest, ({ traceId }) =>
    Effect.fail(
      HttpApiSchema.withHeaders({ body: bodyOf(kind, detail, traceId), headers: headers ?? {} }) as ProblemOf<K>
    )
  )

/** The problem as a response; for what happens outside of any endpoint. */
export const problemResponse = (
  kind: ProblemKind,
  detail: string,
  headers: Readonly<Record<string, string>> = {}
): Effect.Effect<HttpServerResponse.HttpServerResponse> =>
  Effect.map(CurrentRequest, ({ traceId }) =>
    HttpServerResponse.jsonUnsafe(bodyOf(kind, detail, traceId), {
      status: catalogue[kind].status,
      contentType,
      headers
    })
  )

/** Whether a response needs no further dressing. */
export const isProblem = (response: HttpServerResponse.HttpServerResponse): boolean =>
  response.headers["content-type"] === contentType
