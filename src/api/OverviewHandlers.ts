/**
 * Answers people who look at the service.
 */
import { Effect, Layer } from "effect"
import { HttpServerResponse } from "effect/http"
import { HttpApiBuilder } from "effect/http-api"
import { storeUnavailable } from "./AccountingPointHandlers.ts"
import { Api } from "./Api.ts"
import { CallerGrants } from "./ApiKeys.ts"
import { OverviewFeed } from "./OverviewFeed.ts"
import { refuse } from "./Problems.ts"

const overview = HttpApiBuilder.group(
  Api,
  "overview",
  Effect.fnUntraced(function* (handlers) {
    const feed = yield* OverviewFeed
    return handlers.handleAll({
      read: () => feed.current.pipe(Effect.catchTag("StoreUnavailable", storeUnavailable)),

      follow: () =>
        feed.events.pipe(
          Effect.map((events) =>
            HttpServerResponse.stream(events, {
              contentType: "text/event-stream",
              // A proxy that collects answers would hold back the snapshots.
              headers: { "cache-control": "no-store", "x-accel-buffering": "no" }
            })
          ),
          Effect.catchTag("TooManyStreams", () =>
            refuse("too-many-streams", "so many follow already that no other can", { "retry-after": 10 })
          )
        )
    })
  })
)

const keys = HttpApiBuilder.group(
  Api,
  "apiKeys",
  Effect.fnUntraced(function* (handlers) {
    return handlers.handleAll({
      read: Effect.fnUntraced(function* () {
        const grants = yield* CallerGrants
        return { scopes: [...grants].map(([scope, name]) => ({ scope, name })) }
      })
    })
  })
)

export const OverviewHandlers = Layer.mergeAll(overview, keys)
