/**
 * The grids that New Zealand's councils write places on, and which of two statements of where a site lies is kept.
 *
 * A list does not always name its grid, and then it has none; only where the numbers can be of no other is it inferred, and said
 * to be. Two sources of one council may have different grids for one site: the better one stays, so that they do not take turns.
 */
import type { GridLocation, SiteDetails } from "./Observation.ts"

interface Extent {
  readonly name: string
  readonly easting: readonly [number, number]
  readonly northing: readonly [number, number]
}

/** All of the country with its waters, in metres. They overlap: what lies in both is of neither. */
const extents: ReadonlyArray<Extent> = [
  { name: "NZTM2000", easting: [1_000_000, 2_100_000], northing: [4_700_000, 6_250_000] },
  { name: "NZMG", easting: [2_000_000, 3_050_000], northing: [5_290_000, 6_790_000] }
]

const within = (value: number, [least, most]: readonly [number, number]) => value >= least && value <= most

/** The grid that a place must be on by its numbers, if it can be on one only. */
export const inferredGrid = ({ easting, northing }: Pick<GridLocation, "easting" | "northing">): string | undefined => {
  const [only, ...others] = extents.filter((grid) => within(easting, grid.easting) && within(northing, grid.northing))
  return others.length === 0 ? only?.name : undefined
}

/** How good a statement of a place is: today's grid, the one before it, a grid without a known name, degrees. */
export const gridRank = ({ location }: Pick<SiteDetails, "location">): number => {
  if (location === null) return 0
  const grid = location.projection ?? inferredGrid(location)
  return grid === "NZTM2000" ? 3 : grid === "NZMG" ? 2 : 1
}

export interface Placed {
  readonly at: number
  readonly rank: number
  /** Empty when nobody said. */
  readonly source: string
}

/** Whether a place takes the place of the one that is known: a newer one, but not a worse one of another source. */
export const movesSite = (known: Placed, next: Placed): boolean =>
  known.source === "" || next.source === "" || known.source === next.source || known.rank === next.rank
    ? known.at <= next.at
    : next.rank > known.rank
