/**
 * Answers with status 200 that nobody can use: each wrong in one way that a reader has to notice.
 *
 * Spoilt from the true answer, so that all the rest of it is right: what a reader trips over is the fault and nothing
 * else. Which field is hit varies with the request.
 */
import type { SeededRandom } from "../SeededRandom.ts"
import { eicOf, gsrnOf } from "./InventedNumbers.ts"
import type { WireAnswer, WireRow } from "./WireAnswer.ts"

export const spoilingFaults = [
  "garbage",
  "truncated",
  "wrong_content_type",
  "other_gsrn",
  "missing_field",
  "malformed_value",
  "overlapping_rows"
] as const
export type SpoilingFault = (typeof spoilingFaults)[number]

export const isSpoilingFault = (fault: string): fault is SpoilingFault =>
  spoilingFaults.some((spoiling) => spoiling === fault)

export interface SpoiltAnswer {
  readonly body: string
  readonly contentType: string
}

/** The answer about the point with this index, spoilt. */
export const spoiltAnswer = (
  fault: SpoilingFault,
  answer: WireAnswer,
  index: number,
  random: SeededRandom
): SpoiltAnswer => {
  const text = JSON.stringify(answer)
  switch (fault) {
    case "garbage":
      return json(Array.from({ length: 200 }, () => String.fromCharCode(random.int(33, 255))).join(""))
    case "truncated":
      return json(text.slice(0, random.int(1, text.length - 1)))
    case "wrong_content_type":
      return { body: "<!doctype html><title>Signed out</title><p>Please sign in.</p>", contentType: "text/html" }
    case "other_gsrn":
      return json(JSON.stringify({ ...answer, gsrn: gsrnOf(index + 1) }))
    case "missing_field":
      return json(JSON.stringify(random.pick(missing)(answer)))
    case "malformed_value":
      return json(JSON.stringify(random.pick(malformed)(answer)))
    case "overlapping_rows":
      return json(JSON.stringify({ ...answer, metering_grid_area: [overlapping(1), overlapping(2)] }))
  }
}

const json = (body: string): SpoiltAnswer => ({ body, contentType: "application/json" })

type Spoil = (answer: WireAnswer) => object

const without =
  (name: keyof WireAnswer): Spoil =>
  (answer) =>
    Object.fromEntries(Object.entries(answer).filter(([key]) => key !== name))

/** With one row, which lacks or distorts a field, in place of all rows of the timeline. */
const withRow =
  (name: keyof WireAnswer, row: object): Spoil =>
  (answer) => ({ ...answer, [name]: [row] })

const since = "2020-01-01T00:00:00+01:00"

const missing: ReadonlyArray<Spoil> = [
  without("gsrn"),
  without("end_user"),
  without("energy_supplier"),
  without("metering_grid_area"),
  withRow("end_user", { valid_from: since }),
  withRow("energy_supplier", { business_id: "7080009900015" })
]

const malformed: ReadonlyArray<Spoil> = [
  withRow("energy_supplier", { business_id: "70800099", valid_from: since }),
  withRow("metering_grid_area", { business_id: "50ZGRID00000001P", valid_from: since }),
  withRow("end_user", { business_id: "0123", valid_from: since }),
  withRow("energy_supplier", { business_id: "7080009900015", valid_from: "2020-01-01T00:00:00" }),
  withRow("energy_supplier", { business_id: "7080009900015", valid_from: since, valid_to: "2019-01-01T00:00:00Z" }),
  withRow("energy_direction", { direction: ["sideways"], valid_from: since }),
  (answer) => ({ ...answer, end_user: "nobody" })
]

const overlapping = (number: number): WireRow => ({
  business_id: eicOf(number),
  valid_from: `202${number}-01-01T00:00:00Z`
})
