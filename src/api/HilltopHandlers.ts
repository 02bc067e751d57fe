/**
 * Answers operators who look at the crawl and change its sources. The only place of flow 2's administration that knows
 * HTTP statuses.
 */
import { Effect, Layer } from "effect"
import { HttpApiBuilder, HttpApiSchema } from "effect/http-api"
import { storeUnavailable } from "./AccountingPointHandlers.ts"
import { Api } from "./Api.ts"
import { HilltopAdministration } from "./HilltopAdministration.ts"
import { oneMore, pageOf, windowOf } from "./paging.ts"
import { refuse } from "./Problems.ts"

const sourceUnknown = refuse("source-unknown", "no source has this id")
const sourceExists = () => refuse("source-exists", "this council has a source with this address already")

const sources = HttpApiBuilder.group(
  Api,
  "hilltopSources",
  Effect.fnUntraced(function* (handlers) {
    const administration = yield* HilltopAdministration
    return handlers.handleAll({
      list: Effect.fnUntraced(
        function* ({ query }) {
          const window = windowOf(query)
          return pageOf(yield* administration.listSources(oneMore(window)), window.limit)
        },
        Effect.catchTag("StoreUnavailable", storeUnavailable)
      ),

      add: Effect.fnUntraced(
        function* ({ payload }) {
          const body = yield* administration.addSource(payload)
          return HttpApiSchema.withHeaders({ body, headers: { location: `/hilltop/source/${body.id}` } })
        },
        Effect.catchTags({ SourceExists: sourceExists, StoreUnavailable: storeUnavailable })
      ),

      read: Effect.fnUntraced(
        function* ({ params }) {
          return (yield* administration.findSource(params.id)) ?? (yield* sourceUnknown)
        },
        Effect.catchTag("StoreUnavailable", storeUnavailable)
      ),

      replace: Effect.fnUntraced(
        function* ({ params, payload }) {
          return (yield* administration.replaceSource(params.id, payload)) ?? (yield* sourceUnknown)
        },
        Effect.catchTags({ SourceExists: sourceExists, StoreUnavailable: storeUnavailable })
      ),

      pause: Effect.fnUntraced(
        function* ({ params }) {
          if (!(yield* administration.pauseSource(params.id))) return yield* sourceUnknown
        },
        Effect.catchTag("StoreUnavailable", storeUnavailable)
      )
    })
  })
)

const tasks = HttpApiBuilder.group(
  Api,
  "hilltopTasks",
  Effect.fnUntraced(function* (handlers) {
    const administration = yield* HilltopAdministration
    return handlers.handleAll({
      list: Effect.fnUntraced(
        function* ({ query }) {
          const window = windowOf(query)
          const { source, status, type } = query
          return pageOf(yield* administration.listTasks(oneMore({ ...window, source, status, type })), window.limit)
        },
        Effect.catchTag("StoreUnavailable", storeUnavailable)
      ),

      run: Effect.fnUntraced(
        function* ({ params }) {
          return (yield* administration.runTask(params.id)) ?? (yield* refuse("task-unknown", "no task has this id"))
        },
        Effect.catchTag("StoreUnavailable", storeUnavailable)
      )
    })
  })
)

export const HilltopHandlers = Layer.mergeAll(sources, tasks)
