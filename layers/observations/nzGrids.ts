/**
 * Eastings and northings of New Zealand's grids as degrees of WGS84, by proj4.
 *
 * NZTM2000 is of a datum that differs from WGS84 by less than anybody sees on a map. NZMG is of the one before (NZGD1949), whose seven
 * parameters are LINZ's: good to some 4 m.
 */
import proj4 from "proj4"
import { inferredGrid } from "../../src/domain/Grid.ts"
import type { LocationView } from "../../src/api/ObservationArchive.ts"
import type { Wgs84 } from "../../src/api/ObservationViews.ts"

const definitions: Readonly<Record<string, string>> = {
  NZTM2000:
    "+proj=tmerc +lat_0=0 +lon_0=173 +k=0.9996 +x_0=1600000 +y_0=10000000 +ellps=GRS80 +towgs84=0,0,0,0,0,0,0 +units=m +no_defs",
  NZMG: "+proj=nzmg +lat_0=-41 +lon_0=173 +x_0=2510000 +y_0=6023150 +ellps=intl +towgs84=59.47,-5.04,187.44,0.47,-0.1,1.024,-4.5993 +units=m +no_defs"
}

const transforms = new Map(Object.entries(definitions).map(([name, definition]) => [name, proj4(definition, "WGS84")]))

/** Seven digits of a degree are a centimetre. */
const rounded = (degrees: number) => Math.round(degrees * 1e7) / 1e7

const isOfEarth = (latitude: number, longitude: number) => Math.abs(latitude) <= 90 && Math.abs(longitude) <= 180

/** Far off its grid a projection gives nonsense, or nothing at all. The Chathams lie beyond 180° east. */
const isNearNewZealand = (latitude: number, longitude: number) =>
  latitude > -60 && latitude < -25 && (longitude > 155 || longitude < -170)

/** What a list calls its grid: `NZTM`, `NZTM2000`, `EPSG:2193`, `NZMG`. */
const gridCalled = (projection: string): string | undefined =>
  /nztm|2193/i.test(projection) ? "NZTM2000" : /nzmg|27200/i.test(projection) ? "NZMG" : undefined

export const wgs84Of = (location: LocationView | null): Wgs84 => {
  if (location === null) return null
  if ("latitude" in location) {
    const { latitude, longitude } = location
    return isOfEarth(latitude, longitude) ? { latitude, longitude } : null
  }
  const { easting, northing, projection } = location
  const grid = projection === null ? inferredGrid({ easting, northing }) : gridCalled(projection)
  const transform = grid === undefined ? undefined : transforms.get(grid)
  if (transform === undefined) return null
  const [longitude = Number.NaN, latitude = Number.NaN] = transform.forward([easting, northing])
  return isNearNewZealand(latitude, longitude) ? { latitude: rounded(latitude), longitude: rounded(longitude) } : null
}
