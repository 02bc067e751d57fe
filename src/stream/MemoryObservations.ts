/**
 * Observations kept in memory: the twin of the tables in PostgreSQL, for tests, and the plainest form of their rules.
 *
 * One value after another, no sets: where the two disagree, this one is easier to check by eye.
 */
import { Context, Effect, Layer, Ref, Result } from "effect"
import type { Instant } from "../domain/Instant.ts"
import type { ObservationData, SiteDetails } from "../domain/Observation.ts"
import type { Coverage } from "./documentCoverage.ts"
import { newestUntil } from "./newestUntil.ts"
import { combinedVersions, type Version } from "./combinedVersions.ts"
import { gridRank, movesSite, type Placed } from "../domain/Grid.ts"
import { advance, type Covering, type Frontier, newerAt } from "./monthFrontier.ts"
import { BatchRefused, nothingStored, ObservationStore } from "./ObservationStore.ts"
import {
  identityOf,
  type Row,
  sameValue,
  type SeriesDocument,
  seriesDocuments,
  type SeriesIdentity
} from "./SeriesDocument.ts"
import { StoreUnavailable } from "../domain/StoreUnavailable.ts"

export interface StoredSite {
  readonly location: SiteDetails["location"]
  readonly geographicLocation: SiteDetails["geographicLocation"] | undefined
  readonly locatedAt: Instant
}

export interface StoredSeries {
  readonly units: string | undefined
  /** As the list has them, where the documents say otherwise. */
  readonly listedUnits: string | undefined
  /** Of the values that are current; the last of those that may have been observed when they were seen. */
  readonly firstObservedAt: Instant | undefined
  readonly lastObservedAt: Instant | undefined
  readonly count: number
  /** In order of time, then of being known. */
  readonly versions: ReadonlyArray<Version>
}

/** What one source says of a month. */
interface Strand {
  readonly moments: Map<Instant, Array<Version>>
  frontier: Frontier | undefined
}
interface Month {
  /** Who told of it first; empty where nobody said. */
  source: string
  readonly strands: Map<string, Strand>
}
interface Series {
  units: string | undefined
  listedUnits: string | undefined
  readonly months: Map<string, Month>
}

export class MemoryObservations extends Context.Service<
  MemoryObservations,
  {
    /** While true, every call fails as if the store could not be reached. */
    readonly outage: Ref.Ref<boolean>
    /** Undefined for a site that no message named. */
    readonly site: (councilId: number, siteName: string) => StoredSite | undefined
    /** Without an identity the first that came of the name. */
    readonly series: (
      councilId: number,
      siteName: string,
      measurementName: string,
      identity?: Partial<SeriesIdentity>
    ) => StoredSeries | undefined
  }
>()("penstock/stream/MemoryObservations") {
  static readonly layer: Layer.Layer<MemoryObservations | ObservationStore> = Layer.effectContext(
    Effect.suspend(() => Effect.map(Ref.make(false), make))
  )
}

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
const seriesKey = (councilId: number, siteName: string, identity: SeriesIdentity) => {
  const { inUnits, item, measurement, measurementName } = identity
  return JSON.stringify([councilId, siteName, measurementName, measurement, item, inUnits])
}

const nowhere: StoredSite & Placed = {
  location: null,
  geographicLocation: undefined,
  locatedAt: -Infinity,
  at: -Infinity,
  rank: 0,
  source: ""
}

/** The history of a moment, of which nearly always one source tells. */
const versionsAt = ({ strands }: Month, at: Instant): ReadonlyArray<Version> => {
  const said = [...strands].flatMap(([source, { moments }]) => {
    const versions = moments.get(at)
    return versions === undefined ? [] : [{ source, versions }]
  })
  return combinedVersions(said)
}

const currentOf = (versions: ReadonlyArray<Version>): Version | undefined => {
  const last = versions.at(-1)
  return last?.supersededAt === undefined ? last : undefined
}

