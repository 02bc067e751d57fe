/**
 * Sources and tasks of the crawl over HTTP, for operators. Shapes and statuses only.
 */
import { Schema } from "effect"
import { HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import { RequestType } from "../domain/FetchTask.ts"
import { Authorization, RequiredScope } from "./ApiKeys.ts"
import { InTime } from "./InTime.ts"
import { SourceRegistration, SourceView, TaskStatus, TaskView } from "./HilltopAdministration.ts"
import { storable } from "./Malformed.ts"
import { PageOf, windowQuery } from "./paging.ts"
import { bodyProblems, problems } from "./Problems.ts"

const SourceId = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 2_147_483_647 }))
const TaskId = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER }))

const payload = SourceRegistration.check(storable)

const sources = HttpApiGroup.make("hilltopSources")
  .add(
    HttpApiEndpoint.get("list", "/hilltop/source", {
      query: windowQuery,
      success: PageOf(SourceView),
      error: problems[503]
    }).annotateMerge(OpenApi.annotations({ summary: "List sources" })),
    HttpApiEndpoint.post("add", "/hilltop/source", {
      payload,
      success: HttpApiSchema.WithHeaders(SourceView.pipe(HttpApiSchema.status(201)), { location: Schema.String }),
      error: [problems[409], ...bodyProblems, problems[503]]
    }).annotateMerge(
      OpenApi.annotations({ summary: "Add a source", description: "It is asked at once, unless paused." })
    ),
    HttpApiEndpoint.get("read", "/hilltop/source/:id", {
      params: { id: SourceId },
      success: SourceView,
      error: [problems[404], problems[503]]
    }).annotateMerge(OpenApi.annotations({ summary: "Read a source" })),
    HttpApiEndpoint.put("replace", "/hilltop/source/:id", {
      params: { id: SourceId },
      payload,
      success: SourceView,
      error: [problems[404], problems[409], ...bodyProblems, problems[503]]
    }).annotateMerge(OpenApi.annotations({ summary: "Replace a source" })),
    HttpApiEndpoint.delete("pause", "/hilltop/source/:id", {
      params: { id: SourceId },
      error: [problems[404], problems[503]]
    }).annotateMerge(OpenApi.annotations({ summary: "Pause a source; its data are kept" }))
  )
  .annotate(RequiredScope, "admin")
  .middleware(InTime)
  .middleware(Authorization)

const tasks = HttpApiGroup.make("hilltopTasks")
  .add(
    HttpApiEndpoint.get("list", "/hilltop/task", {
      query: {
        source: Schema.optionalKey(SourceId),
        type: Schema.optionalKey(RequestType),
        status: Schema.optionalKey(TaskStatus),
        ...windowQuery
      },
      success: PageOf(TaskView),
      error: problems[503]
    }).annotateMerge(OpenApi.annotations({ summary: "List tasks" })),
    HttpApiEndpoint.post("run", "/hilltop/task/:id/run", {
      params: { id: TaskId },
      success: TaskView,
      error: [problems[404], problems[503]]
    }).annotateMerge(OpenApi.annotations({ summary: "Run a task now, also one that was set aside" }))
  )
  .annotate(RequiredScope, "admin")
  .middleware(InTime)
  .middleware(Authorization)

export const hilltopGroups = [sources, tasks] as const
