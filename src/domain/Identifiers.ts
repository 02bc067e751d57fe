/**
 * The numbers by which the outside names things: GSRN, GLN, EIC, organisation number, birth date, UUID.
 *
 * Each is a branded schema whose message says what is wrong and never repeats the value: an 11-digit number is a
 * person, and what looks like a mistyped GSRN may be one too.
 */
import { Schema } from "effect"
import { exampleClaim, exampleGsrn, exampleUnit } from "./ExampleNumbers.ts"

/** The GS1 check digit of the digits before it: weights 3 and 1 alternate from the right. */
export const gs1CheckDigit = (digits: string): number => {
  let sum = 0
  for (let i = digits.length - 1, weight = 3; i >= 0; i--, weight = 4 - weight) {
    sum += (digits.charCodeAt(i) - 48) * weight
  }
  return (10 - (sum % 10)) % 10
}

const hasGs1CheckDigit = (text: string) => gs1CheckDigit(text.slice(0, -1)) === text.charCodeAt(text.length - 1) - 48

/** Global Service Relation Number of an accounting point: 18 digits, the first not 0, the last a GS1 check digit. */
export const Gsrn = Schema.String.annotate({
  description: "An accounting point: 18 digits, the first not 0, the last the GS1 check digit of those before it.",
  examples: [exampleGsrn]
})
  .check(
    Schema.isPattern(/^[1-9][0-9]{17}$/u, { message: "must be a GSRN: 18 digits, the first not 0" }),
    Schema.makeFilter((text: string) => hasGs1CheckDigit(text) || "must be a GSRN with a valid GS1 check digit")
  )
  .annotate({ identifier: "Gsrn" })
  .pipe(Schema.brand("Gsrn"))
export type Gsrn = typeof Gsrn.Type

/** Global Location Number of an energy supplier: 13 digits, the first not 0. */
export const Gln = Schema.String.check(
  Schema.isPattern(/^[1-9][0-9]{12}$/u, { message: "must be a GLN: 13 digits, the first not 0" })
).pipe(Schema.brand("Gln"))
export type Gln = typeof Gln.Type

/** Energy Identification Code of type Y, which names a metering grid area. */
export const EicY = Schema.String.check(
  Schema.isPattern(/^[0-9]{2}Y[0-9A-Z-]{13}$/u, { message: "must be an EIC code of type Y: 16 characters" })
).pipe(Schema.brand("EicY"))
export type EicY = typeof EicY.Type

/** The number of an end user as the datahub keeps it: 9 digits for an organisation, 11 for a person. */
export const EndUserNumber = Schema.String.check(
  Schema.isPattern(/^(?:[1-9][0-9]{8}|[0-9]{11})$/u, {
    message: "must be an organisation number (9 digits, the first not 0) or a personal number (11 digits)"
  })
).pipe(Schema.brand("EndUserNumber"))
export type EndUserNumber = typeof EndUserNumber.Type

/** What a caller of the lookup knows of an end user: an organisation number, or a person's birth date as DDMMYY. */
export const EndUserClaim = Schema.String.check(
  Schema.isPattern(/^(?:[0-9]{6}|[1-9][0-9]{8})$/u, {
    message: "must be a birth date as DDMMYY (6 digits) or an organisation number (9 digits, the first not 0)"
  })
)
  .annotate({
    identifier: "EndUserClaim",
    description:
      "A person's birth date as DDMMYY, which is compared with the first six digits of the personal number, or an organisation number of nine digits. What counts are those digits: for a D-number the day is the day of birth plus 40, so 1 January 1990 is 410190.",
    examples: [exampleClaim]
  })
  .pipe(Schema.brand("EndUserClaim"))
export type EndUserClaim = typeof EndUserClaim.Type

/** Business id of a controllable unit: a version 4 UUID in lower case. */
export const ControllableUnitId = Schema.String.annotate({ format: "uuid" })
  .check(
    Schema.isPattern(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/u, {
      message: "must be a version 4 UUID in lower case"
    })
  )
  .annotate({
    identifier: "ControllableUnitId",
    description: "A controllable unit: a version 4 UUID in lower case.",
    examples: [exampleUnit]
  })
  .pipe(Schema.brand("ControllableUnitId"))
export type ControllableUnitId = typeof ControllableUnitId.Type