const make = (outage: Ref.Ref<boolean>) => {
  const sites = new Map<string, StoredSite & Placed>()
  const serieses = new Map<string, Series>()
  const offsets = new Map<string, number>()

  const keepSite = (details: SiteDetails, seenAt: Instant) => {
    const { councilId, siteName, location, geographicLocation, source = "" } = details
    const key = siteKey(councilId, siteName)
    const known = sites.get(key) ?? nowhere
    const next = { at: seenAt, rank: gridRank(details), source }
    if ((location === null && geographicLocation === undefined) || !movesSite(known, next)) return
    sites.set(key, { location, geographicLocation, locatedAt: seenAt, ...next })
  }

  const seriesOf = (message: ObservationData): Series => {
    const identity = identityOf(message)
    const key = seriesKey(message.councilId, message.siteName, identity)
    const units = identity.inUnits === "" ? undefined : identity.inUnits
    const series = serieses.get(key) ?? { units, listedUnits: undefined, months: new Map() }
    serieses.set(key, series)
    return series
  }

  /** What the message's source says of the month; one that does not say who it is speaks for whoever told first. */
  const strandOf = (month: Month, source: string): Strand => {
    const unnamed = month.strands.get("")
    if (month.source === "" && source !== "" && unnamed !== undefined) {
      month.strands.delete("")
      month.strands.set(source, unnamed)
    }
    month.source ||= source
    const of = source === "" ? month.source : source
    const strand = month.strands.get(of) ?? { moments: new Map(), frontier: undefined }
    month.strands.set(of, strand)
    return strand
  }

  const keepDocument = ({ complete, covers, message, rows, seenAt, yearMonth }: SeriesDocument) => {
    const outcome = { ...nothingStored, unchanged: 0 }
    const series = seriesOf(message)
    const month = series.months.get(yearMonth) ?? { source: "", strands: new Map() }
    series.months.set(yearMonth, month)
    const strand = strandOf(month, message.source ?? "")
    const isShared = month.strands.size > 1
    const present = new Map(rows.map((row) => [row.at, row]))
    const gone = [...strand.moments.keys()].filter((at) => complete && within(at, covers) && !present.has(at))
    const before = new Map([...present.keys(), ...gone].map((at) => [at, currentOf(versionsAt(month, at))]))
    const { frontier } = strand
    for (const row of rows) {
      const versions = strand.moments.get(row.at) ?? []
      strand.moments.set(row.at, versions)
      outcome[placeRow(versions, row, seenAt, newerAt(frontier, row.at, seenAt))]++
    }
    for (const at of gone) {
      if (newerAt(frontier, at, seenAt) === undefined && removeFrom(strand.moments.get(at)!, seenAt)) outcome.removed++
    }
    if (frontier === undefined || frontier.seenAt <= seenAt) {
      series.units = message.units ?? series.units
      series.listedUnits = message.listedUnits
    }
    strand.frontier = advance(frontier, { complete, covers, seenAt })
    const { unchanged: _, ...counted } = outcome
    return isShared ? { ...visible(month, before), overruled: counted.overruled } : counted
  }

  /** What became of the values that readers see, of which the source's own are a part. */
  const visible = (month: Month, before: ReadonlyMap<Instant, Version | undefined>) => {
    const counted = { added: 0, corrected: 0, removed: 0 }
    for (const [at, old] of before) {
      const now = currentOf(versionsAt(month, at))
      if (old === undefined && now !== undefined) counted.added++
      else if (old !== undefined && now === undefined) counted.removed++
      else if (old !== undefined && now !== undefined && !sameValue(old, now)) counted.corrected++
    }
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
      site: (councilId, siteName) => {
        const known = sites.get(siteKey(councilId, siteName))
        if (known === undefined) return undefined
        const { geographicLocation, locatedAt, location } = known
        return { geographicLocation, locatedAt, location }
      },
      series: (councilId, siteName, measurementName, identity) => {
        const whole = { measurementName, measurement: "", item: 0, inUnits: "", ...identity }
        const ofName = JSON.stringify([councilId, siteName, measurementName]).slice(0, -1)
        const series =
          identity === undefined
            ? [...serieses].find(([key]) => key.startsWith(`${ofName},`))?.[1]
            : serieses.get(seriesKey(councilId, siteName, whole))
        if (series === undefined) return undefined
        const histories = new Map<Instant, ReadonlyArray<Version>>()
        for (const month of series.months.values()) {
          const moments = [...month.strands.values()].flatMap((strand) => [...strand.moments.keys()])
          for (const at of moments) histories.set(at, versionsAt(month, at))
        }
        const moments = [...histories.keys()].sort((a, b) => a - b)
        const current = moments.filter((at) => currentOf(histories.get(at)!) !== undefined)
        return {
          units: series.units,
          listedUnits: series.listedUnits,
          firstObservedAt: current[0],
          lastObservedAt: current.findLast((at) => at <= newestUntil(currentOf(histories.get(at)!)!.firstSeenAt)),
          count: current.length,
          versions: moments.flatMap((at) => histories.get(at)!)
        }
      }
    })
  )
}
