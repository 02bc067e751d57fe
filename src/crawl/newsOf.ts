/**
 * Whether a document brings anything that its predecessor did not say, by meaning and not by bytes.
 *
 * - A list of sites: names, coordinates, projection, in any order; and which of them are excluded, since the others are
 *   published with it.
 * - A list of measurements: all that it says of its data sources, in any order; a later `To` is news.
 * - Data: every cell of every row, gaps, and what is said of the series (site, items, units); of the latest data only from the
 *   first row on, see `SeriesDigest`.
 *
 * White space, comments, references, order of attributes, `Agency`, `Version` and `CRC` are no news in any of them; within a row
 * every other character counts, so that a number that is written otherwise is published again, once. For whom a document is published
 * (council, address, item, units) is part of its meaning: where that was corrected, it is published again.
 *
 * What contradicts the document before it in a way that trouble explains as well as news does, is a doubt, see `Doubt`.
 */
import type { ClaimedTask } from "../domain/FetchTask.ts"
import { archivePeriod, askedWindow, isOver } from "../hilltop/AskedRange.ts"
import { hilltopBaseUrl } from "../hilltop/HilltopUrl.ts"
import type { SeriesRows } from "../hilltop/SeriesRows.ts"
import { digestOfText } from "../hilltop/TextDigest.ts"
import { digestIn, type Doubt, notesIn, patienceWith, patienceWithBytes } from "./Doubt.ts"
import type { UsableSource } from "./FetchPlan.ts"
import {
  formatListDigest,
  lacksMost,
  listDigest,
  type ListDigest,
  type ListSaid,
  parseListDigest
} from "./ListDigest.ts"
import { newestUntil } from "../stream/newestUntil.ts"
import { lookOfRows } from "./lookOf.ts"
import { oldestChange } from "./oldestChange.ts"
import { type Decision, type Look, reachOf } from "./RefreshPolicy.ts"
import {
  type Change,
  compareSeries,
  formatSeriesDigest,
  parseSeriesDigest,
  type SeriesDigest,
  seriesDigest
} from "./SeriesDigest.ts"

export interface News {
  readonly unchanged: boolean
  /** To be kept until the next answer comes. */
  readonly digest: string
  /** Of data only, and when to ask for them again. */
  readonly series?: Change & { readonly count: number; readonly decision: Decision }
  /** Why it may not be so, where it contradicts what is known. */
  readonly doubt?: Doubt | undefined
}

/** What an answer said (see `Reading`), and when it was asked for and had arrived. */
export interface Answer {
  readonly said: SeriesRows | ListSaid
  /** Characters that could not be read. */
  readonly spoilt: number
  readonly hash: string
  readonly askedAt: number
  readonly answeredAt: number
}

const context = ({ details: { item, units } }: ClaimedTask, { councilId, htsUrl }: UsableSource): string =>
  digestOfText(JSON.stringify([councilId, hilltopBaseUrl(htsUrl), item, units]))

/**
 * Whether the document is one of a period that was over: who reads it then takes what is missing at its end for removed. That is
 * said once, even when no row has changed since, so it is decided from the moment that the document is published with.
 */
const isClosed = ({ fetchUrl }: ClaimedTask, askedAt: number): boolean => {
  const period = archivePeriod(fetchUrl)
  return period !== undefined && isOver(period, askedAt)
}

const isData = ({ requestType }: ClaimedTask) =>
  requestType === "MEASUREMENT_DATA" || requestType === "MEASUREMENT_DATA_LATEST"

/** The digest that was kept of data; none of a list, or of a document whose rows could not be compared. */
export const keptSeries = (task: ClaimedTask): SeriesDigest | undefined =>
  isData(task) && task.previousDigest !== undefined ? parseSeriesDigest(digestIn(task.previousDigest)) : undefined

/** The digest that was kept of a list. */
export const keptList = (task: ClaimedTask): ListDigest | undefined =>
  isData(task) || task.previousDigest === undefined ? undefined : parseListDigest(digestIn(task.previousDigest))

