/**
 * Sources and tasks of the crawl over HTTP, for operators. Shapes and statuses only.
 */
import { Schema } from "effect"
import { HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import { longestTrial } from "../crawl/trySource.ts"
import { historyLength, RequestType } from "../domain/FetchTask.ts"
import { Authorization, RequiredScope } from "./ApiKeys.ts"
import { KnownQuery } from "./KnownQuery.ts"
import { InTime, OthersMayTake } from "./InTime.ts"
import { CouncilId, SourceRegistration, SourceView, TaskStatus, TaskView } from "./HilltopAdministration.ts"
import { storable } from "./Malformed.ts"
import { BodyExamples } from "./OpenApiDocument.ts"
import { PageOf, partOfName, windowQuery } from "./paging.ts"
import { bodyProblems, problems } from "./Problems.ts"
import { TrialRequest, TrialView } from "./SourceTrial.ts"
import { FoundTask, WholeTask } from "./TaskSearch.ts"

const SourceId = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 2_147_483_647 })).annotate({
  description: "The number of a source.",
  examples: [1]
})
const TaskId = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER })).annotate({
  description: "The number of a task.",
  examples: [1]
})

/** Tasks that one request runs again. */
export const mostRedriven = 1_000

/** How many were, and whether there are more. */
export const Redriven = Schema.Struct({ redriven: Schema.Int, more: Schema.Boolean }).annotate({
  identifier: "Redriven",
  description: "How many were, and whether there are more."
})

const payload = SourceRegistration.check(storable).annotate({ identifier: "SourceRegistration" })

const example = {
  council_id: 99,
  hts_url: "https://hilltop.example.nz/data.hts",
  configuration: { measurementNames: ["Rainfall"], excludedSitesNames: ["Test site"], requestsPerSecond: 2 },
  paused: true
}

const sources = HttpApiGroup.make("hilltopSources")
  .annotateMerge(
    OpenApi.annotations({
      title: "Hilltop sources",
      description: "Which servers are asked for which measurements, for operators."
    })
  )
  .add(
    HttpApiEndpoint.get("list", "/hilltop/source", {
      query: windowQuery,
      success: PageOf(SourceView),
      error: problems[503]
    }).annotateMerge(OpenApi.annotations({ identifier: "listSources", summary: "List sources" })),
    HttpApiEndpoint.post("add", "/hilltop/source", {
      payload,
      success: HttpApiSchema.WithHeaders(SourceView.pipe(HttpApiSchema.status(201)), {
        location: Schema.String.annotate({ description: "Where it is read.", examples: ["/hilltop/source/1"] })
      }),
      error: [problems[409], ...bodyProblems, problems[503]]
    })
      .annotateMerge(
        OpenApi.annotations({
          identifier: "addSource",
          summary: "Add a source",
          description: "It is asked at once, unless paused."
        })
      )
      .annotate(BodyExamples, { "application/json": { "A source": example } }),
    HttpApiEndpoint.get("read", "/hilltop/source/:id", {
      params: { id: SourceId },
      success: SourceView,
      error: [problems[404], problems[503]]
    }).annotateMerge(OpenApi.annotations({ identifier: "readSource", summary: "Read a source" })),
    HttpApiEndpoint.put("replace", "/hilltop/source/:id", {
      params: { id: SourceId },
      payload,
      success: SourceView,
      error: [problems[404], problems[409], ...bodyProblems, problems[503]]
    })
      .annotateMerge(OpenApi.annotations({ identifier: "replaceSource", summary: "Replace a source" }))
      .annotate(BodyExamples, {
        "application/json": { "Another address": { ...example, hts_url: "https://hilltop.example.nz/rivers.hts" } }
      }),
    HttpApiEndpoint.delete("pause", "/hilltop/source/:id", {
      params: { id: SourceId },
      success: HttpApiSchema.NoContent.annotate({ description: "It is paused." }),
      error: [problems[404], problems[503]]
    }).annotateMerge(OpenApi.annotations({ identifier: "deleteSource", summary: "Pause a source; its data are kept" })),
    HttpApiEndpoint.post("stop", "/hilltop/source/:id/pause", {
      params: { id: SourceId },
      success: SourceView,
      error: [problems[404], problems[503]]
    }).annotateMerge(OpenApi.annotations({ identifier: "pauseSource", summary: "Pause a source, and read it" })),
    HttpApiEndpoint.post("resume", "/hilltop/source/:id/resume", {
      params: { id: SourceId },
      success: SourceView,
      error: [problems[404], problems[503]]
    }).annotateMerge(
      OpenApi.annotations({
        identifier: "resumeSource",
        summary: "Ask a source again",
        description: "Nothing else of it changes."
      })
    )
  )
  .annotate(RequiredScope, ["admin"])
  .middleware(KnownQuery)
  .middleware(InTime)
  .middleware(Authorization)

