/**
 * The overview over HTTP, for the page at `/` and for whoever wants the same figures. Shapes and statuses only.
 */
import { Schema } from "effect"
import { HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import { Authorization, RequiredScope, scopes } from "./ApiKeys.ts"
import { InTime } from "./InTime.ts"
import { KnownQuery } from "./KnownQuery.ts"
import { Overview } from "./Overview.ts"
import { problems } from "./Problems.ts"

const events = Schema.String.annotate({
  description:
    "Server-sent events: `overview` with a snapshot (the JSON of `Overview`), `unavailable` in place of one that could not be read, `end`.",
  examples: ["event: end\ndata: {}\n\n"]
}).pipe(HttpApiSchema.asText({ contentType: "text/event-stream" }))

const overview = HttpApiGroup.make("overview")
  .annotateMerge(OpenApi.annotations({ title: "Overview", description: "How everything does, with its figures." }))
  .add(
    HttpApiEndpoint.get("read", "/overview", { success: Overview, error: problems[503] }).annotateMerge(
      OpenApi.annotations({
        identifier: "readOverview",
        summary: "How both flows and the streams do",
        description: "A number says whether it is exact, at least so much, or an estimate from a sample."
      })
    ),
    HttpApiEndpoint.get("follow", "/overview/events", { success: events, error: problems[503] }).annotateMerge(
      OpenApi.annotations({
        identifier: "followOverview",
        summary: "Follow how both flows and the streams do",
        description: [
          "A snapshot at once, and another every 5 s, until the instance drains or an hour is over; then an event `end`, and the stream",
          "ends. Who reads slowly gets the newest. However many follow, an instance reads its database once."
        ].join(" ")
      })
    )
  )
  .annotate(RequiredScope, ["read", "admin"])
  .middleware(KnownQuery)
  .middleware(InTime)
  .middleware(Authorization)

const keys = HttpApiGroup.make("apiKeys")
  .annotateMerge(OpenApi.annotations({ title: "Keys", description: "What a key is good for." }))
  .add(
    HttpApiEndpoint.get("read", "/api_key", {
      success: Schema.Struct({
        scopes: Schema.Array(
          Schema.Struct({
            scope: Schema.Literals(scopes),
            name: Schema.String.annotate({ description: "By which it is known in the log and the audit trail." })
          })
        )
      }).annotate({ identifier: "KeyScopes", description: "The scopes of the key." })
    }).annotateMerge(OpenApi.annotations({ identifier: "readKey", summary: "What the key that is shown is good for" }))
  )
  .annotate(RequiredScope, scopes)
  .middleware(KnownQuery)
  .middleware(InTime)
  .middleware(Authorization)

export const overviewGroups = [overview, keys] as const
