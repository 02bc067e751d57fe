/**
 * Three councils that do not exist, and their sites: what never changes while the simulator runs.
 *
 * Names and coordinates are invented, with the characters that real names have. Each council has a dialect, because the
 * differences between servers (projection, units, spelling, what "no data" looks like) are what breaks a crawler. The
 * identifiers are far above those of real councils, so that simulated rows are recognised in a database.
 */
import type { SeededRandom, SeedKey } from "../SeededRandom.ts"
import { seeded } from "../SeededRandom.ts"
import { nameForms } from "./SiteNames.ts"

/** What kind of station a site is; it decides which series it has. */
export type SiteKind = "river" | "rain" | "quality" | "meter" | "bore" | "weather" | "lake"

export interface Site {
  readonly name: string
  readonly kind: SiteKind
  /** How often SiteList names it: once, twice (a real server does), or not at all although GetData answers. */
  readonly listed: 0 | 1 | 2
  /** As text, because the digits matter. Absent where the council does not know the place. */
  readonly place: { readonly easting: string; readonly northing: string } | undefined
  readonly latLong: { readonly latitude: string; readonly longitude: string } | undefined
  /** For a dead site, how long before the world's start its data stopped; it stays listed. */
  readonly endedDaysAgo: number | undefined
}

/** How this council's server differs from others. */
export interface Dialect {
  /** Names of the water level's DataSource and Measurement, and of the rated flow. */
  readonly levelSource: string
  readonly levelName: string
  readonly flowName: string
  readonly flowUnits: string
  readonly flowInLitres: boolean
  readonly celsius: string
  /** Millimetres of rain per tip of the gauge. */
  readonly tip: 0.2 | 0.5
  /** How many digits a temperature has: always two, no trailing zeros, or all of a single-precision number. */
  readonly digits: "two" | "short" | "long"
  /** GetData of a time without values: only an Agency, an Error, or a Data element without rows. */
  readonly noData: "agency" | "error" | "empty"
  /** MeasurementList of an unknown site: an Error, or a valid document without any DataSource. */
  readonly unknownSite: "error" | "nothing"
  /** Whether a full SiteList ends in a CRC. */
  readonly crc: boolean
  /** GetData reaches back at most this far. */
  readonly dataLimitYears: number | undefined
}

export interface Council {
  readonly id: number
  readonly agency: string
  readonly version: string
  /** The path of its `.hts` file, as it stands in an address. */
  readonly path: string
  readonly projection: "NZMG" | "NZTM2000" | undefined
  readonly dialect: Dialect
  readonly measurementNames: ReadonlyArray<string>
  readonly weights: Readonly<Record<SiteKind, number>>
  readonly sites: ReadonlyArray<Site>
}

const kereru: Omit<Council, "sites"> = {
  id: 901,
  agency: "Kererū Coast Regional Council – Te Kaunihera",
  version: "2303.2.2.47",
  path: "/kereru/data.hts",
  projection: "NZMG",
  measurementNames: ["Water Level", "Stage", "Rainfall", "SCADA Rainfall", "Water Temperature", "Groundwater Level"],
  weights: { river: 30, rain: 22, quality: 16, meter: 8, bore: 10, weather: 8, lake: 6 },
  dialect: {
    levelSource: "Water Level",
    levelName: "Stage",
    flowName: "Flow",
    flowUnits: "m³/sec",
    flowInLitres: false,
    celsius: "ºC",
    tip: 0.2,
    digits: "short",
    noData: "agency",
    unknownSite: "error",
    crc: true,
    dataLimitYears: undefined
  }
}

const tussock: Omit<Council, "sites"> = {
  id: 902,
  agency: "Tussock Plains Regional Council",
  version: "2606.0.2.92",
  path: "/tussock/Telemetry.hts",
  projection: "NZTM2000",
  // Flow without the level's own name: the wanted measurement is then the rated one.
  measurementNames: ["River Level", "Flow", "Rainfall", "SCADA Rainfall", "Air Temperature", "Total Phosphorus"],
  weights: { river: 34, rain: 18, quality: 20, meter: 6, bore: 6, weather: 12, lake: 4 },
  dialect: {
    levelSource: "River Level",
    levelName: "Stage",
    flowName: "Flow",
    flowUnits: "l/s",
    flowInLitres: true,
    celsius: "degC",
    tip: 0.5,
    digits: "two",
    noData: "error",
    unknownSite: "nothing",
    crc: false,
    dataLimitYears: 12
  }
}

