/**
 * What follows the sun and the weather: temperatures, humidity, pressure, wind, particles, groundwater, battery voltage.
 *
 * The digits of a temperature depend on the council: always two (`12.50`), as few as needed, or all that a
 * single-precision number shows (`12.503000259399414`), because all three are sent by real servers.
 */
import { seeded } from "../SeededRandom.ts"
import { measured, number, seriesOf, withQuality } from "./SeriesBuilding.ts"
import type { Climate } from "./SeriesShapes.ts"
import { climate, direction } from "./SeriesShapes.ts"
import { logger, telemetry } from "./Arrival.ts"
import { regular } from "./SeriesWorld.ts"
import type { DraftSource, Station } from "./DataSource.ts"
import { hour, minute } from "./WallTime.ts"

const temperatureText = (site: Station) => {
  const { digits } = site.council.dialect
  if (digits === "two") return (value: number): string => value.toFixed(2)
  if (digits === "short") return (value: number): string => String(Math.round(value * 1_000) / 1_000)
  return (value: number): string => String(Math.fround(value))
}

const follows = (
  site: Station,
  name: string,
  units: string | undefined,
  pattern: string,
  step: number,
  shape: Climate,
  more: Partial<DraftSource> = {}
) => {
  const value = climate(site.key(name), shape)
  const text = temperatureText(site)
  const series = seriesOf(
    site,
    name,
    regular(step),
    telemetry(site.key("telemetry")),
    (_, time, { offset }) => [text(value(time) + offset)],
    { gaps: true, correctBy: { by: "offset", size: shape.weather / 3 } }
  )
  return measured(name, number(name, units, pattern), series, more)
}

export const waterTemperature = (site: Station): ReadonlyArray<DraftSource> =>
  withQuality(
    site,
    follows(site, "Water Temperature", site.council.dialect.celsius, "##.##", 15 * minute, {
      mean: 12.5,
      seasonal: 4,
      daily: 1.4,
      weather: 1.6
    })
  )

export const battery = (site: Station): DraftSource =>
  follows(site, "Battery Voltage", seeded(site.key("battery")).chance(0.5) ? undefined : "Volts", "##.#", hour, {
    mean: 12.9,
    seasonal: 0.2,
    daily: 0.4,
    weather: 0.2
  })

export const groundwater = (site: Station): ReadonlyArray<DraftSource> => {
  const name = "Groundwater Level"
  const value = climate(site.key(name), { mean: 8_200, seasonal: -600, daily: 4, weather: 240 })
  const series = seriesOf(
    site,
    name,
    regular(seeded(site.key(name)).chance(0.5) ? hour : 15 * minute),
    logger(site.key("logger")),
    (_, time, { offset }) => [String(Math.round(value(time) + offset))],
    { gaps: true, correctBy: { by: "offset", size: 40 } }
  )
  return withQuality(site, measured(name, number(name, "mm", "####"), series, { itemFormat: 0 }))
}

export const weather = (site: Station): ReadonlyArray<DraftSource> => {
  const unitless = seeded(site.key("units")).chance(0.25)
  const degrees = unitless ? undefined : site.council.dialect.celsius
  const bearing = direction(site.key("Wind Direction"))
  const wind = seriesOf(
    site,
    "Wind Direction",
    regular(10 * minute),
    telemetry(site.key("telemetry")),
    (_, time) => [String(bearing(time))],
    { gaps: true }
  )
  return [
    ...withQuality(
      site,
      follows(site, "Air Temperature", degrees, "##.#", 10 * minute, { mean: 12, seasonal: 5, daily: 4.5, weather: 4 })
    ),
    ...withQuality(
      site,
      follows(site, "Relative humidity (%)", "%", "###", 10 * minute, {
        mean: 72,
        seasonal: -4,
        daily: -14,
        weather: 9
      })
    ),
    ...withQuality(
      site,
      follows(site, "Barometric Pressure", "hPa", "####.#", hour, { mean: 1_013, seasonal: 2, daily: 0.5, weather: 14 })
    ),
    measured("Wind Direction", { ...number("Wind Direction", "°", "###"), format: "I" }, wind, {
      dataType: "WindDirection",
      itemFormat: 0
    })
  ]
}

export const airQuality = (site: Station): DraftSource =>
  follows(
    site,
    "PM10",
    "µg/m³",
    "###.#",
    hour,
    { mean: 14, seasonal: -5, daily: -3, weather: 5 },
    { dataType: "AirQuality" }
  )
