/**
 * Observations kept in memory: the twin of the tables in PostgreSQL, for tests, and the plainest form of their rules.
 *
 * One value after another, no sets: where the two disagree, this one is easier to check by eye.
 */
import { BigDecimal, Context, Effect, Layer, Option, Ref, Result } from "effect"
import type { Instant } from "../domain/Instant.ts"
import type { ObservationData, SiteDetails } from "../domain/Observation.ts"
import { BatchRefused, nothingStored, ObservationStore, ObservationStoreUnavailable } from "./ObservationStore.ts"
import { type Row, type SeriesDocument, seriesDocuments } from "./SeriesDocument.ts"

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
  readonly firstObservedAt: Instant | undefined
  readonly lastObservedAt: Instant | undefined
  readonly count: number
  /** In order of time, then of being known. */
  readonly versions: ReadonlyArray<Version>
}

interface Series {
  units: string | undefined
  readonly moments: Map<Instant, Array<Version>>
  /** The newest document of each month, and the time it covers (several of one fetch count as one). */
  readonly newest: Map<string, { readonly seenAt: Instant; readonly from: Instant; readonly until: Instant }>
}

export class MemoryObservations extends Context.Service<
  MemoryObservations,
  {
    /** While true, every call fails as if the store could not be reached. */
    readonly outage: Ref.Ref<boolean>
    /** Undefined for a site that nobody named. */
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
    const series = serieses.get(key) ?? { units: undefined, moments: new Map(), newest: new Map() }
    serieses.set(key, series)
    return series
  }

  const keepDocument = ({ message, rows, seenAt, yearMonth }: SeriesDocument) => {
    const outcome = { ...nothingStored }
    const series = seriesOf(message)
    const newest = series.newest.get(yearMonth)
    const newer = newest !== undefined && newest.seenAt > seenAt ? newest : undefined
    for (const row of rows) {
      const versions = series.moments.get(row.at)
      const current = versions?.at(-1)
      if (versions === undefined || current === undefined) {
        series.moments.set(row.at, [{ ...row, firstSeenAt: seenAt, supersededAt: undefined }])
        outcome.added++
      } else if (!sameValue(current, row)) {
        const isContradicted = newer !== undefined && newer.from <= row.at && row.at <= newer.until
        if (isContradicted || Math.floor(current.firstSeenAt) > seenAt) outcome.overruled++
        else {
          // Two documents of the same millisecond: the later one must still come after.
          const from = Math.max(seenAt, current.firstSeenAt + 0.001)
          versions.splice(
            -1,
            1,
            { ...current, supersededAt: from },
            { ...row, firstSeenAt: from, supersededAt: undefined }
          )
          outcome.corrected++
        }
      }
    }
    if (newer === undefined) {
      series.units = message.units ?? series.units
      const alike = newest?.seenAt === seenAt ? newest : undefined
      series.newest.set(yearMonth, {
        seenAt,
        from: Math.min(rows[0]!.at, alike?.from ?? Infinity),
        until: Math.max(rows.at(-1)!.at, alike?.until ?? -Infinity)
      })
    }
    return outcome
  }

  const store = ObservationStore.of({
    store: Effect.fnUntraced(function* ({ topic, partition, messages }) {
      if (yield* Ref.get(outage)) return yield* new ObservationStoreUnavailable({ cause: new Error("outage") })
      const next = offsets.get(`${topic}/${partition}`) ?? 0
      const fresh = messages.filter(({ offset }) => offset >= next)
      const documents: Array<SeriesDocument> = []
      for (const { message, seenAt } of fresh) {
        if (JSON.stringify(message).includes(String.raw`\u0000`)) return yield* new BatchRefused({ reason: "a NUL" })
        if (message.type === "SITE_DETAILS") continue
        const split = seriesDocuments(message, seenAt)
        if (Result.isFailure(split)) return yield* new BatchRefused({ reason: split.failure })
        documents.push(...split.success)
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
        return {
          units: series.units,
          firstObservedAt: moments[0],
          lastObservedAt: moments.at(-1),
          count: moments.length,
          versions: moments.flatMap((at) => series.moments.get(at) ?? [])
        }
      }
    })
  )
}
