/**
 * One log line and two metrics for every request that was answered: never its body, its path or its query.
 */
import { Effect, Metric } from "effect"
import type { RequestNotes } from "./CurrentRequest.ts"

const requests = Metric.counter("http_server_requests_total", { description: "requests answered", incremental: true })
const durations = Metric.histogram("http_server_request_duration_seconds", {
  description: "time from the head of a request to the head of its answer",
  boundaries: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]
})
const methodsCounted: ReadonlySet<string> = new Set(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])

/** Counts by method, template and status: labels of which there are few, whatever is sent. */
const count = (
  attributes: { readonly method: string; readonly route: string; readonly status: string },
  seconds: number
) =>
  Effect.andThen(
    Metric.update(Metric.withAttributes(requests, attributes), 1),
    Metric.update(Metric.withAttributes(durations, attributes), seconds)
  )

/** Reports a request that took so long until the head of its answer. */
export const reportRequest = (sent: string, notes: RequestNotes, status: number, seconds: number) => {
  const method = methodsCounted.has(sent) ? sent : "OTHER"
  return Effect.andThen(
    count({ method, route: notes.route, status: String(status) }, seconds),
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
  )
}
