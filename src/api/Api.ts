/**
 * The whole HTTP API as one value, from which come the routes, the OpenAPI document and the page at `/docs`.
 *
 * Unknown fields of a request are ignored, so the document says that further ones may come; all faults of a request are
 * told together.
 */
import { Schema } from "effect"
import { HttpApi, HttpApiEndpoint, HttpApiGroup, OpenApi } from "effect/http-api"
import { accountingPointGroups } from "./AccountingPointApi.ts"
import { hilltopGroups } from "./HilltopApi.ts"
import { KnownQuery } from "./KnownQuery.ts"
import { Validation } from "./Malformed.ts"
import { observationGroups } from "./ObservationApi.ts"
import { overviewGroups } from "./OverviewApi.ts"
import { problems } from "./Problems.ts"
import { topicGroups } from "./TopicApi.ts"

/** As in package.json; a test compares the two. */
export const version = "0.2.0"

const HealthStatus = <const Status extends string>(status: Status) => Schema.Struct({ status: Schema.Literal(status) })

const health = HttpApiGroup.make("health")
  .add(
    HttpApiEndpoint.get("live", "/health/live", { success: HealthStatus("live") }).annotateMerge(
      OpenApi.annotations({ summary: "The process is alive" })
    ),
    HttpApiEndpoint.get("ready", "/health/ready", {
      success: HealthStatus("ready"),
      error: problems[503]
    }).annotateMerge(
      OpenApi.annotations({
        summary: "The database answers, its migrations are applied, and the instance is not draining"
      })
    ),
    HttpApiEndpoint.get("progress", "/health/progress", {
      success: HealthStatus("progressing"),
      error: problems[503]
    }).annotateMerge(OpenApi.annotations({ summary: "The instance gets on with its work" }))
  )
  .middleware(KnownQuery)

/**
 * What an instance without the role `api` answers: only requests about its health. Of the same name, so one set of handlers
 * does.
 */
export class WatchApi extends HttpApi.make("penstock").add(health).middleware(Validation) {}

/** Takes `additionalProperties: false` out of every schema of the document. */
const allowFurtherFields = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(allowFurtherFields)
  if (typeof value !== "object" || value === null) return value
  return Object.fromEntries(
    Object.entries(value)
      .filter(([key, inner]) => key !== "additionalProperties" || inner !== false)
      .map(([key, inner]) => [key, allowFurtherFields(inner)])
  )
}

export class Api extends HttpApi.make("penstock")
  .add(...accountingPointGroups, ...hilltopGroups, ...observationGroups, ...overviewGroups, ...topicGroups, health)
  .middleware(Validation)
  .annotate(HttpApi.ParseOptions, { errors: "all" })
  .annotateMerge(
    OpenApi.annotations({
      title: "Penstock",
      version,
      description: "Local copies of data mastered elsewhere: electricity accounting points and Hilltop time series.",
      license: { name: "MIT", identifier: "MIT" },
      transform: (document) => allowFurtherFields(document) as Record<string, unknown>
    })
  ) {}
