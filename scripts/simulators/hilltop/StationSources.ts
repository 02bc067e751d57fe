/**
 * Which instruments stand at each kind of site: 5 to 20 DataSources, quality twins and check series counted.
 *
 * The order is that of the file, which MeasurementList keeps.
 */
import { airQuality, battery, groundwater, waterTemperature, weather } from "./ClimateSources.ts"
import { gaugings, level } from "./LevelSources.ts"
import { meters } from "./MeterSources.ts"
import { rain } from "./RainSources.ts"
import type { DraftSource, Station } from "./DataSource.ts"
import { waterQuality } from "./WaterQualitySources.ts"

/** All of a site's DataSources, 5 to 20 of them. */
export const stationSources = (site: Station): ReadonlyArray<DraftSource> => {
  switch (site.site.kind) {
    case "river":
      return [...level(site), ...rain(site), ...waterTemperature(site), gaugings(site), battery(site)]
    case "rain":
      return [...rain(site), battery(site)]
    case "quality":
      return [...waterQuality(site), ...waterTemperature(site)]
    case "meter":
      return meters(site)
    case "bore":
      return [...groundwater(site), ...waterTemperature(site), battery(site)]
    case "weather":
      return [...weather(site), ...rain(site), airQuality(site), battery(site)]
    case "lake":
      return [...level(site), ...waterTemperature(site), ...waterQuality(site).slice(0, 6)]
  }
}