const fernvale: Omit<Council, "sites"> = {
  id: 903,
  agency: "Lower Fernvale District Council – Ngā Awa",
  version: "2.49",
  path: "/fernvale/env%20data.hts",
  projection: undefined,
  measurementNames: [
    "Water Level",
    "Water Meter Volume",
    "Water Meter Reading",
    "E-Coli <CFU>",
    "Nitrate Nitrogen",
    "Gauging Results",
    "Discharge",
    "Relative humidity (%)"
  ],
  weights: { river: 22, rain: 10, quality: 24, meter: 24, bore: 8, weather: 6, lake: 6 },
  dialect: {
    levelSource: "Water Level",
    levelName: "Water Level",
    flowName: "Discharge",
    flowUnits: "cumecs",
    flowInLitres: false,
    celsius: "°C",
    tip: 0.2,
    digits: "long",
    noData: "empty",
    unknownSite: "error",
    crc: false,
    dataLimitYears: undefined
  }
}

const allCouncils = [kereru, tussock, fernvale]

const kinds: ReadonlyArray<SiteKind> = ["river", "rain", "quality", "meter", "bore", "weather", "lake"]

const drawKind = (draw: SeededRandom, weights: Council["weights"]): SiteKind => {
  let left = draw.next() * kinds.reduce((sum, kind) => sum + weights[kind], 0)
  for (const kind of kinds) {
    left -= weights[kind]
    if (left < 0) return kind
  }
  return "river"
}

/** Coordinates of an invented rectangle in the council's own grid. The second council knows some places to the half metre. */
const drawPlace = (council: Omit<Council, "sites">, draw: SeededRandom): Site["place"] => {
  if (council.projection === undefined) return undefined
  const old = council.projection === "NZMG"
  const half = !old && draw.chance(0.1)
  const easting = (old ? 2_700_000 : 1_500_000) + draw.int(0, 80_000)
  const northing = (old ? 6_050_000 : 5_150_000) + draw.int(0, 90_000)
  return half
    ? { easting: `${easting}.5`, northing: `${northing}.25` }
    : { easting: String(easting), northing: String(northing) }
}

const makeSite = (seed: SeedKey, council: Omit<Council, "sites">, index: number, taken: Set<string>): Site => {
  const draw = seeded(seed, "site", council.id, index)
  // The first sites show every form of name and every kind; all of them are alive and have a place.
  const form = index < nameForms.length ? nameForms[index] : draw.chance(0.25) ? draw.pick(nameForms) : nameForms[0]
  const base = (form ?? draw.pick(nameForms))(draw)
  let name = base
  for (let n = 2; taken.has(name); n++) name = `${base} No ${n}`
  taken.add(name)
  const kind = kinds[index] ?? drawKind(draw, council.weights)
  const first = index < kinds.length
  const located = first || draw.chance(0.92)
  return {
    name,
    kind,
    listed: index === 4 ? 2 : 1,
    place: located ? drawPlace(council, draw) : undefined,
    latLong: located
      ? {
          latitude: (-39.5 - draw.next() * 0.9).toFixed(8),
          longitude: (175.2 + draw.next() * 0.9).toFixed(8)
        }
      : undefined,
    endedDaysAgo: !first && draw.chance(0.21) ? draw.int(40, draw.chance(0.5) ? 300 : 2_500) : undefined
  }
}

const makeSites = (
  seed: SeedKey,
  council: Omit<Council, "sites">,
  count: number,
  taken: Set<string>,
  archiveEndedDaysAgo: number | undefined
): ReadonlyArray<Site> => {
  const listed = Array.from({ length: count }, (_, index) => makeSite(seed, council, index, taken))
  const one = makeSite(seed, council, count, taken)
  const unlisted: Site = { ...one, kind: "river", listed: 0, endedDaysAgo: undefined }
  if (archiveEndedDaysAgo === undefined) return [...listed, unlisted]
  const archive = makeSite(seed, council, count + 1, taken)
  return [...listed, unlisted, { ...archive, kind: "river", listed: 1, endedDaysAgo: archiveEndedDaysAgo }]
}

/**
 * The first `count` councils with this many listed sites each, and one more that answers without being listed; and perhaps a river that
 * ended so many days ago.
 */
export const makeCouncils = (
  seed: SeedKey,
  count: number,
  sites: number,
  archiveEndedDaysAgo?: number
): ReadonlyArray<Council> => {
  const taken = new Set<string>()
  const withSites = (council: Omit<Council, "sites">): Council => ({
    ...council,
    sites: makeSites(seed, council, sites, taken, archiveEndedDaysAgo)
  })
  return allCouncils.slice(0, count).map(withSites)
}
