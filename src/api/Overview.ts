/**
 * What a person sees first: how both flows and the streams do, with the figures behind it. Identifiers and counts only; no
 * person is in it.
 *
 * It is made for tables of any size, so a figure says whether it is exact, at least so much, or an estimate.
 */
import { Schema } from "effect"
import { SetAsideReason } from "../domain/FetchTask.ts"
import { Instant } from "../domain/Instant.ts"

/** `at_least`: counting stopped there; `estimate`: from a sample. */
export const Count = Schema.Struct({
  value: Schema.Finite,
  is: Schema.Literals(["exact", "at_least", "estimate"])
}).annotate({
  identifier: "Count",
  description: "`at_least`: counting stopped there; `estimate`: from a sample."
})
export type Count = typeof Count.Type

/** The sum; as good as the worst of its parts. */
export const sumOf = (counts: ReadonlyArray<Count>): Count => ({
  value: counts.reduce((sum, { value }) => sum + value, 0),
  is: counts.some(({ is }) => is === "estimate")
    ? "estimate"
    : counts.some(({ is }) => is === "at_least")
      ? "at_least"
      : "exact"
})

/** Why a flow is not green; the page has a line of advice for each. */
export const FlowCause = Schema.Literals([
  "loops",
  "late",
  "events_waiting",
  "abandoned",
  "failing",
  "adapter_not_configured",
  "adapter_useless",
  "adapter_left_alone",
  "requests_waiting",
  "servers_useless",
  "servers_left_alone",
  "source_problem",
  "set_aside_lost",
  "records_waiting",
  "dead_letters",
  "unavailable"
])
export type FlowCause = typeof FlowCause.Type

export const FlowView = Schema.Struct({
  flow: Schema.Literals(["accounting_points", "hilltop", "streams"]),
  colour: Schema.Literals(["green", "amber", "red"]).annotate({
    description: "By the bounds of `/health/progress`: red is past one of them, amber wants a look."
  }),
  sentence: Schema.String,
  causes: Schema.Array(FlowCause)
}).annotate({ identifier: "Flow" })
export type FlowView = typeof FlowView.Type

export const lanes = ["pending", "never_synced", "longest_unsynced", "failing", "running"] as const

export const AccountingPointsView = Schema.Struct({
  configured: Schema.Boolean,
  relevant: Count,
  /** Synced within `within_seconds`. */
  fresh: Count,
  never_synced: Count,
  late: Count,
  within_seconds: Schema.Finite,
  /** Since when they were synced; the last has no end. */
  ages: Schema.Array(Schema.Struct({ up_to_seconds: Schema.NullOr(Schema.Finite), points: Count })),
  lanes: Schema.Array(
    Schema.Struct({ lane: Schema.Literals(lanes), rows: Count, oldest_seconds: Schema.NullOr(Schema.Finite) })
  ),
  failures: Schema.Array(
    Schema.Struct({
      kind: Schema.String,
      points: Count,
      samples: Schema.Array(
        Schema.Struct({ gsrn: Schema.String, failures: Schema.Int, next_attempt_at: Schema.NullOr(Instant) })
      )
    })
  ),
  adapter: Schema.Struct({
    configured: Schema.Boolean,
    rate_limit_per_second: Schema.NullOr(Schema.Finite),
    calls_per_second: Schema.Finite,
    answered_per_second: Schema.Finite,
    failed_per_second: Schema.Finite,
    mean_millis: Schema.NullOr(Schema.Finite),
    slowest_millis: Schema.NullOr(Schema.Finite),
    told_seconds_ago: Schema.NullOr(Schema.Finite),
    circuit: Schema.Struct({
      state: Schema.Literals(["closed", "doubted", "open", "unknown"]),
      since: Schema.NullOr(Instant),
      next_call_at: Schema.NullOr(Instant),
      /** Instances that told of theirs; the worst is shown. */
      reporters: Schema.Int
    })
  })
}).annotate({ identifier: "AccountingPointsOverview" })
export type AccountingPointsView = typeof AccountingPointsView.Type

export const serverStates = ["left_alone", "probed", "resting", "slowed", "well", "idle"] as const

export const ServerView = Schema.Struct({
  origin: Schema.String,
  state: Schema.Literals(serverStates),
  reason: Schema.NullOr(Schema.String),
  asked_again_at: Schema.NullOr(Instant),
  pace: Schema.Finite,
  requests_per_second: Schema.Finite,
  max_concurrent: Schema.Finite,
  in_flight: Schema.Int,
  recent_millis: Schema.Finite,
  usual_millis: Schema.Finite,
  failures: Schema.Int,
  tasks: Count,
  due: Count,
  late_seconds: Schema.NullOr(Schema.Finite),
  set_aside: Count,
  failing: Count,
  source_ids: Schema.Array(Schema.Int)
}).annotate({ identifier: "Server", description: "How a Hilltop server is doing." })
export type ServerView = typeof ServerView.Type

export const HilltopView = Schema.Struct({
  servers: Schema.Array(ServerView),
  servers_total: Schema.Int,
  sources: Schema.Array(
    Schema.Struct({
      id: Schema.Int,
      council_id: Schema.Int,
      origin: Schema.String,
      address: Schema.String,
      paused: Schema.Boolean,
      problem: Schema.NullOr(Schema.String),
      measurement_names: Schema.Array(Schema.String)
    })
  ),
  sources_total: Schema.Int,
  tasks: Count,
  due: Count,
  in_flight: Schema.Int,
  failing: Count,
  set_aside: Schema.Array(Schema.Struct({ reason: Schema.NullOr(SetAsideReason), tasks: Count }))
}).annotate({ identifier: "HilltopOverview" })
export type HilltopView = typeof HilltopView.Type

export const GroupView = Schema.Struct({
  group: Schema.String,
  topic: Schema.String,
  records_behind: Schema.Int,
  /** False where so many wait at most. */
  is_exact: Schema.Boolean,
  oldest_unread_seconds: Schema.NullOr(Schema.Finite),
  partitions: Schema.Array(
    Schema.Struct({ partition: Schema.Int, next: Schema.Int, end: Schema.Int, behind: Schema.Int })
  )
}).annotate({ identifier: "ReaderGroup", description: "How far the readers of a topic are." })
export const StreamsView = Schema.Struct({
  kafka: Schema.Boolean,
  groups: Schema.Array(GroupView),
  dead_letters: Schema.Array(Schema.Struct({ topic: Schema.String, count: Schema.Int, not_redriven: Schema.Int })),
  problem: Schema.NullOr(Schema.String).annotate({
    description: "Why what is shown is not of now, or not there."
  })
}).annotate({ identifier: "Streams", description: "How far the streams are." })
export type StreamsView = typeof StreamsView.Type

export const Overview = Schema.Struct({
  at: Instant,
  version: Schema.String,
  instances: Schema.Array(Schema.Struct({ roles: Schema.Array(Schema.String), running_seconds: Schema.Finite })),
  flows: Schema.Array(FlowView),
  accounting_points: AccountingPointsView,
  hilltop: HilltopView,
  streams: StreamsView,
  observations: Schema.Struct({ sites: Count, series: Count })
}).annotate({ identifier: "Overview", description: "A snapshot." })
export type Overview = typeof Overview.Type