const trials = HttpApiGroup.make("hilltopTrials")
  .annotateMerge(
    OpenApi.annotations({
      title: "Hilltop sources",
      description: "Which servers are asked for which measurements, for operators."
    })
  )
  .add(
    HttpApiEndpoint.post("try", "/hilltop/source/try", {
      payload: TrialRequest.check(storable).annotate({ identifier: "TrialRequest" }),
      success: TrialView,
      error: [...bodyProblems, problems[429], problems[503]]
    })
      .annotateMerge(
        OpenApi.annotations({
          identifier: "trySource",
          summary: "Ask a server what a source would find there, before it is saved",
          description:
            "At most 4 requests to the server, and its redirects, within its budget and 20 s. One at a time, and one in 2 s. Nothing is kept."
        })
      )
      .annotate(BodyExamples, {
        "application/json": { "A source": { hts_url: example.hts_url, configuration: example.configuration } }
      })
  )
  .annotate(RequiredScope, ["admin"])
  .annotate(OthersMayTake, longestTrial)
  .middleware(KnownQuery)
  .middleware(InTime)
  .middleware(Authorization)

const found = HttpApiGroup.make("hilltopTaskSearch")
  .annotateMerge(
    OpenApi.annotations({
      title: "Hilltop tasks",
      description: "Requests to servers that are repeated for ever, for operators."
    })
  )
  .add(
    HttpApiEndpoint.get("list", "/hilltop/task", {
      query: {
        source: Schema.optionalKey(SourceId),
        type: Schema.optionalKey(RequestType),
        status: Schema.optionalKey(TaskStatus),
        council: Schema.optionalKey(CouncilId),
        name: partOfName,
        history: Schema.optionalKey(
          Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: historyLength })).annotate({
            description: `So many of the last runs of each; ${historyLength} unless said.`,
            examples: [3]
          })
        ),
        limit: windowQuery.limit,
        cursor: Schema.optionalKey(
          Schema.String.annotate({
            description: "Where to go on: `next_cursor` of the page before, which had the same filters."
          }).check(Schema.isMaxLength(4_000, { message: "must be a next_cursor" }))
        )
      },
      success: PageOf(FoundTask),
      error: problems[503]
    }).annotateMerge(
      OpenApi.annotations({
        identifier: "listTasks",
        summary: "Search tasks",
        description: [
          "`name` is found anywhere in the name of the site or the measurement, whatever the case. Those that are `due` come as they",
          "wait, longest first; those that are `failing` or `set_aside` by source and number; others of a `source`, `council`, `type` or",
          "`name` by source, site and measurement, and all others by number. A page may be shorter than `limit`, even empty, while `next_cursor` is not null. `history`: so many of the last runs",
          `of each, ${historyLength} unless said.`
        ].join(" ")
      })
    ),
    HttpApiEndpoint.get("read", "/hilltop/task/:id", {
      params: { id: TaskId },
      success: WholeTask,
      error: [problems[404], problems[503]]
    }).annotateMerge(
      OpenApi.annotations({
        identifier: "readTask",
        summary: "Read a task with its last 50 runs, its source and its server"
      })
    )
  )
  .annotate(RequiredScope, ["read", "admin"])
  .middleware(KnownQuery)
  .middleware(InTime)
  .middleware(Authorization)

const tasks = HttpApiGroup.make("hilltopTasks")
  .annotateMerge(
    OpenApi.annotations({
      title: "Hilltop tasks",
      description: "Requests to servers that are repeated for ever, for operators."
    })
  )
  .add(
    HttpApiEndpoint.post("run", "/hilltop/task/:id/run", {
      params: { id: TaskId },
      success: TaskView,
      error: [problems[404], problems[503]]
    }).annotateMerge(
      OpenApi.annotations({ identifier: "runTask", summary: "Run a task now, also one that was set aside" })
    ),
    HttpApiEndpoint.post("redrive", "/hilltop/task/:id/redrive", {
      params: { id: TaskId },
      success: TaskView,
      error: [problems[404], problems[409], problems[503]]
    }).annotateMerge(
      OpenApi.annotations({ identifier: "redriveTask", summary: "Run a task again that was set aside" })
    ),
    HttpApiEndpoint.post("redriveLost", "/hilltop/task/redrive", {
      payload: Schema.Struct({ reason: Schema.Literal("lost"), source_id: Schema.optionalKey(SourceId) }).annotate({
        identifier: "LostTasks",
        description: "Those of one source, or of all."
      }),
      success: Redriven,
      error: [...bodyProblems, problems[503]]
    })
      .annotateMerge(
        OpenApi.annotations({
          identifier: "redriveLostTasks",
          summary: "Run again what its workers lost too often",
          description: `Up to ${mostRedriven} in one request. What rests for another reason rests for as long as that holds.`
        })
      )
      .annotate(BodyExamples, { "application/json": { "Of one source": { reason: "lost", source_id: 1 } } })
  )
  .annotate(RequiredScope, ["admin"])
  .middleware(KnownQuery)
  .middleware(InTime)
  .middleware(Authorization)

export const hilltopGroups = [sources, trials, found, tasks] as const
