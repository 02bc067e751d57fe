/**
 * Grids as degrees: against the origins of the projections, and one place on both grids against itself.
 */
import { assert, describe, it } from "@effect/vitest"
import { wgs84Of } from "../../../layers/observations/nzGrids.ts"

const near = (found: ReturnType<typeof wgs84Of>, latitude: number, longitude: number, within = 1e-6) => {
  assert.approximately(found!.latitude, latitude, within)
  assert.approximately(found!.longitude, longitude, within)
}

describe("a place on a grid", () => {
  it("is where the projection's own origin is", () => {
    // The true origin of the grid: 173° east and, at the false northing less the length of the meridian, 41° south or so.
    near(wgs84Of({ easting: 1_600_000, northing: 5_456_862.62, projection: "NZTM2000" }), -41.044_15, 173, 0.01)
    // NZMG's is 41° S 173° E of the old datum, some 190 m from there in the new one.
    near(wgs84Of({ easting: 2_510_000, northing: 6_023_150, projection: "NZMG" }), -41, 173, 0.003)
  })

  it("is the same place on both grids", () => {
    // Wellington, by the two grids' coordinates of one place: they differ from each other by 510 km and 700 km.
    const tm = wgs84Of({ easting: 1_748_735, northing: 5_427_916, projection: "NZTM" })
    const mg = wgs84Of({ easting: 2_658_725, northing: 5_989_623, projection: "NZMG" })
    near(tm, -41.288_9, 174.777_2, 0.02)
    near(mg, tm!.latitude, tm!.longitude, 0.001)
  })

  it("is told by its numbers where no grid is named, and not told where they are of none", () => {
    const named = wgs84Of({ easting: 1_748_735, northing: 5_427_916, projection: "NZTM2000" })
    assert.deepStrictEqual(wgs84Of({ easting: 1_748_735, northing: 5_427_916, projection: null }), named)
    assert.isNull(wgs84Of({ easting: 5, northing: 7, projection: null }))
    assert.isNull(wgs84Of({ easting: 5, northing: 7, projection: "NZTM2000" }))
    assert.isNull(wgs84Of({ easting: 1_748_735, northing: 5_427_916, projection: "UTM60S" }))
    assert.isNull(wgs84Of(null))
  })

  it("keeps degrees as they are, if they are of the earth", () => {
    assert.deepStrictEqual(wgs84Of({ latitude: -41.5, longitude: 175.25 }), { latitude: -41.5, longitude: 175.25 })
    assert.isNull(wgs84Of({ latitude: 141.5, longitude: 175.25 }))
  })
})
