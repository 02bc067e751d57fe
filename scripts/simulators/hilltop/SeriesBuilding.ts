/**
 * The vocabulary in which a station's instruments are written down: a series, a column, a source and its quality twin.
 *
 * What surprises: the start of a series is counted back from the end of its data or from today, so a dead site has as
 * much history as a living one, only earlier.
 */
import { qualityCode } from "./SeriesShapes.ts"
import type { Arrival } from "./Arrival.ts"
import type { Correctable } from "./Correction.ts"
import type { Schedule, Series } from "./SeriesWorld.ts"
import { telemetry } from "./Arrival.ts"
import { irregular, regular } from "./SeriesWorld.ts"
import type { DraftMeasurement, DraftSource, Item, Station } from "./DataSource.ts"
import type { WallTime } from "./WallTime.ts"
import { day, minute } from "./WallTime.ts"

type ItemsOf = Series["items"]

/** A series of this station. What is not said does not happen: no gaps, no corrections, no codes of its own. */
export const seriesOf = (
  { council, end, key, settings, site, start }: Station,
  name: string,
  schedule: Schedule,
  arrival: Arrival,
  items: ItemsOf,
  more: {
    readonly correctBy?: { readonly by: Correctable["by"]; readonly size: number; readonly of?: string }
    readonly gaps?: boolean
    readonly longer?: number
    readonly quality?: Series["quality"]
    readonly parameters?: Series["parameters"]
  } = {}
): Series => {
  const before = Math.min(end, Math.floor(settings.origin / day) * day)
  const { archive } = settings
  return {
    key: `${council.id}/${site.name}/${name}`,
    schedule,
    arrival,
    start: before - (before - start) * (more.longer ?? 1),
    end,
    gaps: more.gaps === true ? key(name, "gaps") : undefined,
    corrections:
      more.correctBy === undefined
        ? undefined
        : {
            key: key(more.correctBy.of ?? name, "corrections"),
            by: more.correctBy.by,
            size: more.correctBy.size,
            perDay: 0.03 * settings.corrections,
            archive:
              archive === undefined || end > settings.origin
                ? undefined
                : { since: settings.origin, every: archive.correctedEvery, start, end }
          },
    items,
    quality: more.quality,
    parameters: more.parameters
  }
}

export const number = (name: string, units: string | undefined, pattern: string, divisor?: number): Item => ({
  name,
  format: "F",
  units,
  pattern,
  divisor
})

/** A standard series with one measured column of its own name or another. */
export const measured = (name: string, item: Item, series: Series, more: Partial<DraftSource> = {}): DraftSource => ({
  name,
  tsType: "StdSeries",
  dataType: "SimpleTimeSeries",
  interpolation: "Instant",
  itemFormat: 1,
  numItems: 1,
  series,
  items: [item],
  measurements: [{ ...column(item), series, items: [item] }],
  ...more
})

/** A Measurement that shows the column of this number as it is. */
export const column = (
  { divisor, name, pattern, units }: Item,
  item = 1
): Omit<DraftMeasurement, "series" | "items"> => ({
  name,
  item,
  units: units === "" ? undefined : units,
  divisor,
  pattern
})

/** One Measurement for each column. */
export const columns = (items: ReadonlyArray<Item>, series: Series): ReadonlyArray<DraftMeasurement> =>
  items.map((item, index) => Object.assign(column(item, index + 1), { series, items }))

/**
 * The source and the quality series of the same name. The twin has no Measurements, so it can be asked for by its own name
 * only. ShowQuality reads the code in force from it; laboratory results carry their own codes.
 */
export const withQuality = (site: Station, source: DraftSource): ReadonlyArray<DraftSource> => {
  const key = site.key(source.name, "quality")
  const code = source.series.quality ?? ((time: WallTime): number => qualityCode(key, time))
  const codes = seriesOf(
    site,
    `${source.name} quality`,
    irregular(key, 10 * day, minute),
    source.series.arrival,
    (_, time) => [String(qualityCode(key, time))]
  )
  return [
    {
      ...source,
      series: { ...source.series, quality: code },
      measurements: source.measurements.map((one) => ({ ...one, series: { ...one.series, quality: code } }))
    },
    {
      ...source,
      tsType: "StdQualSeries",
      interpolation: "Event",
      numItems: 1,
      series: codes,
      items: [{ name: source.items[0]?.name ?? source.name, format: "I", units: "", pattern: "####" }],
      measurements: []
    }
  ]
}

/** A virtual measurement: one value a day, computed by the server, with the extent of what it is computed from. */
export const virtual = (
  site: Station,
  source: string,
  name: string,
  units: string | undefined,
  value: (time: number) => number
) => {
  const item = number(name, units, "#.##")
  const series = seriesOf(site, `${source} ${name}`, regular(day), telemetry(site.key("telemetry")), (_, time) => [
    value(time).toFixed(2)
  ])
  return { ...column(item), group: "Virtual Measurements", virtual: true, series, items: [item] }
}
