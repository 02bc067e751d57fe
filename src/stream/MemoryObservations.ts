/**
 * Observations kept in memory: the twin of the tables in PostgreSQL, for tests, and the plainest form of their rules.
 *
 * One value after another, no sets: where the two disagree, this one is easier to check by eye.
 */
import { BigDecimal, Context, Effect, Layer, Option, Ref, Result } from "effect"
import type { Instant } from "../domain/Instant.ts"
import type { ObservationData, SiteDetails } from "../domain/Observation.ts"
import type { Coverage } from "./documentCoverage.ts"
import { newestUntil } from "./newestUntil.ts"
import { advance, type Covering, type Frontier, newerAt } from "./monthFrontier.ts"
import { BatchRefused, nothingStored, ObservationStore } from "./ObservationStore.ts"
import { type Row, type SeriesDocument, seriesDocuments } from "./SeriesDocument.ts"
import { StoreUnavailable } from "../domain/StoreUnavailable.ts"

/** A value with the time in which it was the one known. */
export interface Version extends Row {
  readonly firstSeenAt: Instant
  readonly supersededAt: Instant | undefined
}

export interface StoredSite {
  readonly location: SiteDetails["location"]
  readonly geographicLocation: SiteDetails["geographicLocation"] | undefined
  readonly locatedAt: Instant
}

export interface StoredSeries {
  readonly units: string | undefined
  /** Of the values that are current; the last of those that may have been observed when they were seen. */
  readonly firstObservedAt: Instant | undefined
  readonly lastObservedAt: Instant | undefined
  readonly count: number
  /** In order of time, then of being known. */
  readonly versions: ReadonlyArray<Version>
}

interface Series {
  units: string | undefined
  readonly moments: Map<Instant, Array<Version>>
  /** By month. */
  readonly frontiers: Map<string, Frontier>
}

export class MemoryObservations extends Context.Service<
  MemoryObservations,
  {
    /** While true, every call fails as if the store could not be reached. */
    readonly outage: Ref.Ref<boolean>
    /** Undefined for a site that no message named. */
    readonly site: (councilId: number, siteName: string) => StoredSite | undefined
    readonly series: (councilId: number, siteName: string, measurementName: string) => StoredSeries | undefined
  }
>()("penstock/stream/MemoryObservations") {
  static readonly layer: Layer.Layer<MemoryObservations | ObservationStore> = Layer.effectContext(
    Effect.suspend(() => Effect.map(Ref.make(false), make))
  )
}

const sameValue = (a: Row, b: Row): boolean =>
  a.qualifier === b.qualifier &&
  a.quality === b.quality &&
  Option.makeEquivalence(BigDecimal.Equivalence)(BigDecimal.fromString(a.value), BigDecimal.fromString(b.value))

const within = (at: Instant, { from, until }: Coverage): boolean => from <= at && at <= until

/** Two documents of one millisecond: what the later one says comes a microsecond after, and both count as of that millisecond. */
const afterwards = 0.001
const hasBegun = ({ firstSeenAt }: Version, at: Instant): boolean => Math.floor(firstSeenAt) <= at
const hasEnded = ({ supersededAt }: Version, at: Instant): boolean =>
  supersededAt !== undefined && Math.floor(supersededAt) <= at

/** Puts what a document of `seenAt` says of a moment into the versions of that moment, which are in order and never overlap. */
const placeRow = (
  versions: Array<Version>,
  row: Row,
  seenAt: Instant,
  newer: Covering | undefined
): "added" | "corrected" | "overruled" | "unchanged" => {
  const then = versions.findIndex((version) => hasBegun(version, seenAt) && !hasEnded(version, seenAt))
  const known = versions[then]
  if (known !== undefined) {
    if (sameValue(known, row)) return "unchanged"
    if (newer !== undefined || known.supersededAt !== undefined) return "overruled"
    const from = Math.max(seenAt, known.firstSeenAt + afterwards)
    versions.splice(then, 1, { ...known, supersededAt: from }, { ...row, firstSeenAt: from, supersededAt: undefined })
    return "corrected"
  }
  const earlier = versions.filter((version) => hasEnded(version, seenAt))
  const next = versions[earlier.length]
  const firstSeenAt = Math.max(seenAt, earlier.at(-1)?.supersededAt ?? seenAt)
  if (next !== undefined && sameValue(next, row)) {
    // It was seen earlier than was known.
    versions[earlier.length] = { ...next, firstSeenAt }
    return "unchanged"
  }
  const supersededAt = next?.firstSeenAt ?? (newer?.complete ? newer.seenAt : undefined)
  versions.splice(earlier.length, 0, { ...row, firstSeenAt, supersededAt })
  return supersededAt === undefined ? "added" : "overruled"
}

/** Ends the current version, unless it was seen no earlier than the document that lacks it. */
const removeFrom = (versions: Array<Version>, seenAt: Instant): boolean => {
  const current = versions.at(-1)
  if (current === undefined || current.supersededAt !== undefined) return false
  if (Math.floor(current.firstSeenAt) >= seenAt) return false
  versions.splice(-1, 1, { ...current, supersededAt: seenAt })
  return true
}

