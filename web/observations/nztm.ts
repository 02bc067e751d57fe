/**
 * Where degrees lie on the grid NZTM2000, in metres: the map is drawn on it, since that is how New Zealand looks to those who know
 * it. The formulas of a transverse Mercator projection on GRS80, right to a metre.
 */
const semiMajor = 6_378_137
const flattening = 1 / 298.257_222_101
const originLongitude = 173
const scale = 0.9996
const falseEasting = 1_600_000
const falseNorthing = 10_000_000

const e2 = flattening * (2 - flattening)
const e4 = e2 * e2
const e6 = e4 * e2
const radians = (degrees: number): number => (degrees * Math.PI) / 180

/** Along the meridian from the equator. */
const meridian = (latitude: number): number =>
  semiMajor *
  ((1 - e2 / 4 - (3 * e4) / 64 - (5 * e6) / 256) * latitude -
    (3 / 8) * (e2 + e4 / 4 + (15 * e6) / 128) * Math.sin(2 * latitude) +
    (15 / 256) * (e4 + (3 * e6) / 4) * Math.sin(4 * latitude) -
    ((35 * e6) / 3072) * Math.sin(6 * latitude))

export interface Place {
  readonly easting: number
  readonly northing: number
}

export const fromDegrees = (latitude: number, longitude: number): Place => {
  const phi = radians(latitude)
  const sin2 = Math.sin(phi) ** 2
  const nu = semiMajor / Math.sqrt(1 - e2 * sin2)
  const t = Math.tan(phi) ** 2
  const c = (e2 / (1 - e2)) * Math.cos(phi) ** 2
  // Longitudes west of 180 degrees are of the islands in the east.
  const a = radians((longitude < 0 ? longitude + 360 : longitude) - originLongitude) * Math.cos(phi)
  return {
    easting:
      falseEasting + scale * nu * (a + ((1 - t + c) * a ** 3) / 6 + ((5 - 18 * t + t * t + 72 * c) * a ** 5) / 120),
    northing:
      falseNorthing +
      scale *
        (meridian(phi) +
          nu *
            Math.tan(phi) *
            (a ** 2 / 2 + ((5 - t + 9 * c + 4 * c * c) * a ** 4) / 24 + ((61 - 58 * t) * a ** 6) / 720))
  }
}
