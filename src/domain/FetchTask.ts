/**
 * A request to a Hilltop server that is repeated for ever: what is asked, when next, and how the last runs went.
 *
 * `details` say what the address alone does not (which item of a data source is wanted); they are hints, since
 * operators may insert a task with nothing but its address.
 */
import { Schema } from "effect"

export const RequestType = Schema.Literals([
  "SITES_LIST",
  "MEASUREMENTS_LIST",
  "MEASUREMENT_DATA",
  "MEASUREMENT_DATA_LATEST"
]).annotate({ identifier: "RequestType", description: "What is asked of a Hilltop server." })
export type RequestType = typeof RequestType.Type

export const FetchResult = Schema.Literals([
  "SUCCESS",
  "UNCHANGED",
  "FETCH_ERROR",
  "HILLTOP_ERROR",
  "RESPONSE_TOO_LARGE",
  "PARSE_ERROR",
  "UNKNOWN_ERROR"
])
export type FetchResult = typeof FetchResult.Type

/** Every result but the good ones. */
export type Failure = Exclude<FetchResult, "SUCCESS" | "UNCHANGED">

export const TaskDetails = Schema.Struct({
  siteName: Schema.optional(Schema.String),
  /** Name of the DataSource that was chosen. */
  measurementName: Schema.optional(Schema.String),
  /** Name of its measurement that is asked for. */
  measurement: Schema.optional(Schema.String),
  /** Whether other measurements of that DataSource are wanted as well. */
  isOneOfSeveral: Schema.optional(Schema.Boolean),
  /** Which column of the DataSource holds the measurement, counted from 1. */
  item: Schema.optional(Schema.Int),
  units: Schema.optional(Schema.String)
})
export type TaskDetails = typeof TaskDetails.Type

/** One run of a task, as its history keeps it. */
export const TaskRun = Schema.Struct({
  at: Schema.String,
  result: FetchResult,
  hash: Schema.optional(Schema.NullOr(Schema.String)),
  bytes: Schema.optional(Schema.Int),
  millis: Schema.optional(Schema.Int),
  /** Rows that are newer than all that was known. */
  added: Schema.optional(Schema.Int),
  /** Whether anything that was known before has changed or gone. */
  revised: Schema.optional(Schema.Boolean),
  /** Time of the newest row, as Hilltop writes it (NZST). */
  newest: Schema.optional(Schema.String),
  /** Characters that could not be read: bytes that are none of the document's encoding. */
  spoilt: Schema.optional(Schema.Int),
  /** What was left out because nobody can tell what it is: names that cannot be asked for, rows without a readable time or value. */
  leftOut: Schema.optional(Schema.Int),
  /** Rows of a time well after now: kept, and no sign that the series is alive. */
  ahead: Schema.optional(Schema.Int),
  /** It has failed so for so long that it is asked about as seldom as an old month. */
  unavailable: Schema.optional(Schema.Boolean),
  /** Why it failed, readable; never what a caller sent or a key. */
  detail: Schema.optional(Schema.String)
})
export type TaskRun = typeof TaskRun.Type

/**
 * Why a task rests until somebody runs it or its reason ends.
 *
 * - `lost`: its lease ran out so often that it may be what kills its workers
 * - `excluded`: its site is excluded by the source's configuration
 * - `unwanted`: its measurement, or its address, is no longer one of the source's configuration
 * - `divided`: its answer is too large; tasks for parts of it run in its place
 * - `renamed`: its series only answers under its qualified name; a task that asks by that runs in its place
 */
export const SetAsideReason = Schema.Literals(["lost", "excluded", "unwanted", "divided", "renamed"]).annotate({
  identifier: "SetAsideReason",
  description:
    "Why a task rests: `lost` by its workers too often, its site `excluded`, `unwanted` now, `divided` into smaller ones, or `renamed`, since its series only answers under another name."
})
export type SetAsideReason = typeof SetAsideReason.Type

/** How many runs the history of a task keeps. */
export const historyLength = 50

/** A task to be queued, unless it is on the queue already; of Hilltop's kinds unless others are named (see `TaskQueue`). */
export interface NewTask<Kind extends string = RequestType, Details = TaskDetails> {
  readonly sourceId: number
  readonly requestType: Kind
  readonly fetchUrl: string
  readonly details: Details
  /** What it begins with, where the series beside it tell: see `RefreshPolicy`. */
  readonly refresh?: string | undefined
}

/** A task that this instance may run until the lease ends; `fence` tells its settlement from a later holder's. */
export interface ClaimedTask<Kind extends string = RequestType, Details = TaskDetails> extends NewTask<Kind, Details> {
  readonly id: number
  readonly fence: number
  /**
   * When it was claimed by the clock of the queue, in milliseconds: what is fetched is dated by that, since documents of several
   * instances are put in order by their times. None where the queue has no clock of its own.
   */
  readonly claimedAt?: number | undefined
  readonly previousHash: string | undefined
  /** What the document meant that came last, see `newsOf`. */
  readonly previousDigest: string | undefined
  /** What is known of when it changes, see `RefreshPolicy`; none before its first run. */
  readonly refresh: string | undefined
  /** Where nothing is known yet: how the last runs went, as its history has them. */
  readonly runs: ReadonlyArray<TaskRun>
  /** Whether it is asked after the news of another series. */
  readonly follows: boolean
  /** How many other series are asked after its own news. */
  readonly followers: number
  /** Failed runs since the last one that succeeded. */
  readonly attempts: number
  readonly councilId: number
  readonly htsUrl: string
  /** As the source row holds it now, not yet decoded. */
  readonly configuration: unknown
  /** The server that is asked, how often it had been slowed down when this was claimed, and what was known of it. */
  readonly server: {
    readonly origin: string
    readonly epoch: number
    readonly knowledge?: string | undefined
    /**
     * What this claim has left of its budget: how many milliseconds pass before it has a token again (0 if it has one), and how many
     * more may be in flight. None where the queue cannot tell.
     */
    readonly left?: { readonly tokenIn: number; readonly places: number } | undefined
  }
}

/**
 * How the server took the request, whatever its document said: it answered, it was too busy (429), or there was no usable
 * answer (no connection, deadline, 5xx). None where it was not asked.
 */
export interface ServerAnswer {
  readonly kind: "answered" | "busy" | "failed"
  /** How long the answer took, where that says something of the server. */
  readonly millis?: number
  /** For how many seconds it wants to be left alone. */
  readonly coolDown?: number
}
