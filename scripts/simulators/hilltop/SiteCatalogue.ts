/**
 * Which DataSources and Measurements a site has, in the order MeasurementList shows them.
 *
 * The name to ask by (`requestAs`) carries ` [DataSource]` only where the bare name would be ambiguous, so it can only be
 * known once all of a site's instruments are.
 */
import { seeded } from "../SeededRandom.ts"
import type { Council, Site } from "./Council.ts"
import type { DataSource, DraftSource, Station, WorldSettings } from "./DataSource.ts"
import { noiseKey } from "./Noise.ts"
import { stationSources } from "./StationSources.ts"
import { day, hour } from "./WallTime.ts"

const station = (settings: WorldSettings, council: Council, site: Site): Station => {
  const draw = seeded(settings.seed, "extent", council.id, site.name)
  const today = Math.floor(settings.origin / day) * day
  const end = site.endedDaysAgo === undefined ? Infinity : today - site.endedDaysAgo * day + 11 * hour
  const span = Math.ceil(settings.historyDays * (0.75 + 0.25 * draw.next())) * day
  return {
    settings,
    council,
    site,
    start: Math.min(today, end) - span,
    end,
    key: (...parts) => noiseKey(settings.seed, council.id, site.name, ...parts)
  }
}

const withRequestNames = (drafts: ReadonlyArray<DraftSource>, extent: (index: number) => DataSource["extent"]) => {
  const sharing = new Map<string, number>()
  const named = drafts.flatMap((source) => source.measurements.map((measurement) => measurement.name))
  for (const name of named) sharing.set(name, (sharing.get(name) ?? 0) + 1)
  return drafts.map((source, index): DataSource => ({
    ...source,
    extent: extent(index),
    measurements: source.measurements.map(({ preferred, rated = false, virtual = false, ...measurement }) => {
      const isDefault = preferred === true || sharing.get(measurement.name) === 1
      return {
        ...measurement,
        rated,
        virtual,
        isDefault,
        requestAs: isDefault ? measurement.name : `${measurement.name} [${source.name}]`
      }
    })
  }))
}

/** Everything that MeasurementList would show of a site, in the order of the file. */
export const siteCatalogue = (settings: WorldSettings, council: Council, site: Site): ReadonlyArray<DataSource> => {
  const odd = seeded(settings.seed, "odd", council.id, site.name)
  const regularSite = council.sites.indexOf(site) < 16
  return withRequestNames(stationSources(station(settings, council, site)), () => {
    const chance = odd.next()
    if (regularSite || chance > 0.016) return "usual"
    return chance < 0.012 ? "reversed" : "without To"
  })
}
