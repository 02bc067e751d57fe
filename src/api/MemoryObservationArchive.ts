/**
 * The archive over observations kept in memory: the twin of the one in PostgreSQL. Ids are positions, from 1.
 */
import { Effect, Layer, Ref } from "effect"
import { MemoryObservations, type StoredSite, type Version } from "../stream/MemoryObservations.ts"
import { type LocationView, ObservationArchive, type SeriesRange, type SiteView } from "./ObservationArchive.ts"
import { StoreUnavailable } from "../domain/StoreUnavailable.ts"

const locationOf = ({ geographicLocation, location }: StoredSite): LocationView | null =>
  location === null ? (geographicLocation ?? null) : { ...location, projection: location.projection ?? null }

/** Whether it was the version known at the millisecond, or is now. */
const isKnown = ({ firstSeenAt, supersededAt }: Version, asOf: number | undefined): boolean =>
  asOf === undefined
    ? supersededAt === undefined
    : Math.floor(firstSeenAt) <= asOf && (supersededAt === undefined || Math.floor(supersededAt) > asOf)

export const MemoryObservationArchive: Layer.Layer<ObservationArchive, never, MemoryObservations> = Layer.effect(
  ObservationArchive,
  Effect.gen(function* () {
    const memory = yield* MemoryObservations
    const unlessOut = <A>(answer: () => A): Effect.Effect<A, StoreUnavailable> =>
      Effect.flatMap(Ref.get(memory.outage), (out) =>
        out ? Effect.fail(new StoreUnavailable({ cause: new Error("outage") })) : Effect.sync(answer)
      )

    const sites = (): ReadonlyArray<SiteView> =>
      memory.names().sites.map(([councilId, name], index) => {
        const site = memory.site(councilId, name)
        return { id: index + 1, council_id: councilId, name, location: site === undefined ? null : locationOf(site) }
      })
    const seriesOf = ({ council_id, name }: SiteView) =>
      memory.names().series.flatMap(([councilId, siteName, measurementName], index) => {
        const series = memory.series(councilId, siteName, measurementName)
        if (councilId !== council_id || siteName !== name || series === undefined) return []
        return [
          {
            id: index + 1,
            measurement_name: measurementName,
            units: series.units ?? null,
            first_observed_at: series.firstObservedAt ?? null,
            last_observed_at: series.lastObservedAt ?? null,
            count: series.count
          }
        ]
      })
    const read = ({ after = -Infinity, asOf, from = -Infinity, limit, seriesId, to = Infinity }: SeriesRange) => {
      const name = memory.names().series[seriesId - 1]
      const versions = (name === undefined ? undefined : memory.series(...name))?.versions ?? []
      return versions
        .filter((version) => version.at >= from && version.at < to && version.at > after && isKnown(version, asOf))
        .slice(0, limit)
        .map(({ at, firstSeenAt, qualifier, quality, value }) => ({
          at,
          value,
          qualifier,
          quality,
          firstSeenAt: Math.floor(firstSeenAt)
        }))
    }

    return ObservationArchive.of({
      listSites: ({ after, limit }) =>
        unlessOut(() =>
          sites()
            .filter(({ id }) => id > after)
            .slice(0, limit)
        ),
      findSite: (id) =>
        unlessOut(() => {
          const site = sites()[id - 1]
          const byName = (a: { measurement_name: string }, b: { measurement_name: string }) =>
            a.measurement_name < b.measurement_name ? -1 : 1
          return site && { ...site, series: seriesOf(site).sort(byName) }
        }),
      hasSeries: (id) => unlessOut(() => memory.names().series[id - 1] !== undefined),
      read: (range) => unlessOut(() => read(range))
    })
  })
)
