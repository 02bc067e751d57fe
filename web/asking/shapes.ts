/** What the service answers, as far as the page shows it: the API's own shapes, as they are written in JSON. */

/** A number that says how exact it is. */
export interface Count {
  readonly value: number
  readonly is: "exact" | "at_least" | "estimate"
}

export interface Page<A> {
  readonly items: ReadonlyArray<A>
  readonly next_cursor: string | null
}

export interface Flow {
  readonly flow: "accounting_points" | "hilltop" | "streams"
  readonly colour: "green" | "amber" | "red"
  readonly sentence: string
  readonly causes: ReadonlyArray<string>
}

export interface AdapterState {
  readonly configured: boolean
  readonly rate_limit_per_second: number | null
  readonly calls_per_second: number | null
  readonly answered_per_second: number | null
  readonly failed_per_second: number | null
  readonly mean_millis: number | null
  readonly slowest_millis: number | null
  readonly told_seconds_ago: number | null
  readonly circuit: {
    readonly state: "closed" | "doubted" | "open" | "unknown"
    readonly since: string | null
    readonly next_call_at: string | null
    readonly reporters: number
  }
}

export interface PointFailure {
  readonly kind: string
  readonly points: Count
  readonly samples: ReadonlyArray<{
    readonly gsrn: string
    readonly failures: number
    readonly next_attempt_at: string | null
  }>
}

export interface Points {
  readonly configured: boolean
  readonly relevant: Count
  readonly fresh: Count
  readonly never_synced: Count
  readonly late: Count
  readonly within_seconds: number
  readonly ages: ReadonlyArray<{ readonly up_to_seconds: number | null; readonly points: Count }>
  readonly lanes: ReadonlyArray<{ readonly lane: string; readonly rows: Count; readonly oldest_seconds: number | null }>
  readonly failures: ReadonlyArray<PointFailure>
  readonly adapter: AdapterState
}

export interface Server {
  readonly origin: string
  readonly state: "well" | "slowed" | "resting" | "left_alone" | "probed" | "idle"
  readonly reason: string | null
  readonly asked_again_at: string | null
  readonly pace: number
  readonly requests_per_second: number
  readonly max_concurrent: number
  readonly in_flight: number
  readonly recent_millis: number | null
  readonly usual_millis: number | null
  readonly failures: number
  readonly tasks: Count
  readonly due: Count
  readonly late_seconds: number | null
  readonly set_aside: Count
  readonly failing: Count
  readonly source_ids: ReadonlyArray<number>
}

export interface SourceSummary {
  readonly id: number
  readonly council_id: number
  readonly origin: string
  readonly address: string
  readonly paused: boolean
  readonly problem: string | null
  readonly measurement_names: ReadonlyArray<string>
}

export interface Hilltop {
  readonly servers: ReadonlyArray<Server>
  readonly servers_total: number
  readonly sources: ReadonlyArray<SourceSummary>
  readonly sources_total: number
  readonly tasks: Count
  readonly due: Count
  readonly in_flight: number
  readonly failing: Count
  readonly set_aside: ReadonlyArray<{ readonly reason: string; readonly tasks: Count }>
}

export interface ReadingGroup {
  readonly group: string
  readonly topic: string
  readonly records_behind: number
  readonly oldest_unread_seconds: number | null
  readonly partitions: ReadonlyArray<{
    readonly partition: number
    readonly next: number
    readonly end: number
    readonly behind: number
  }>
}

export interface Streams {
  readonly kafka: boolean
  readonly groups: ReadonlyArray<ReadingGroup>
  readonly dead_letters: ReadonlyArray<{
    readonly topic: string
    readonly count: number
    readonly not_redriven: number
  }>
  readonly problem: string | null
}

export interface Overview {
  readonly at: string
  readonly version: string
  readonly instances: ReadonlyArray<{ readonly roles: ReadonlyArray<string>; readonly running_seconds: number }>
  readonly flows: ReadonlyArray<Flow>
  readonly accounting_points: Points
  readonly hilltop: Hilltop
  readonly streams: Streams
  readonly observations: { readonly sites: Count; readonly series: Count }
}

export interface Run {
  readonly at: string
  readonly result: string
  readonly detail?: string
}

/** What was learnt of when a series changes, and why it is asked next when it is. */
export interface Refresh {
  readonly estimate: {
    readonly period_seconds?: number
    readonly arrives_after_seconds?: readonly [least: number, most: number]
    readonly deliveries_per_day?: number
    readonly rows_per_delivery?: number
    readonly overdue_seconds?: number
  } | null
  readonly reason: string | null
}

export interface Task {
  readonly id: number
  readonly source_id: number
  readonly request_type: string
  readonly fetch_url: string
  readonly next_fetch_at: string
  readonly status: "due" | "scheduled" | "claimed" | "failing" | "set_aside"
  readonly attempts: number
  readonly unavailable_since: string | null
  readonly set_aside_reason: string | null
  readonly history: ReadonlyArray<Run>
  readonly site_name: string | null
  readonly measurement_name: string | null
  readonly refresh?: Refresh | null
}

export interface TaskDetail extends Task {
  readonly set_aside_at: string | null
  readonly created_at: string
  readonly source: {
    readonly id: number
    readonly council_id: number
    readonly address: string
    readonly paused: boolean
    readonly problem: string | null
  } | null
  readonly server: Server | null
  readonly due_in_seconds: number
}

export interface Trial {
  readonly answers: boolean
  readonly sentence: string
  readonly problem: string | null
  readonly measurements: ReadonlyArray<{
    readonly name: string
    readonly sites: number | null
    readonly problem: string | null
  }>
}

export interface Site {
  readonly id: number
  readonly council_id: number
  readonly name: string
  readonly wgs84: { readonly latitude: number; readonly longitude: number } | null
  readonly series_count: number
  readonly last_observed_at: string | null
}

export interface Series {
  readonly id: number
  readonly measurement_name: string
  readonly measurement: string | null
  readonly units: string | null
  readonly first_observed_at: string | null
  readonly last_observed_at: string | null
  readonly count: number
}

export interface SiteWithSeries extends Site {
  readonly series: ReadonlyArray<Series>
}

export interface Plot {
  readonly series: Series & { readonly site_name: string; readonly council_id: number }
  readonly from: string | null
  readonly to: string | null
  readonly as_of: string | null
  readonly thinned: boolean
  readonly bucket_seconds: number | null
  readonly values: number
  readonly usual_gap_seconds: number | null
  readonly t: ReadonlyArray<number>
  readonly min: ReadonlyArray<number | null>
  readonly max: ReadonlyArray<number | null>
  readonly n: ReadonlyArray<number>
  readonly censored: ReadonlyArray<number>
  readonly corrected: ReadonlyArray<number>
  readonly quality: ReadonlyArray<number | null>
  readonly known_from: string | null
  readonly known_to: string | null
}

export interface Observation {
  readonly observed_at: string
  readonly value: number
  readonly qualifier?: string
  readonly quality?: number
  readonly first_seen_at: string
}

export interface ObservationVersion extends Observation {
  readonly superseded_at: string | null
}

export interface DeadLetter {
  readonly topic: string
  readonly offset: number
  readonly set_aside_at: string
  readonly reason: string
  readonly source_partition: number | null
  readonly source_offset: number | null
  readonly key: string | null
  readonly value_bytes: number
  readonly redriven_at: string | null
  readonly redriven_by: string | null
}

export interface DeadLetterWithRecord extends DeadLetter {
  readonly value: string | null
  readonly value_cut: boolean
  readonly headers: Readonly<Record<string, string>>
}
