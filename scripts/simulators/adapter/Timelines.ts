/**
 * What a datahub knows of an accounting point: four timelines, by the names the adapter contract gives them, and where
 * it is. Every value is a text here, also a direction; what is sent is for WireAnswer to say.
 */
import type { Row } from "./Statement.ts"

export const timelineNames = ["end_user", "energy_supplier", "metering_grid_area", "energy_direction"] as const
export type TimelineName = (typeof timelineNames)[number]

/** One value per timeline. */
export const perTimeline = <A>(of: (name: TimelineName) => A): Readonly<Record<TimelineName, A>> => ({
  end_user: of("end_user"),
  energy_supplier: of("energy_supplier"),
  metering_grid_area: of("metering_grid_area"),
  energy_direction: of("energy_direction")
})

/** WGS84, in degrees. */
export interface Location {
  readonly latitude: number
  readonly longitude: number
}

/** What the datahub knows of one point. A direction is `consumption`, `production` or `both`. */
export interface AccountingPointState {
  readonly gsrn: string
  readonly timelines: Readonly<Record<TimelineName, ReadonlyArray<Row>>>
  /** null when it was withdrawn, undefined when there is none. */
  readonly location: Location | null | undefined
}
