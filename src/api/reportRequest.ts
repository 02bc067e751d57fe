/**
 * One log line and two metrics for every request that was answered: never its body, its path or its query.
 */
import { Effect, LogLevel, Metric, References } from "effect"
import type { RequestNotes } from "./CurrentRequest.ts"

const boundaries = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]
const methodsCounted: ReadonlySet<string> = new Set(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])

/** The metrics of requests of one kind: method, template and status, labels of which there are few, whatever is sent. */
const metricsOf = (method: string, route: string, status: number) => {
  const attributes = { method, route, status: String(status) }
  return {
    answered: Metric.counter("http_server_requests_total", {
      description: "requests answered",
      incremental: true,
      attributes
    }),
    took: Metric.histogram("http_server_request_duration_seconds", {
      description: "time from the head of a request to the head of its answer",
      boundaries,
      attributes
    })
  }
}

/** By kind, since a metric works out the key of its series once and for all, which takes longer than counting. */
const metrics = new Map<string, ReturnType<typeof metricsOf>>()
const metricsFor = (method: string, route: string, status: number) => {
  const kind = `${method} ${status} ${route}`
  const known = metrics.get(kind) ?? metricsOf(method, route, status)
  metrics.set(kind, known)
  return known
}

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
    const { answered, took } = metricsFor(method, notes.route, status)
    answered.updateUnsafe(1, fiber.context)
    took.updateUnsafe(seconds, fiber.context)
    // Hardly anything reads this line, so it is not even put together unless something does.
    return LogLevel.isLessThanOrEqualTo(fiber.getRef(References.MinimumLogLevel), "Debug")
      ? logRequest(method, notes, status, seconds)
      : Effect.void
  })
