/**
 * Sources and tasks of the crawl, as operators see and change them while it runs.
 *
 * A source that was inserted by other means may have a configuration that cannot be used: it is shown as it is, with the
 * problem beside it. Lists go by id, so that a page does not shift while tasks move in the queue.
 */
import { Context, type Effect, Schema } from "effect"
import { estimateOf } from "../crawl/RefreshPolicy.ts"
import { RequestType, SetAsideReason } from "../domain/FetchTask.ts"
import { SourceConfiguration } from "../domain/HilltopSource.ts"
import { Instant } from "../domain/Instant.ts"
import { HtsUrl } from "../hilltop/HilltopUrl.ts"
import type { StoreUnavailable } from "../domain/StoreUnavailable.ts"
import type { Window } from "./paging.ts"

/** Another source has the same council and address. */
export class SourceExists extends Schema.TaggedError<SourceExists>()("SourceExists", {}) {}

export const HilltopAddress = HtsUrl.check(
  Schema.isMaxLength(2_000, { message: "must not be longer than 2000 characters" })
).annotate({ identifier: "HilltopAddress" })

export const CouncilId = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 2_147_483_647 })).annotate({
  description: "The number of a council.",
  examples: [1]
})

/** Kept as it was entered, with fields that later versions may read. */
const Configuration = Schema.StructWithRest(SourceConfiguration, [Schema.Record(Schema.String, Schema.Json)]).annotate({
  identifier: "SourceConfiguration",
  description: "What is asked of the server, and how much. Further fields are kept."
})

/** A source as operators enter it. */
export const SourceRegistration = Schema.Struct({
  council_id: CouncilId,
  hts_url: HilltopAddress,
  configuration: Configuration,
  paused: Schema.optional(Schema.Boolean.annotate({ description: "Nothing is asked of it meanwhile." }))
}).annotate({ description: "A Hilltop server of a council, and what is wanted of it." })
export type SourceRegistration = typeof SourceRegistration.Type

export const SourceView = Schema.Struct({
  id: Schema.Int,
  council_id: Schema.Int,
  hts_url: Schema.String,
  configuration: Schema.Json,
  paused: Schema.Boolean,
  problem: Schema.NullOr(Schema.String).annotate({
    description:
      "Why the configuration cannot be used, and nothing is asked; or else what the lists and documents leave in doubt."
  }),
  created_at: Instant,
  updated_at: Instant
}).annotate({ identifier: "Source", description: "The source as it is now." })
export type SourceView = typeof SourceView.Type

/**
 * - `claimed`: a worker runs it at this moment
 * - `set_aside`: rests, see `set_aside_reason`, until that ends or somebody runs it
 * - `failing`: its last runs failed; it is tried again
 * - `due`: waits for a worker, `scheduled`: for its time, also where its server has had no data for it for long
 */
export const TaskStatus = Schema.Literals(["due", "scheduled", "claimed", "failing", "set_aside"]).annotate({
  identifier: "TaskStatus",
  description:
    "`due` waits for a worker, `scheduled` for its time; `claimed` runs at this moment; `failing`: its last runs failed, and it is tried again; `set_aside` rests, see `set_aside_reason`."
})
export type TaskStatus = typeof TaskStatus.Type

const told = (description: string) => Schema.Finite.annotate({ description })

/** What was learnt of when a series changes; what nothing is known of is left out. */
export const RefreshEstimate = Schema.Struct({
  period_seconds: Schema.optionalKey(told("Usual time between two deliveries")),
  arrives_after_seconds: Schema.optionalKey(
    Schema.Tuple([Schema.Finite, Schema.Finite]).annotate({
      description: "From the time of an observation to its arrival at the server, at least and at most, nearly always"
    })
  ),
  deliveries_per_day: Schema.optionalKey(told("Where they come at no fixed time")),
  rows_per_delivery: Schema.optionalKey(told("Observations that come together")),
  overdue_seconds: Schema.optionalKey(told("For how long a delivery has not come that was expected"))
}).annotate({
  identifier: "RefreshEstimate",
  description: "What was learnt of when a series changes; what nothing is known of is left out."
})

