/**
 * Every route of the service as one layer, for a server on a socket (`HttpRouter.serve`) and as a fetch handler
 * (`HttpRouter.toWebHandler`) alike.
 *
 * Routes that are added beside the API (a page, say) go through `withBoundary` too, or they are served without ids,
 * limits and problems.
 */
import { Layer } from "effect"
import { HttpRouter, HttpServerResponse } from "effect/http"
import { HttpApiBuilder, HttpApiSwagger } from "effect/http-api"
import { PrometheusMetrics } from "effect/observability"
import { AccountingPointHandlers } from "./AccountingPointHandlers.ts"
import { Api, version, WatchApi } from "./Api.ts"
import { Authorization } from "./ApiKeys.ts"
import { Boundary } from "./Boundary.ts"
import { HealthHandlers } from "./HealthHandlers.ts"
import { HilltopHandlers } from "./HilltopHandlers.ts"
import { Validation } from "./Malformed.ts"
import { ObservationHandlers } from "./ObservationHandlers.ts"
import { RouteTable } from "./RouteTable.ts"

const api = HttpApiBuilder.layer(Api, { openapiPath: "/openapi.json" }).pipe(
  Layer.provide([AccountingPointHandlers, HilltopHandlers, ObservationHandlers, HealthHandlers]),
  Layer.provide([Authorization.layer, Validation.layer])
)

/** Where everything is, for people who open the address of the service. */
const entrance = HttpRouter.add(
  "GET",
  "/",
  HttpServerResponse.jsonUnsafe({
    name: "penstock",
    version,
    docs: "/docs",
    openapi: "/openapi.json",
    health: { live: "/health/live", ready: "/health/ready", progress: "/health/progress" },
    metrics: "/metrics"
  })
)

/** Lets requests to these routes pass the boundary; the table of routes knows them all. */
const withBoundary = <E, R>(routes: Layer.Layer<never, E, R>) =>
  Layer.merge(routes.pipe(Layer.provide(RouteTable.layerNotes), Layer.provide(RouteTable.layerRouter)), Boundary).pipe(
    Layer.provide(RouteTable.layer)
  )

/** The page at `/docs` carries its script with it; nothing is loaded from elsewhere. */
export const Routes = withBoundary(
  Layer.mergeAll(api, entrance, HttpApiSwagger.layer(Api, { path: "/docs" }), PrometheusMetrics.layerHttp())
)

/** The routes of an instance that does not serve the API: its health and its metrics. */
export const WatchRoutes = withBoundary(
  Layer.mergeAll(
    HttpApiBuilder.layer(WatchApi).pipe(Layer.provide(HealthHandlers), Layer.provide(Validation.layer)),
    PrometheusMetrics.layerHttp()
  )
)