/** Whether `hash` alone shows that data are the same as last time, so that they need not even be read. */
export const isSameData = (task: ClaimedTask, source: UsableSource, hash: string, askedAt: number): boolean => {
  const kept = hash === task.previousHash ? keptSeries(task) : undefined
  return kept !== undefined && kept.context === context(task, source) && kept.closed === isClosed(task, askedAt)
}

/**
 * What is new in a document that was read before, and so is the one that was asked for. When data are asked for again is decided
 * here, since how far their window has moved by then says how much of them is kept.
 */
export const newsOf = (
  task: ClaimedTask,
  source: UsableSource,
  answer: Answer,
  decided: (look: Look) => Decision
): News =>
  "digest" in answer.said
    ? newsOfList(task, source, answer.said, answer)
    : newsOfData(task, source, answer.said, answer, decided)

const spoiltBytes = ({ previousDigest }: ClaimedTask, spoilt: number): Doubt | undefined =>
  spoilt === 0 || notesIn(previousDigest).spoilt === true
    ? undefined
    : {
        kind: "spoilt",
        detail: `${spoilt} characters that cannot be read, in what was read before`,
        patience: patienceWithBytes
      }

const newsOfList = (task: ClaimedTask, source: UsableSource, said: ListSaid, { hash, spoilt }: Answer): News => {
  const excluded = task.requestType === "SITES_LIST" ? [...(source.configuration.excludedSitesNames ?? [])].sort() : []
  const digest = digestOfText(JSON.stringify([context(task, source), excluded, said.digest]))
  const known = keptList(task)
  const unchanged = known === undefined ? hash === task.previousHash : digest === known.digest
  const doubt = known === undefined || unchanged ? undefined : doubtOfList(task, known, said, spoilt)
  return { unchanged, digest: formatListDigest(listDigest({ ...said, digest })), doubt }
}

const doubtOfList = (task: ClaimedTask, known: ListDigest, { names }: ListSaid, spoilt: number): Doubt | undefined => {
  if (!lacksMost(known, names)) return known.count > 0 ? spoiltBytes(task, spoilt) : undefined
  const what = names.length === 0 ? "nothing" : "the smaller part"
  return { kind: "missing", detail: `${what} of a list of ${known.count} names`, patience: patienceWith(known.count) }
}

const newsOfData = (
  task: ClaimedTask,
  source: UsableSource,
  rows: SeriesRows,
  { answeredAt, askedAt, hash, spoilt }: Answer,
  decided: (look: Look) => Decision
): News => {
  const length = askedWindow(task.fetchUrl)
  const windowFrom = length === undefined ? undefined : answeredAt - length
  const about = { header: rows.header, context: context(task, source), closed: isClosed(task, askedAt) }
  const known = keptSeries(task)
  const change =
    known === undefined
      ? {
          unchanged: task.previousDigest === undefined && hash === task.previousHash,
          added: rows.count,
          revised: false
        }
      : compareSeries(known, rows, about, windowFrom)
  const until = newestUntil(answeredAt)
  const revisedAt =
    known !== undefined && change.revised && length !== undefined ? oldestChange(known, rows) : undefined
  const decision = decided(lookOfRows(task, askedAt, rows, { ...change, revisedAt }, until))
  const reach = length === undefined ? undefined : reachOf(Math.max(0, decision.due - answeredAt))
  return {
    unchanged: change.unchanged,
    digest: formatSeriesDigest(seriesDigest(rows, about, reach, until)),
    series: { ...change, count: rows.count, decision },
    doubt:
      known === undefined || known.count === 0 || change.unchanged ? undefined : doubtOfData(task, known, rows, spoilt)
  }
}

const doubtOfData = (
  task: ClaimedTask,
  known: SeriesDigest,
  { count }: SeriesRows,
  spoilt: number
): Doubt | undefined =>
  count > 0
    ? spoiltBytes(task, spoilt)
    : { kind: "missing", detail: `no data, where ${known.count} rows were known`, patience: patienceWith(known.count) }
