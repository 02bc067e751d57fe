/**
 * Water meters: the volume of each day and the reading it is the difference of, uploaded every morning, and a form
 * without any Measurement.
 */
import { measured, number, seriesOf, withQuality } from "./SeriesBuilding.ts"
import { meter } from "./SeriesShapes.ts"
import { dailyUpload } from "./Arrival.ts"
import { regular } from "./SeriesWorld.ts"
import type { DraftSource, Station } from "./DataSource.ts"
import { day } from "./WallTime.ts"

export const meters = (site: Station): ReadonlyArray<DraftSource> => {
  const total = meter(site.key("meter"))
  const arrival = dailyUpload(site.key("upload"))
  const metered = (name: string, interpolation: string, text: (dayNumber: number, factor: number) => string) => {
    const series = seriesOf(site, name, regular(day), arrival, (slot, _, { factor }) => [text(slot, factor)], {
      correctBy: { by: "factor", size: name === "Water Meter Volume" ? 0.2 : 0 }
    })
    return withQuality(site, measured(name, number(name, "m3", "######.#"), series, { interpolation }))
  }
  const forms = seriesOf(site, "Form Data", regular(30 * day), arrival, () => [])
  return [
    // A volume is known to a tenth, and so is the reading it is the difference of.
    ...metered("Water Meter Volume", "Incremental", (n, factor) =>
      String(Math.round((total(n) - total(n - 1)) * factor * 10) / 10)
    ),
    ...metered("Water Meter Reading", "Instant", (n) => total(n).toFixed(1)),
    {
      name: "Form Data",
      tsType: "StdSeries",
      dataType: "NameValuePairs",
      interpolation: "Discrete",
      itemFormat: 0,
      numItems: 0,
      series: forms,
      items: [],
      measurements: []
    }
  ]
}
