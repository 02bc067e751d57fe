/**
 * What becomes of a source's tasks when its configuration changes: which are no longer wanted, which are wanted again, and which
 * lists must be read again because something new is wanted.
 *
 * Pure. What the tasks were planned from is kept beside the source, so that a change takes effect once, whichever instance
 * notices it.
 */
import { Option, Schema } from "effect"
import type { UsableSource } from "./FetchPlan.ts"
import { whyUnwanted } from "./whyUnwanted.ts"

/** What tasks are planned from. */
export const Planned = Schema.Struct({
  councilId: Schema.Int,
  htsUrl: Schema.String,
  measurementNames: Schema.Array(Schema.String),
  excludedSitesNames: Schema.Array(Schema.String)
})
export type Planned = typeof Planned.Type

export interface PlanChange {
  readonly sourceId: number
  readonly planned: Planned
  /** What was kept before; where that is no longer so, somebody else was at it meanwhile. */
  readonly before: unknown
  /** Judges each task of the source. */
  readonly whyUnwanted: ReturnType<typeof whyUnwanted>
  /** Lists of measurements too, not only that of sites. */
  readonly measurementsLists: boolean
}

const decodePlanned = Schema.decodeUnknownOption(Planned)

const sorted = (names: ReadonlyArray<string>): ReadonlyArray<string> => [...new Set(names)].sort()
const equal = (a: ReadonlyArray<string>, b: ReadonlyArray<string>) => JSON.stringify(a) === JSON.stringify(b)

/** What is to be done about `source`, whose tasks were planned from `before`; nothing when that says the same. */
export const planChange = (source: UsableSource, before: unknown): PlanChange | undefined => {
  const { configuration, councilId, htsUrl } = source
  const planned: Planned = {
    councilId,
    htsUrl: htsUrl.trim(),
    measurementNames: sorted(configuration.measurementNames),
    excludedSitesNames: sorted(configuration.excludedSitesNames ?? [])
  }
  const former = Option.getOrUndefined(decodePlanned(before))
  const sameLists =
    former !== undefined &&
    former.councilId === planned.councilId &&
    former.htsUrl === planned.htsUrl &&
    equal(former.measurementNames, planned.measurementNames)
  if (sameLists && equal(former.excludedSitesNames, planned.excludedSitesNames)) return undefined
  return {
    sourceId: source.id,
    planned,
    before,
    whyUnwanted: whyUnwanted(source),
    measurementsLists: !sameLists
  }
}
