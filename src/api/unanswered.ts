/**
 * What went wrong without a problem of its own becomes one: unknown routes, wrong methods, bodies too large, defects.
 *
 * Of a defect the log shows where it happened, not its message, which may carry values.
 */
import { Cause, Effect, Schema } from "effect"
import { HttpServerError, HttpServerResponse } from "effect/http"
import { sayOnce } from "../running/sayOnce.ts"
import { describe } from "../running/describe.ts"
import { describeFaults } from "../running/describeFaults.ts"
import { readableEncodings } from "./plainRequest.ts"
import { isProblem, problemResponse, type ProblemKind } from "./Problems.ts"
import type { RouteTable } from "./RouteTable.ts"

export const tooLarge = problemResponse("body-too-large", "the body must not be larger than 1 MiB")

export const encodingUnsupported = problemResponse(
  "media-type-unsupported",
  "a body of this Content-Encoding is not read here",
  { "accept-encoding": readableEncodings }
)

/** What the framework answers without a body becomes a problem of the same meaning. */
const kindOfStatus = (status: number): ProblemKind =>
  status === 404
    ? "route-unknown"
    : status === 413
      ? "body-too-large"
      : status < 500
        ? "malformed-request"
        : "internal-error"

/** The answer, or a problem in place of an error answer that has none. */
export const dress = (
  response: HttpServerResponse.HttpServerResponse
): Effect.Effect<HttpServerResponse.HttpServerResponse> =>
  response.status < 400 || isProblem(response)
    ? Effect.succeed(response)
    : response.status === 415
      ? problemResponse("media-type-unsupported", "a body of this media type is not read here")
      : problemResponse(kindOfStatus(response.status), "the request could not be answered")

export const methodNotAllowed = (methods: ReadonlyArray<string>) =>
  problemResponse("method-not-allowed", `this resource has ${methods.join(", ")}`, { allow: methods.join(", ") })

/** Where a defect happened: its stack without its message, or what a schema refused, which names no values. */
const whereabouts = (defect: unknown): string =>
  Schema.isSchemaError(defect)
    ? describeFaults("the value", defect)
    : defect instanceof Error
      ? (defect.stack ?? "")
          .split("\n")
          .filter((line) => /^\s+at .*:\d+:\d+\)?$/.test(line))
          .join("\n")
      : ""

/** The answer to a request whose answer failed. */
export const explain = (table: RouteTable["Service"], path: string, cause: Cause.Cause<unknown>) => {
  const errors = cause.reasons.flatMap((reason) =>
    reason._tag === "Fail" ? [reason.error] : reason._tag === "Die" ? [reason.defect] : []
  )
  const told = errors.find(HttpServerError.isHttpServerError)?.reason
  if (told?._tag === "RouteNotFound") {
    const methods = table.methodsOf(path)
    return methods.length > 0 ? methodNotAllowed(methods) : problemResponse("route-unknown", "there is nothing here")
  }
  if (told?._tag === "RequestParseError") {
    return told.reason === "BodyTooLarge"
      ? tooLarge
      : problemResponse("malformed-request", "the body could not be read")
  }
  if (errors.length === 0 && Cause.hasInterrupts(cause)) {
    const gone = cause.reasons.some((reason) => reason.annotations.has(HttpServerError.ClientAbort.key))
    return gone
      ? Effect.succeed(HttpServerResponse.empty({ status: 499 }))
      : problemResponse("shutting-down", "this instance is shutting down", { "retry-after": "1" })
  }
  return Effect.andThen(
    sayOnce(
      `http: ${describe(cause)} ${errors.map(whereabouts).join()}`,
      Effect.logError("http: a request failed unexpectedly", describe(cause), ...errors.map(whereabouts))
    ),
    problemResponse("internal-error", "the request could not be answered because of a defect")
  )
}
