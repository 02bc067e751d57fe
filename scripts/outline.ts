#!/usr/bin/env node
/**
 * Draws the outline of New Zealand for the page, from the public domain map of Natural Earth (package `world-atlas`), on the grid
 * NZTM2000, in hundreds of metres. Run when that package changes; a test compares what it makes with what is there.
 */
import { readFileSync, writeFileSync } from "node:fs"
import { feature } from "topojson-client"
import type { Topology } from "topojson-specification"
import { fromDegrees } from "../web/observations/nztm.ts"

const file = new URL("../web/observations/newZealand.ts", import.meta.url)
const unit = 100
/** Of the line between its neighbours, in hundreds of metres: nobody sees what is nearer on a map of 1,500 km. */
const tolerance = 4

type Point = readonly [x: number, y: number]

const distance = ([x, y]: Point, [ax, ay]: Point, [bx, by]: Point): number => {
  const length = Math.hypot(bx - ax, by - ay)
  return length === 0 ? Math.hypot(x - ax, y - ay) : Math.abs((bx - ax) * (ay - y) - (ax - x) * (by - ay)) / length
}

/** Douglas and Peucker. */
const simplified = (line: ReadonlyArray<Point>): ReadonlyArray<Point> => {
  const [first, last] = [line[0], line.at(-1)]
  if (first === undefined || last === undefined || line.length < 3) return line
  const far = line.reduce(
    (found, point, index) => {
      const away = distance(point, first, last)
      return away > found.away ? { away, index } : found
    },
    { away: 0, index: 0 }
  )
  return far.away <= tolerance
    ? [first, last]
    : [...simplified(line.slice(0, far.index + 1)).slice(0, -1), ...simplified(line.slice(far.index))]
}

/** The three main islands and what lies near them. */
const isNear = ([longitude = 0, latitude = 0]: ReadonlyArray<number>): boolean =>
  longitude > 166 && longitude < 179 && latitude > -47.5 && latitude < -34

const onGrid = ([longitude = 0, latitude = 0]: ReadonlyArray<number>): Point => {
  const { easting, northing } = fromDegrees(latitude, longitude)
  return [Math.round(easting / unit), -Math.round(northing / unit)]
}

/** Each step from the point before, as SVG has it. */
const pathOf = (line: ReadonlyArray<Point>): string =>
  line
    .map(([x, y], index) => {
      const [beforeX, beforeY] = line[index - 1] ?? [0, 0]
      return `${index === 0 ? "M" : index === 1 ? "l" : " "}${x - beforeX} ${y - beforeY}`
    })
    .join("") + "z"

export const outline = (): string => {
  const atlas = JSON.parse(
    readFileSync(new URL("../node_modules/world-atlas/countries-10m.json", import.meta.url), "utf8")
  ) as Topology
  const countries = feature(atlas, atlas.objects["countries"] as never) as unknown as {
    readonly features: ReadonlyArray<{ readonly id: string; readonly geometry: { readonly coordinates: unknown } }>
  }
  const coordinates = countries.features.find(({ id }) => id === "554")?.geometry.coordinates as ReadonlyArray<
    ReadonlyArray<ReadonlyArray<ReadonlyArray<number>>>
  >
  const path = coordinates
    .flatMap(([ring]) => (ring !== undefined && ring.every(isNear) ? [ring.map(onGrid)] : []))
    .map((ring) => {
      const half = Math.floor(ring.length / 2)
      return [...simplified(ring.slice(0, half + 1)).slice(0, -1), ...simplified(ring.slice(half)).slice(0, -1)]
    })
    .filter((ring) => ring.length > 3)
    .map(pathOf)
    .join("")
  return `/**
 * The outline of New Zealand on the grid NZTM2000, in hundreds of metres, as an SVG path whose y goes south.
 * Made by scripts/outline.ts from Natural Earth's map, which is in the public domain.
 */
export const newZealand =
  "${path}"
`
}

if (import.meta.main) writeFileSync(file, outline())