export const RefreshView = Schema.Struct({
  estimate: Schema.NullOr(RefreshEstimate).annotate({
    description: "Null where nothing can be told in numbers, as of lists"
  }),
  reason: Schema.NullOr(Schema.String).annotate({
    description: "Why it is asked next when it is, in words; times are those of Hilltop, NZST"
  })
}).annotate({ identifier: "Refresh" })
export type RefreshView = typeof RefreshView.Type

/** What is kept of a task, as it is shown; nothing before anything is known. */
export const refreshView = (kept: string | null, reason: string | null): RefreshView | null => {
  if (kept === null && reason === null) return null
  const found = kept === null ? undefined : estimateOf(kept)
  const { arrivesAfterSeconds, deliveriesPerDay, overdueSeconds, periodSeconds, rowsPerDelivery } = found ?? {}
  const estimate = {
    ...(periodSeconds === undefined ? {} : { period_seconds: periodSeconds }),
    ...(arrivesAfterSeconds === undefined ? {} : { arrives_after_seconds: arrivesAfterSeconds }),
    ...(deliveriesPerDay === undefined ? {} : { deliveries_per_day: deliveriesPerDay }),
    ...(rowsPerDelivery === undefined ? {} : { rows_per_delivery: rowsPerDelivery }),
    ...(overdueSeconds === undefined ? {} : { overdue_seconds: overdueSeconds })
  }
  return { estimate: found === undefined ? null : estimate, reason }
}

export const TaskView = Schema.Struct({
  id: Schema.Int,
  source_id: Schema.Int,
  request_type: RequestType,
  fetch_url: Schema.String,
  next_fetch_at: Instant,
  status: TaskStatus,
  attempts: Schema.Int.annotate({ description: "Failed runs since the last one that succeeded." }),
  unavailable_since: Schema.NullOr(Instant).annotate({
    description: "Since when its server has had no data for it, which is no failure: it is asked about once a month."
  }),
  set_aside_reason: Schema.NullOr(SetAsideReason),
  refresh: Schema.NullOr(RefreshView).annotate({
    description: "What was learnt of when it changes, and why it is due when it is; null before anything is known."
  }),
  history: Schema.Array(Schema.Json).annotate({
    description: "The last runs: `at`, `result`, and more. See `TaskRun`; an entry may have come from elsewhere."
  })
}).annotate({ identifier: "Task", description: "The task as it is now." })
export type TaskView = typeof TaskView.Type

export interface TaskFilter extends Window {
  readonly source: number | undefined
  readonly type: RequestType | undefined
  readonly status: TaskStatus | undefined
}

export class HilltopAdministration extends Context.Service<
  HilltopAdministration,
  {
    readonly listSources: (window: Window) => Effect.Effect<ReadonlyArray<SourceView>, StoreUnavailable>
    /** Nothing when there is no such source. */
    readonly findSource: (id: number) => Effect.Effect<SourceView | undefined, StoreUnavailable>
    readonly addSource: (registration: SourceRegistration) => Effect.Effect<SourceView, SourceExists | StoreUnavailable>
    /** Nothing when there is no such source. */
    readonly replaceSource: (
      id: number,
      registration: SourceRegistration
    ) => Effect.Effect<SourceView | undefined, SourceExists | StoreUnavailable>
    /** Stops asking the source, and keeps its tasks and data; `false` when there is no such source. */
    readonly pauseSource: (id: number) => Effect.Effect<boolean, StoreUnavailable>
    /**
     * Asks the source again, and changes nothing else of it: neither what somebody else changes at the same time nor a faulty
     * configuration is an obstacle. Nothing when there is no such source.
     */
    readonly resumeSource: (id: number) => Effect.Effect<SourceView | undefined, StoreUnavailable>
    readonly listTasks: (filter: TaskFilter) => Effect.Effect<ReadonlyArray<TaskView>, StoreUnavailable>
    /** Makes the task due now, also one that was set aside; nothing when there is no such task. */
    readonly runTask: (id: number) => Effect.Effect<TaskView | undefined, StoreUnavailable>
  }
>()("penstock/api/HilltopAdministration") {}
