/**
 * Every route of the service as one layer, for a server on a socket (`HttpRouter.serve`) and as a fetch handler
 * (`HttpRouter.toWebHandler`) alike.
 *
 * Pages beside the API go through `withBoundary` too, and into its table. Otherwise they would be served without ids, limits and
 * problems.
 */
import { Layer } from "effect"
import { HttpApiBuilder, HttpApiSwagger } from "effect/http-api"
import { AccountingPointHandlers } from "./AccountingPointHandlers.ts"
import { Api, WatchApi } from "./Api.ts"
import { Authorization } from "./ApiKeys.ts"
import { Boundary } from "./Boundary.ts"
import { HealthHandlers } from "./HealthHandlers.ts"
import { InTime } from "./InTime.ts"
import { MetricsRoute } from "./MetricsRoute.ts"
import { HilltopHandlers } from "./HilltopHandlers.ts"
import { KnownQuery } from "./KnownQuery.ts"
import { Validation } from "./Malformed.ts"
import { ObservationHandlers } from "./ObservationHandlers.ts"
import { OverviewHandlers } from "./OverviewHandlers.ts"
import { pagePaths, PageRoutes } from "./PageRoutes.ts"
import { RouteTable } from "./RouteTable.ts"
import { TopicHandlers } from "./TopicHandlers.ts"

const api = HttpApiBuilder.layer(Api, { openapiPath: "/openapi.json" }).pipe(
  Layer.provide([
    AccountingPointHandlers,
    HilltopHandlers,
    ObservationHandlers,
    OverviewHandlers,
    TopicHandlers,
    HealthHandlers
  ]),
  Layer.provide([Authorization.layer, InTime.layer, KnownQuery.layer, Validation.layer])
)

/** Lets requests to these routes pass the boundary; the table has the methods of each. */
const withBoundary = <E, R>(table: Layer.Layer<RouteTable>, routes: Layer.Layer<never, E, R>) =>
  Layer.merge(routes.pipe(Layer.provide(RouteTable.layerNotes)), Boundary).pipe(Layer.provide(table))

/** The page at `/docs` carries its script with it; nothing is loaded from elsewhere. */
export const Routes = withBoundary(
  RouteTable.layer(Api, [...pagePaths, "/docs", "/metrics", "/openapi.json"]),
  Layer.mergeAll(api, PageRoutes, HttpApiSwagger.layer(Api, { path: "/docs" }), MetricsRoute)
)

/** The routes of an instance that does not serve the API: its health and its metrics. */
export const WatchRoutes = withBoundary(
  RouteTable.layer(WatchApi, ["/metrics"]),
  Layer.mergeAll(
    HttpApiBuilder.layer(WatchApi).pipe(
      Layer.provide(HealthHandlers),
      Layer.provide([KnownQuery.layer, Validation.layer])
    ),
    MetricsRoute
  )
)
