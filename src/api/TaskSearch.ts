/**
 * Looking for tasks among millions: by what they are, how they do, and parts of the names of their sites and measurements.
 *
 * Each answer looks at a bounded number of tasks, so a page may be shorter than was asked for although more follows. Pages do not
 * shift while tasks move in the queue, except those of due tasks, which come in the order in which they wait.
 */
import { Context, type Effect, Schema } from "effect"
import type { RequestType } from "../domain/FetchTask.ts"
import { Instant } from "../domain/Instant.ts"
import type { StoreUnavailable } from "../domain/StoreUnavailable.ts"
import { type TaskStatus, TaskView } from "./HilltopAdministration.ts"
import { serverStates } from "./Overview.ts"

const named = {
  site_name: Schema.NullOr(Schema.String).annotate({
    description: "Null where the task is of no site, or was queued by hand."
  }),
  measurement_name: Schema.NullOr(Schema.String)
}

export const FoundTask = Schema.Struct({ ...TaskView.fields, ...named }).annotate({ identifier: "FoundTask" })
export type FoundTask = typeof FoundTask.Type

/** How its server is doing. */
export const TaskServer = Schema.Struct({
  origin: Schema.String,
  state: Schema.Literals(serverStates),
  reason: Schema.NullOr(Schema.String),
  pace: Schema.Finite,
  in_flight: Schema.Int,
  recent_millis: Schema.Finite,
  usual_millis: Schema.Finite,
  failures: Schema.Int,
  asked_again_at: Schema.NullOr(Instant).annotate({ description: "Until then it is asked nothing." })
}).annotate({ identifier: "TaskServer", description: "How the server of a task is doing." })

export const WholeTask = Schema.Struct({
  ...FoundTask.fields,
  set_aside_at: Schema.NullOr(Instant),
  created_at: Instant,
  due_in_seconds: Schema.Finite.annotate({ description: "Negative: so long ago." }),
  source: Schema.Struct({
    id: Schema.Int,
    council_id: Schema.Int,
    address: Schema.String.annotate({ description: "Without query and secrets." }),
    paused: Schema.Boolean,
    problem: Schema.NullOr(Schema.String)
  }),
  server: Schema.NullOr(TaskServer)
}).annotate({ identifier: "WholeTask", description: "The task with its runs, its source and its server." })
export type WholeTask = typeof WholeTask.Type

export interface TaskQuery {
  readonly source: number | undefined
  readonly type: RequestType | undefined
  readonly status: TaskStatus | undefined
  readonly council: number | undefined
  /** Found anywhere in a name, whatever the case. */
  readonly name: string | undefined
  readonly limit: number
  /** Where to go on, as the page before told. */
  readonly cursor: string | undefined
  /** Runs that are shown of each, the last ones. */
  readonly history: number
}

export interface TaskPage {
  readonly items: ReadonlyArray<FoundTask>
  readonly next_cursor: string | null
}

/** The cursor is none that a page of these filters ended with. */
export class CursorUnknown extends Schema.TaggedError<CursorUnknown>()("CursorUnknown", {}) {}

export class TaskSearch extends Context.Service<
  TaskSearch,
  {
    readonly find: (query: TaskQuery) => Effect.Effect<TaskPage, CursorUnknown | StoreUnavailable>
    /** Nothing when there is no such task. */
    readonly read: (id: number) => Effect.Effect<WholeTask | undefined, StoreUnavailable>
    /** Lets so many of those that were `lost` run again, of the source or of all. */
    readonly redriveLost: (source: number | undefined, most: number) => Effect.Effect<number, StoreUnavailable>
  }
>()("penstock/api/TaskSearch") {}
