/**
 * A controllable unit: something behind an accounting point that can be steered, and its technical resources.
 *
 * A unit that is not terminated is what makes an accounting point relevant, so that its data may be kept at all.
 */
import { Schema } from "effect"
import { Gsrn } from "./Identifiers.ts"
import { PlainDate } from "./OsloDay.ts"

const Name = Schema.NonEmptyString.check(Schema.isMaxCodePoints(512)).annotate({
  description: "1 to 512 characters.",
  examples: ["Heat pump"]
})

/** What is registered of a unit (the body of `PUT /controllable_unit/{business_id}`). */
export const UnitRegistration = Schema.Struct({
  accounting_point: Gsrn,
  name: Name,
  start_date: Schema.optionalKey(Schema.NullOr(PlainDate)),
  technical_resources: Schema.optional(
    Schema.Array(Schema.Struct({ name: Name }))
      .check(Schema.isMaxLength(1_000))
      .annotate({
        description: "All that there are from now on, where they are given; otherwise they stay as they are."
      })
  )
}).annotate({ description: "What is registered of a controllable unit." })
export type UnitRegistration = typeof UnitRegistration.Type
