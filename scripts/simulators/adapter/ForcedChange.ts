/**
 * A change that somebody ordered, instead of waiting for the world to make it: what may be ordered, and how it is
 * remembered.
 *
 * It is one more word said about the point, at the moment it is ordered. The world goes on changing the point
 * afterwards, and its later word wins over this one as over any other.
 */
import { Schema } from "effect"
import { parseMoment } from "./OsloMidnight.ts"
import type { Statement } from "./Statement.ts"
import { timelineNames, type Location, type TimelineName } from "./Timelines.ts"

/** An RFC 3339 time as the caller wrote it. */
const Rfc3339 = Schema.String.check(
  Schema.makeFilter((text) => parseMoment(text) !== undefined || "must be an RFC 3339 time with an offset")
)

/**
 * - `move`: another end user, from now on.
 * - `switch`: another energy supplier, announced two weeks ahead.
 * - `merge`: another grid area, from the first of next month.
 * - `turn`: the next direction, from now on.
 * - `revert`, `postpone`: what is announced on a timeline (the supplier's, unless said) is withdrawn, or put off by a week.
 * - `empty`: the timeline (the supplier's, unless said) has no rows at all.
 * - `relocate`, `withdraw_location`: a location, or none any more (null).
 * - `forget`: the point becomes unknown (404). `restore`: everything that was ordered is undone.
 */
export const changeKinds = [
  "move",
  "switch",
  "merge",
  "turn",
  "revert",
  "postpone",
  "empty",
  "relocate",
  "withdraw_location",
  "forget",
  "restore"
] as const

/** An order. What is not said is invented, from the seed. */
export const ChangeOrder = Schema.Struct({
  kind: Schema.Literals(changeKinds),
  timeline: Schema.optionalKey(Schema.Literals(timelineNames)),
  /** The new end user, supplier, area or direction. Not checked: a wrong one is a way to answer nonsense. */
  value: Schema.optionalKey(Schema.String),
  valid_from: Schema.optionalKey(Rfc3339),
  latitude: Schema.optionalKey(Schema.Finite),
  longitude: Schema.optionalKey(Schema.Finite),
  /** Whether a thin event tells of it, where events are posted. */
  event: Schema.optionalKey(Schema.Boolean)
})
export type ChangeOrder = typeof ChangeOrder.Type

/** There was nothing announced that could be reverted or postponed. */
export class NothingAnnounced extends Schema.TaggedError<NothingAnnounced>()("NothingAnnounced", {
  gsrn: Schema.String,
  timeline: Schema.Literals(timelineNames)
}) {}

/** The simulator has no such accounting point. */
export class NoSuchPoint extends Schema.TaggedError<NoSuchPoint>()("NoSuchPoint", { gsrn: Schema.String }) {}

/** An order as it is remembered; `known` is the moment it was given. */
export type ForcedChange = { readonly known: number } & (
  | { readonly does: "say"; readonly timeline: TimelineName; readonly from: number; readonly value: string | undefined }
  | { readonly does: "revert"; readonly timeline: TimelineName }
  | { readonly does: "postpone"; readonly timeline: TimelineName; readonly by: number }
  | { readonly does: "locate"; readonly location: Location | null }
  | { readonly does: "forget" }
)

/** The statements about a timeline as they are after the forced changes; both lists are in order, the latest first. */
export const withForced = function* (
  statements: Iterable<Statement>,
  forced: ReadonlyArray<ForcedChange>,
  timeline: TimelineName
): Generator<Statement> {
  // Reverting and postponing change what was announced before them, and so far ahead as to lie after them.
  const corrections: Array<ForcedChange> = []
  const corrected = (statement: Statement): Statement | undefined => {
    let { from } = statement
    for (const correction of corrections.toReversed()) {
      if (from <= correction.known) continue
      if (correction.does === "revert") return undefined
      if (correction.does === "postpone") from += correction.by
    }
    return { ...statement, from }
  }
  const waiting = forced.filter((change) => "timeline" in change && change.timeline === timeline)
  const said = function* (before: number): Generator<Statement> {
    for (let change = waiting[0]; change !== undefined && change.known >= before; change = waiting[0]) {
      waiting.shift()
      if (change.does === "say") yield change
      else corrections.push(change)
    }
  }
  for (const statement of statements) {
    for (const one of said(statement.known)) {
      const left = corrected(one)
      if (left !== undefined) yield left
    }
    const left = corrected(statement)
    if (left !== undefined) yield left
  }
}
