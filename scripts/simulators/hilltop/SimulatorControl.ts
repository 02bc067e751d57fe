/**
 * What operates the simulator while it runs, under `/simulator/` on each of its servers: look, break, hurry, reset.
 *
 * It asks for no key, and no fault touches it, or nobody could end an outage. All servers share what it changes.
 */
import { Effect, Layer, Schema } from "effect"
import { HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"
import { expectedRows } from "./ExpectedRows.ts"
import { decodeFaults, FaultRules } from "./HilltopFaults.ts"
import type { SimulatorParts } from "./SimulatorParts.ts"
import { offsetText, parse } from "./WallTime.ts"

const problem = (status: number, title: string): HttpServerResponse.HttpServerResponse =>
  HttpServerResponse.jsonUnsafe(
    { type: "about:blank", title, status },
    { status, contentType: "application/problem+json" }
  )

const encodeFaults = Schema.encodeEffect(FaultRules)

const ExpectedQuery = Schema.Struct({
  site: Schema.String,
  measurement: Schema.String,
  from: Schema.String,
  to: Schema.String
})

const LogQuery = Schema.Struct({
  from: Schema.optionalKey(Schema.FiniteFromString),
  to: Schema.optionalKey(Schema.FiniteFromString),
  origin: Schema.optionalKey(Schema.String)
})

const TimeChange = Schema.Struct({
  speed: Schema.optionalKey(Schema.Finite.check(Schema.isGreaterThanOrEqualTo(0))),
  advance_seconds: Schema.optionalKey(Schema.Finite.check(Schema.isGreaterThanOrEqualTo(0)))
})

const unreadable = (error: { readonly message: string }) => Effect.succeed(problem(400, error.message))

/** `sources` are what `/simulator/sources` shows. */
export const controlRoutes = (parts: SimulatorParts, sources: Effect.Effect<ReadonlyArray<object>>) => {
  const faults = Effect.sync(() => ({ rules: parts.faults.rules() })).pipe(
    Effect.flatMap(encodeFaults),
    Effect.orDie,
    Effect.map((rules) => HttpServerResponse.jsonUnsafe(rules))
  )
  const time = Effect.sync(() =>
    HttpServerResponse.jsonUnsafe({ now: offsetText(parts.clock.now()), speed: parts.clock.speed() })
  )
  const json = Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) => request.json)

  return Layer.mergeAll(
    HttpRouter.add(
      "GET",
      "/simulator/statistics",
      Effect.sync(() => HttpServerResponse.jsonUnsafe(parts.log.statistics()))
    ),
    HttpRouter.add(
      "GET",
      "/simulator/requests",
      HttpServerRequest.schemaSearchParams(LogQuery).pipe(
        Effect.map(({ from = -Infinity, origin, to = Infinity }) =>
          HttpServerResponse.jsonUnsafe({
            items: parts.log
              .between(from, to, origin)
              .map(({ at, faults, measurement, origin, outcome, request, site, url }) => ({
                at,
                origin,
                url,
                request,
                site: site ?? null,
                measurement: measurement ?? null,
                outcome,
                faults
              }))
          })
        ),
        Effect.catch(unreadable)
      )
    ),
    HttpRouter.add("GET", "/simulator/faults", faults),
    HttpRouter.add(
      "PUT",
      "/simulator/faults",
      json.pipe(
        Effect.flatMap(decodeFaults),
        Effect.tap(({ rules }) => Effect.sync(() => parts.faults.set(rules))),
        Effect.andThen(faults),
        Effect.catch(unreadable)
      )
    ),
    HttpRouter.add("GET", "/simulator/time", time),
    HttpRouter.add(
      "PUT",
      "/simulator/time",
      json.pipe(
        Effect.flatMap(Schema.decodeUnknownEffect(TimeChange, { onExcessProperty: "error" })),
        Effect.tap((change) =>
          Effect.sync(() => {
            if (change.speed !== undefined) parts.clock.setSpeed(change.speed)
            if (change.advance_seconds !== undefined) parts.clock.advance(change.advance_seconds * 1_000)
          })
        ),
        Effect.andThen(time),
        Effect.catch(unreadable)
      )
    ),
    HttpRouter.add(
      "GET",
      "/simulator/expected",
      HttpServerRequest.schemaSearchParams(ExpectedQuery).pipe(
        Effect.map(({ from, measurement, site, to }) => {
          const [start, end] = [parse(from), parse(to)]
          if (start === undefined || end === undefined) return problem(400, "from and to must be dates")
          const rows = expectedRows(parts.world, site, measurement, { from: start, to: end, now: parts.clock.now() })
          if (rows === undefined) return problem(404, "There is no such series")
          return HttpServerResponse.jsonUnsafe({
            items: rows.map(({ observedAt, quality, value }) => ({
              observed_at: observedAt,
              value,
              quality: quality ?? null
            }))
          })
        }),
        Effect.catch(unreadable)
      )
    ),
    HttpRouter.add(
      "GET",
      "/simulator/sources",
      Effect.map(sources, (items) => HttpServerResponse.jsonUnsafe({ items }))
    ),
    HttpRouter.add("POST", "/simulator/reset", Effect.as(parts.reset, HttpServerResponse.empty({ status: 204 })))
  )
}