const siteKey = (councilId: number, siteName: string) => JSON.stringify([councilId, siteName])
const seriesKey = (councilId: number, siteName: string, measurementName: string) =>
  JSON.stringify([councilId, siteName, measurementName])

const nowhere: StoredSite = { location: null, geographicLocation: undefined, locatedAt: -Infinity }

const make = (outage: Ref.Ref<boolean>) => {
  const sites = new Map<string, StoredSite>()
  const serieses = new Map<string, Series>()
  const offsets = new Map<string, number>()

  const keepSite = ({ councilId, siteName, location, geographicLocation }: SiteDetails, seenAt: Instant) => {
    const key = siteKey(councilId, siteName)
    const known = sites.get(key) ?? nowhere
    if ((location === null && geographicLocation === undefined) || known.locatedAt > seenAt) return
    const projection = location?.projection ?? known.location?.projection
    sites.set(key, {
      location: location && { ...location, ...(projection === undefined ? {} : { projection }) },
      geographicLocation,
      locatedAt: seenAt
    })
  }

  const seriesOf = ({ councilId, siteName, measurementName }: ObservationData): Series => {
    const key = seriesKey(councilId, siteName, measurementName)
    const series = serieses.get(key) ?? { units: undefined, moments: new Map(), frontiers: new Map() }
    serieses.set(key, series)
    return series
  }

  const keepDocument = ({ complete, covers, message, rows, seenAt, yearMonth }: SeriesDocument) => {
    const outcome = { ...nothingStored, unchanged: 0 }
    const series = seriesOf(message)
    const frontier = series.frontiers.get(yearMonth)
    for (const row of rows) {
      const versions = series.moments.get(row.at) ?? []
      series.moments.set(row.at, versions)
      outcome[placeRow(versions, row, seenAt, newerAt(frontier, row.at, seenAt))]++
    }
    const present = new Set(rows.map(({ at }) => at))
    for (const [at, versions] of complete ? series.moments : []) {
      if (!within(at, covers) || present.has(at) || newerAt(frontier, at, seenAt) !== undefined) continue
      if (removeFrom(versions, seenAt)) outcome.removed++
    }
    if (frontier === undefined || frontier.seenAt <= seenAt) series.units = message.units ?? series.units
    series.frontiers.set(yearMonth, advance(frontier, { complete, covers, seenAt }))
    const { unchanged: _, ...counted } = outcome
    return counted
  }

  const rename = (from: string, to: string) => {
    const kept = [...offsets].filter(([name]) => name.startsWith(`${from}/`))
    // Where others are kept under a longer name, those are of a log that came later.
    const isLate = [...offsets.keys()].some((name) => name.startsWith(`${from}@`))
    for (const [name, next] of kept) {
      offsets.delete(name)
      if (!isLate) offsets.set(`${to}${name.slice(from.length)}`, next)
    }
  }

  const store = ObservationStore.of({
    store: Effect.fnUntraced(function* ({ topic, formerTopic, partition, messages }) {
      if (yield* Ref.get(outage)) return yield* new StoreUnavailable({ cause: new Error("outage") })
      if (formerTopic !== undefined) rename(formerTopic, topic)
      const next = offsets.get(`${topic}/${partition}`) ?? 0
      const fresh = messages.filter(({ offset }) => offset >= next)
      const documents: Array<SeriesDocument> = []
      for (const { covers, message, seenAt } of fresh) {
        if (JSON.stringify(message).includes(String.raw`\u0000`)) return yield* new BatchRefused({ reason: "a NUL" })
        if (message.type === "SITE_DETAILS") continue
        const split = seriesDocuments(message, seenAt, covers)
        if (Result.isFailure(split)) return yield* new BatchRefused({ reason: split.failure })
        for (const document of split.success) documents.push(document)
      }
      for (const { message, seenAt } of fresh) {
        const site = siteKey(message.councilId, message.siteName)
        sites.set(site, sites.get(site) ?? nowhere)
        if (message.type === "SITE_DETAILS") keepSite(message, seenAt)
      }
      offsets.set(`${topic}/${partition}`, Math.max(next, (messages.at(-1)?.offset ?? -1) + 1))
      return documents.map(keepDocument).reduce(
        (sum, one) => ({
          added: sum.added + one.added,
          corrected: sum.corrected + one.corrected,
          removed: sum.removed + one.removed,
          overruled: sum.overruled + one.overruled
        }),
        nothingStored
      )
    })
  })

  return Context.make(ObservationStore, store).pipe(
    Context.add(MemoryObservations, {
      outage,
      site: (councilId, siteName) => sites.get(siteKey(councilId, siteName)),
      series: (councilId, siteName, measurementName) => {
        const series = serieses.get(seriesKey(councilId, siteName, measurementName))
        if (series === undefined) return undefined
        const moments = [...series.moments.keys()].sort((a, b) => a - b)
        const current = moments.filter((at) => series.moments.get(at)?.at(-1)?.supersededAt === undefined)
        return {
          units: series.units,
          firstObservedAt: current[0],
          lastObservedAt: current.findLast((at) => at <= newestUntil(series.moments.get(at)!.at(-1)!.firstSeenAt)),
          count: current.length,
          versions: moments.flatMap((at) => series.moments.get(at) ?? [])
        }
      }
    })
  )
}
