/**
 * What the service answers, as far as the page shows it: the types of the API's own schemas, as they are written in JSON. Types are all
 * that comes here of them; browsers get none of the service's code.
 */
import type { RefreshView } from "../../src/api/HilltopAdministration.ts"
import type { ObservationView, VersionView } from "../../src/api/ObservationApi.ts"
import type { SeriesView } from "../../src/api/ObservationArchive.ts"
import type { ListedSite, PlacedSite, PlotView } from "../../src/api/ObservationViews.ts"
import type * as Api from "../../src/api/Overview.ts"
import type { TrialView } from "../../src/api/SourceTrial.ts"
import type { FoundTask, WholeTask } from "../../src/api/TaskSearch.ts"
import type { LetterView, WholeLetter } from "../../src/api/TopicApi.ts"

interface Written {
  readonly Encoded: unknown
}
type Json<S extends Written> = S["Encoded"]

export interface Page<A> {
  readonly items: ReadonlyArray<A>
  readonly next_cursor: string | null
}

/** A number that says how exact it is. */
export type Count = Json<typeof Api.Count>
export type Overview = Json<typeof Api.Overview>
export type Flow = Overview["flows"][number]
export type FlowCause = Flow["causes"][number]
export type Points = Overview["accounting_points"]
export type PointFailure = Points["failures"][number]
export type AdapterState = Points["adapter"]
export type Hilltop = Overview["hilltop"]
export type Server = Hilltop["servers"][number]
export type SourceSummary = Hilltop["sources"][number]
export type Streams = Overview["streams"]
export type ReadingGroup = Streams["groups"][number]

/** Written by whatever version ran the task, so little is promised of it. */
export interface Run {
  readonly at: string
  readonly result: string
  readonly detail?: string
}
type WithRuns<T> = Omit<T, "history"> & { readonly history: ReadonlyArray<Run> }
export type Task = WithRuns<Json<typeof FoundTask>>
export type TaskDetail = WithRuns<Json<typeof WholeTask>>
/** What was learnt of when a series changes, and why it is asked next when it is. */
export type Refresh = Json<typeof RefreshView>
export type Trial = Json<typeof TrialView>

export type Site = Json<typeof ListedSite>
export type SiteWithSeries = Json<typeof PlacedSite>
export type Series = Json<typeof SeriesView>
export type Plot = Json<typeof PlotView>
export type Observation = Json<typeof ObservationView>
export type ObservationVersion = Json<typeof VersionView>

export type DeadLetter = Json<typeof LetterView>
export type DeadLetterWithRecord = Json<typeof WholeLetter>
