/**
 * An accounting point as the source describes it: who uses, who supplies, which grid area, which direction, where.
 *
 * All four are timelines. Directions may hold at the same time (a house with solar panels both consumes and produces),
 * so each direction is a timeline of its own; the others never overlap.
 */
import { Schema } from "effect"
import { EicY, EndUserNumber, Gln, type Gsrn } from "./Identifiers.ts"
import { Bound, type Instant } from "./Instant.ts"
import {
  findOverlap,
  isUnchanged,
  type KeptPeriod,
  mergeTimeline,
  type Period,
  type TimelineChange
} from "./Timeline.ts"

export const EntityType = Schema.Literals(["person", "organisation"])
export type EntityType = typeof EntityType.Type

export const Direction = Schema.Literals(["production", "consumption"])
export type Direction = typeof Direction.Type

export interface Location {
  readonly latitude: number
  readonly longitude: number
}

/** The timelines of an accounting point, by the name the tables and the adapter contract give them. */
export const timelineNames = ["end_user", "energy_supplier", "metering_grid_area", "energy_direction"] as const
export type TimelineName = (typeof timelineNames)[number]
export type Timelines = Readonly<Record<TimelineName, ReadonlyArray<Period>>>

/** What the source says of an accounting point for the time that was asked. */
export interface AccountingPointAnswer {
  readonly gsrn: Gsrn
  readonly timelines: Timelines
  readonly entityTypes: ReadonlyMap<string, EntityType>
  readonly location: Location | undefined
}

/** An end user with 11 digits is a person, one with 9 an organisation. */
export const entityTypeOf = (endUser: string): EntityType => (endUser.length === 11 ? "person" : "organisation")

/** Splits a timeline into the ones that must not overlap within themselves: one per direction, else just one. */
export const strands = <P extends Period>(
  name: TimelineName,
  timeline: ReadonlyArray<P>
): ReadonlyArray<ReadonlyArray<P>> =>
  name === "energy_direction"
    ? Direction.literals.map((direction) => timeline.filter((period) => period.value === direction))
    : [timeline]

const validity = {
  valid_from: Bound,
  valid_to: Schema.optionalKey(Schema.NullOr(Bound).annotate({ description: "Excluded; absent or null means open." }))
}
interface Validity {
  readonly valid_from: number
  readonly valid_to?: number | null | undefined
}

/** The last day of the year 9999 in whichever zone, or later: a date only to systems that have no word for open. */
const endOfDates: Instant = Date.UTC(9999, 11, 30)
const endOf = ({ valid_to: end }: Validity): Instant | undefined =>
  end === undefined || end === null || end >= endOfDates ? undefined : end

const inOrder = Schema.makeFilter(
  (row: Validity) => (endOf(row) ?? Infinity) > row.valid_from || "valid_to must be later than valid_from"
)
const OneOrBothDirections = Schema.Union([
  Direction,
  Schema.Array(Direction).check(Schema.isMinLength(1, { message: "must hold at least one direction" }))
])

/** The body of the adapter's 200, snake_case as it is sent. Unknown further fields are ignored. */
export const AdapterBody = Schema.Struct({
  gsrn: Schema.String.annotate({ description: "The one that was asked for." }),
  end_user: Schema.Array(
    Schema.Struct({
      business_id: EndUserNumber,
      entity_type: Schema.optionalKey(Schema.NullOr(EntityType)),
      ...validity
    }).check(inOrder)
  ).annotate({
    description: "Rows that do not overlap, as in every timeline. Persons have 11 digits, organisations 9."
  }),
  energy_supplier: Schema.Array(Schema.Struct({ business_id: Gln, ...validity }).check(inOrder)).annotate({
    description: "By GLN."
  }),
  metering_grid_area: Schema.Array(Schema.Struct({ business_id: EicY, ...validity }).check(inOrder)).annotate({
    description: "By EIC code of type Y."
  }),
  energy_direction: Schema.optionalKey(
    Schema.NullOr(Schema.Array(Schema.Struct({ direction: OneOrBothDirections, ...validity }).check(inOrder)))
  ),
  latitude: Schema.optionalKey(Schema.NullOr(Schema.Finite.check(Schema.isBetween({ minimum: -90, maximum: 90 })))),
  longitude: Schema.optionalKey(Schema.NullOr(Schema.Finite.check(Schema.isBetween({ minimum: -180, maximum: 180 }))))
})
export type AdapterBody = typeof AdapterBody.Type

/** The answer a body carries; a text says what is wrong with a body that contradicts itself. */
export const answerFromBody = (gsrn: Gsrn, body: AdapterBody): AccountingPointAnswer | string => {
  if (body.gsrn !== gsrn) return "the answer is about another GSRN than the one asked for"
  const period = (value: string, row: Validity): Period => ({ value, from: row.valid_from, to: endOf(row) })
  const timelines: Timelines = {
    end_user: body.end_user.map((row) => period(row.business_id, row)),
    energy_supplier: body.energy_supplier.map((row) => period(row.business_id, row)),
    metering_grid_area: body.metering_grid_area.map((row) => period(row.business_id, row)),
    energy_direction: (body.energy_direction ?? []).flatMap((row) =>
      [...new Set(Array.isArray(row.direction) ? row.direction : [row.direction])].map((direction) =>
        period(direction, row)
      )
    )
  }
  for (const name of timelineNames) {
    if (strands(name, timelines[name]).some((strand) => findOverlap(strand) !== undefined)) {
      return `periods of ${name} overlap`
    }
  }
  const { latitude, longitude } = body
  return {
    gsrn,
    timelines,
    entityTypes: new Map(
      body.end_user.map((row) => [row.business_id, row.entity_type ?? entityTypeOf(row.business_id)])
    ),
    location: typeof latitude === "number" && typeof longitude === "number" ? { latitude, longitude } : undefined
  }
}

/** The copy of an accounting point. */
export interface KeptAccountingPoint {
  readonly timelines: Readonly<Record<TimelineName, ReadonlyArray<KeptPeriod>>>
  readonly location: Location | undefined
}

/** What has to be written to a copy. */
export interface AccountingPointChange {
  readonly timelines: Readonly<Partial<Record<TimelineName, TimelineChange>>>
  /** `undefined` leaves the location as it is, `null` clears it. */
  readonly location: Location | null | undefined
  /** Of the end users that may have to be created. */
  readonly entityTypes: ReadonlyMap<string, EntityType>
}

/** What must be written so that the copy agrees with an answer for the time from `asked` on; none when it does. */
export const difference = (
  kept: KeptAccountingPoint,
  answer: AccountingPointAnswer,
  asked: number
): AccountingPointChange | undefined => {
  const timelines: Partial<Record<TimelineName, TimelineChange>> = {}
  for (const name of timelineNames) {
    const wanted = strands(name, answer.timelines[name])
    const changes = strands(name, kept.timelines[name]).map((strand, i) => mergeTimeline(strand, wanted[i]!, asked))
    const change = {
      remove: changes.flatMap((each) => each.remove),
      update: changes.flatMap((each) => each.update),
      insert: changes.flatMap((each) => each.insert)
    }
    if (!isUnchanged(change)) timelines[name] = change
  }
  const moved =
    kept.location?.latitude !== answer.location?.latitude || kept.location?.longitude !== answer.location?.longitude
  if (!moved && Object.keys(timelines).length === 0) return undefined
  return { timelines, location: moved ? (answer.location ?? null) : undefined, entityTypes: answer.entityTypes }
}
