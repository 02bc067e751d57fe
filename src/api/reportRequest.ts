/**
 * One log line and one metric for every request that was answered: never its body, its path or its query.
 */
import { Effect, LogLevel, References } from "effect"
import { histogram, requestSeconds } from "../running/Instrument.ts"
import type { RequestNotes } from "./CurrentRequest.ts"

const methodsCounted: ReadonlySet<string> = new Set(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])

/** Method, template and status are labels of which there are few, whatever is sent. How many there were is its count. */
const duration = histogram("http.server.request.duration", {
  unit: "s",
  description: "time from the head of a request to the head of its answer",
  labels: ["http.request.method", "http.route", "http.response.status_code"],
  boundaries: requestSeconds
})

const logRequest = (method: string, notes: RequestNotes, status: number, seconds: number) =>
  Effect.logDebug("http request").pipe(
    Effect.annotateLogs({
      method,
      route: notes.route,
      status,
      millis: Math.round(seconds * 1e6) / 1e3,
      caller: notes.caller ?? null,
      request_id: notes.id,
      trace_id: notes.traceId
    })
  )

/** Reports a request that took so long until the head of its answer. */
export const reportRequest = (sent: string, notes: RequestNotes, status: number, seconds: number) =>
  Effect.withFiber((fiber) => {
    const method = methodsCounted.has(sent) ? sent : "OTHER"
    duration
      .series({
        "http.request.method": method,
        "http.route": notes.route,
        "http.response.status_code": String(status)
      })
      .updateUnsafe(seconds, fiber.context)
    // Hardly anything reads this line, so it is not even put together unless something does.
    return LogLevel.isLessThanOrEqualTo(fiber.getRef(References.MinimumLogLevel), "Debug")
      ? logRequest(method, notes, status, seconds)
      : Effect.void
  })
