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
import { KeepsTime } from "./InTime.ts"
import { KnownQuery } from "./KnownQuery.ts"
import { Validation } from "./Malformed.ts"
import { observationGroups } from "./ObservationApi.ts"
import { completed } from "./OpenApiDocument.ts"
import { overviewGroups } from "./OverviewApi.ts"
import { problems } from "./Problems.ts"
import { topicGroups } from "./TopicApi.ts"

/** As in package.json; a test compares the two. */
export const version = "0.2.0"

const HealthStatus = <const Status extends string>(status: Status, identifier: string, description: string) =>
  Schema.Struct({ status: Schema.Literal(status) }).annotate({ identifier, description })

const health = HttpApiGroup.make("health")
  .annotateMerge(
    OpenApi.annotations({
      title: "Health",
      description: "Whether the instance lives, may be sent requests, and gets on. Without a key."
    })
  )
  .add(
    HttpApiEndpoint.get("live", "/health/live", {
      success: HealthStatus("live", "Live", "It is alive.")
    }).annotateMerge(
      OpenApi.annotations({
        identifier: "readLiveness",
        summary: "The process is alive",
        description: "Whether it has to be started anew; asks neither the database nor anybody else."
      })
    ),
    HttpApiEndpoint.get("ready", "/health/ready", {
      success: HealthStatus("ready", "Ready", "It may be sent requests."),
      error: problems[503]
    }).annotateMerge(
      OpenApi.annotations({
        identifier: "readReadiness",
        summary: "The instance may be sent requests",
        description: "The database answers, its migrations are applied, and the instance is not draining."
      })
    ),
    HttpApiEndpoint.get("progress", "/health/progress", {
      success: HealthStatus("progressing", "Progressing", "It gets on."),
      error: problems[503]
    }).annotateMerge(
      OpenApi.annotations({
        identifier: "readProgress",
        summary: "The instance gets on with its work",
        description: "The loops live, and what is due is no older than it may be; else the problem names what is stuck."
      })
    )
  )
  // Two seconds at most, in words that say what does not answer.
  .annotate(KeepsTime, true)
  .middleware(KnownQuery)

/**
 * What an instance without the role `api` answers: only requests about its health. Of the same name, so one set of handlers
 * does.
 */
export class WatchApi extends HttpApi.make("penstock").add(health).middleware(Validation) {}

const groups = [
  ...accountingPointGroups,
  ...hilltopGroups,
  ...observationGroups,
  ...overviewGroups,
  ...topicGroups,
  health
] as const

const description = `Local copies of data mastered elsewhere: electricity accounting points and Hilltop time series.

Every error is a problem by RFC 9457 (\`application/problem+json\`). Where an answer has a \`Retry-After\` header, the same request may
succeed after so many seconds. A list has \`items\` and \`next_cursor\`, which is given as \`cursor\` for the next page. Fields of a request that are not
described here are ignored; parameters of a query that are not are refused. No text may hold NUL or half of a surrogate pair. An answer may get further fields. Each answer has an
\`X-Request-Id\`: that of the request, or one made up.

Beside what is described here there are the page (\`/\`), this description (\`/docs\`, \`/openapi.json\`) and figures for Prometheus (\`/metrics\`).`

export class Api extends HttpApi.make("penstock")
  .add(...groups)
  .middleware(Validation)
  .annotate(HttpApi.ParseOptions, { errors: "all" })
  .annotateMerge(
    OpenApi.annotations({
      title: "Penstock",
      version,
      description,
      license: { name: "MIT", identifier: "MIT" },
      servers: [{ url: "/", description: "The service that this description comes from." }],
      transform: completed(groups)
    })
  ) {}
