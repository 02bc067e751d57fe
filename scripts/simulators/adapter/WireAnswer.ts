/**
 * A state as the adapter contract sends it, with every freedom the contract leaves taken by some point or other.
 *
 * Which freedom a point takes follows from the seed and never changes: times with Oslo's offset, in UTC or with
 * fractions; an open end as null or left out; `entity_type` or none; rows out of order; no `energy_direction`; fields
 * that no reader knows. A reader that gets through a few hundred points has seen them all.
 */
import { seeded, type SeedKey } from "../SeededRandom.ts"
import { formatOslo } from "./OsloMidnight.ts"
import type { Row } from "./Statement.ts"
import { perTimeline, type AccountingPointState, type TimelineName } from "./Timelines.ts"

/** The time that was asked about; an open end is Infinity. */
export interface AskedTime {
  readonly from: number
  readonly to: number
}

export interface WireRow {
  readonly valid_from: string
  readonly valid_to?: string | null
  readonly [field: string]: unknown
}

export interface WireAnswer extends Readonly<Partial<Record<TimelineName, ReadonlyArray<WireRow>>>> {
  readonly gsrn: string
  readonly latitude?: number | null
  readonly longitude?: number | null
  readonly [field: string]: unknown
}

/** The body of a 200: the rows that overlap the time asked about, with their starts cut to it where `clip` says so. */
export const wireAnswer = (
  seed: SeedKey,
  index: number,
  state: AccountingPointState,
  asked: AskedTime,
  clip: boolean
): WireAnswer => {
  const manner = mannerOf(seed, index)
  const row = (name: TimelineName, { value, from, to }: Row): WireRow => ({
    ...fieldsOf(name, value, manner),
    valid_from: manner.format(clip ? Math.max(from, asked.from) : from),
    ...(to !== null ? { valid_to: manner.format(to) } : manner.openIsNull ? { valid_to: null } : {})
  })
  const timelines = perTimeline((name) => {
    const rows = state.timelines[name]
      .filter(({ from, to }) => from < asked.to && (to ?? Infinity) > asked.from)
      .map((period) => row(name, period))
    return manner.backwards ? rows.toReversed() : rows
  })
  const { energy_direction, ...required } = timelines
  return {
    gsrn: state.gsrn,
    ...required,
    ...(manner.leavesOutDirection ? {} : { energy_direction }),
    ...(state.location === undefined
      ? {}
      : { latitude: state.location?.latitude ?? null, longitude: state.location?.longitude ?? null }),
    metering_point_type: "E17",
    settlement: { method: manner.openIsNull ? "profiled" : "hourly", periods: [15, 60] }
  }
}

interface Manner {
  readonly format: (time: number) => string
  readonly openIsNull: boolean
  readonly namesEntityType: boolean
  readonly backwards: boolean
  readonly leavesOutDirection: boolean
  readonly addsFields: boolean
}

/** Whether the answers about this point have no directions, so that nobody can know them. */
export const saysNoDirection = (seed: SeedKey, index: number): boolean => mannerOf(seed, index).leavesOutDirection

const mannerOf = (seed: SeedKey, index: number): Manner => {
  const random = seeded(seed, "manner", index)
  return {
    format: random.chance(0.6) ? formatOslo : random.pick(otherFormats),
    openIsNull: random.chance(0.6),
    namesEntityType: random.chance(0.7),
    backwards: random.chance(0.25),
    leavesOutDirection: random.chance(0.1),
    addsFields: random.chance(0.5)
  }
}

const otherFormats = [
  (time: number): string => new Date(time).toISOString(),
  (time: number): string => `${new Date(time).toISOString().slice(0, 19)}Z`,
  (time: number): string => `${new Date(time).toISOString().slice(0, 19)}+00:00`
]

const fieldsOf = (name: TimelineName, value: string, manner: Manner): Readonly<Record<string, unknown>> => {
  const extra = manner.addsFields ? { source_system: "invented", revision: 3 } : {}
  switch (name) {
    case "energy_direction":
      return { direction: value === "both" ? ["consumption", "production"] : [value], ...extra }
    case "end_user":
      return manner.namesEntityType
        ? { business_id: value, entity_type: value.length === 11 ? "person" : "organisation", ...extra }
        : { business_id: value, ...extra }
    default:
      return { business_id: value, ...extra }
  }
}
