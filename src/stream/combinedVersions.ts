/**
 * What several sources say of one moment of a series, as one history: at any time that value counts which was said last, among
 * those not taken back.
 *
 * A source that repeats itself says nothing new, so sources that differ do not take turns; and since their histories alone decide,
 * it makes no difference in which order the documents of several sources are stored.
 */
import type { Instant } from "../domain/Instant.ts"
import { type Row, sameValue } from "./SeriesDocument.ts"

/** A value with the time in which it was the one known. */
export interface Version extends Row {
  readonly firstSeenAt: Instant
  readonly supersededAt: Instant | undefined
}

export interface SaidBy {
  readonly source: string
  readonly versions: ReadonlyArray<Version>
}

export const combinedVersions = (strands: ReadonlyArray<SaidBy>): ReadonlyArray<Version> => {
  const [only, ...others] = strands
  if (only !== undefined && others.length === 0) return only.versions
  const said = strands
    .flatMap(({ source, versions }) => versions.map((version) => ({ source, version })))
    .filter(({ version }) => version.firstSeenAt !== version.supersededAt)
    .sort((a, b) => b.version.firstSeenAt - a.version.firstSeenAt || (a.source < b.source ? 1 : -1))
  const times = new Set(said.flatMap(({ version }) => [version.firstSeenAt, version.supersededAt ?? Infinity]))
  const ends = [...times].sort((a, b) => a - b)
  const history: Array<Version> = []
  for (const [index, from] of ends.entries()) {
    const until = ends[index + 1] === Infinity ? undefined : ends[index + 1]
    const counts = said.find(
      ({ version }) => version.firstSeenAt <= from && from < (version.supersededAt ?? Infinity)
    )?.version
    const last = history.at(-1)
    if (counts === undefined) continue
    if (last !== undefined && last.supersededAt === from && sameValue(last, counts)) {
      history[history.length - 1] = { ...last, supersededAt: until }
    } else history.push({ ...counts, firstSeenAt: from, supersededAt: until })
  }
  return history
}
