/**
 * Answers operators who look at the crawl and change its sources. The only place of flow 2's administration that knows
 * HTTP statuses.
 */
import { Clock, Duration, Effect, Layer, Option, Semaphore } from "effect"
import { HttpApiBuilder, HttpApiSchema } from "effect/http-api"
import type { TrialBudget } from "../crawl/TrialBudget.ts"
import { trySource } from "../crawl/trySource.ts"
import { historyLength } from "../domain/FetchTask.ts"
import type { HilltopClient } from "../hilltop/HilltopClient.ts"
import type { XmlScanner } from "../hilltop/XmlScanner.ts"
import { storeUnavailable } from "./AccountingPointHandlers.ts"
import { Api } from "./Api.ts"
import { HilltopAdministration } from "./HilltopAdministration.ts"
import { mostRedriven } from "./HilltopApi.ts"
import { noteAction } from "./noteAction.ts"
import { defaultLimit, oneMore, pageOf, windowOf } from "./paging.ts"
import { refuse } from "./Problems.ts"
import { trialView } from "./SourceTrial.ts"
import { TaskSearch } from "./TaskSearch.ts"

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
          yield* noteAction("a source was added", { source: body.id, council: body.council_id })
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
          const replaced = (yield* administration.replaceSource(params.id, payload)) ?? (yield* sourceUnknown)
          yield* noteAction("a source was replaced", { source: params.id, paused: replaced.paused })
          return replaced
        },
        Effect.catchTags({ SourceExists: sourceExists, StoreUnavailable: storeUnavailable })
      ),

      pause: Effect.fnUntraced(
        function* ({ params }) {
          if (!(yield* administration.pauseSource(params.id))) return yield* sourceUnknown
          yield* noteAction("a source was paused", { source: params.id })
        },
        Effect.catchTag("StoreUnavailable", storeUnavailable)
      ),

      stop: Effect.fnUntraced(
        function* ({ params }) {
          if (!(yield* administration.pauseSource(params.id))) return yield* sourceUnknown
          yield* noteAction("a source was paused", { source: params.id })
          return (yield* administration.findSource(params.id)) ?? (yield* sourceUnknown)
        },
        Effect.catchTag("StoreUnavailable", storeUnavailable)
      ),

      resume: Effect.fnUntraced(
        function* ({ params }) {
          const resumed = (yield* administration.resumeSource(params.id)) ?? (yield* sourceUnknown)
          yield* noteAction("a source was resumed", { source: params.id })
          return resumed
        },
        Effect.catchTag("StoreUnavailable", storeUnavailable)
      )
    })
  })
)

/** One at a time, and then a pause: each asks somebody else's server several times. */
const betweenTrials = Duration.toMillis("2 seconds")

const trials = HttpApiBuilder.group(
  Api,
  "hilltopTrials",
  Effect.fnUntraced(function* (handlers) {
    const turn = yield* Semaphore.make(1)
    let lastAt = Number.NEGATIVE_INFINITY
    const needed = yield* Effect.context<HilltopClient | TrialBudget | XmlScanner>()
    return handlers.handle(
      "try",
      Effect.fnUntraced(
        function* ({ payload }) {
          const begun = Effect.gen(function* () {
            const now = yield* Clock.currentTimeMillis
            if (now - lastAt < betweenTrials) return undefined
            const trial = yield* Effect.provideContext(trySource(payload.hts_url, payload.configuration), needed)
            lastAt = yield* Clock.currentTimeMillis
            return trial
          })
          const trial = Option.getOrUndefined(yield* turn.withPermitsIfAvailable(1)(begun))
          if (trial === undefined) {
            return yield* refuse("too-many-tries", "one source is tried at a time, and one in 2 s", {
              "retry-after": 2
            })
          }
          const { problem, requests } = trial
          yield* noteAction("a source was tried", { requests, answers: problem === undefined })
          return trialView(trial)
        },
        Effect.catchTag("StoreUnavailable", storeUnavailable)
      )
    )
  })
)

const taskUnknown = refuse("task-unknown", "no task has this id")

const found = HttpApiBuilder.group(
  Api,
  "hilltopTaskSearch",
  Effect.fnUntraced(function* (handlers) {
    const search = yield* TaskSearch
    return handlers.handleAll({
      list: Effect.fnUntraced(
        function* ({ query }) {
          const { council, cursor, history, limit, name, source, status, type } = query
          const all = { council, cursor, name, source, status, type }
          return yield* search.find({ ...all, history: history ?? historyLength, limit: limit ?? defaultLimit })
        },
        Effect.catchTags({
          CursorUnknown: () =>
            refuse("malformed-request", "cursor: must be the next_cursor of a page with these filters"),
          StoreUnavailable: storeUnavailable
        })
      ),

      read: Effect.fnUntraced(
        function* ({ params }) {
          return (yield* search.read(params.id)) ?? (yield* taskUnknown)
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
    const search = yield* TaskSearch
    return handlers.handleAll({
      run: Effect.fnUntraced(
        function* ({ params }) {
          const run = (yield* administration.runTask(params.id)) ?? (yield* taskUnknown)
          yield* noteAction("a task was asked for now", { task: params.id })
          return run
        },
        Effect.catchTag("StoreUnavailable", storeUnavailable)
      ),

      redrive: Effect.fnUntraced(
        function* ({ params }) {
          const task = (yield* search.read(params.id)) ?? (yield* taskUnknown)
          if (task.set_aside_at === null) return yield* refuse("task-not-set-aside", "the task is not set aside")
          const run = (yield* administration.runTask(params.id)) ?? (yield* taskUnknown)
          yield* noteAction("a task was redriven", { task: params.id, reason: task.set_aside_reason ?? "none" })
          return run
        },
        Effect.catchTag("StoreUnavailable", storeUnavailable)
      ),

      redriveLost: Effect.fnUntraced(
        function* ({ payload }) {
          const redriven = yield* search.redriveLost(payload.source_id, mostRedriven)
          yield* noteAction("lost tasks were redriven", { tasks: redriven, source: payload.source_id ?? "all" })
          return { redriven, more: redriven === mostRedriven }
        },
        Effect.catchTag("StoreUnavailable", storeUnavailable)
      )
    })
  })
)

export const HilltopHandlers = Layer.mergeAll(sources, trials, found, tasks)
