/**
 * The adapter contract as JSON Schema says what the code does: the file is made from the schemas that answers and events are decoded
 * with, and an independent validator comes to the same verdicts, but for the rules that the page names.
 */
import { assert, describe, it } from "@effect/vitest"
import { Ajv2020 } from "ajv/dist/2020.js"
import addFormats from "ajv-formats"
import { Result, Schema } from "effect"
import * as fc from "fast-check"
import { readFileSync } from "node:fs"
import { join, resolve } from "node:path"
import { contractText } from "../../scripts/adapterContract.ts"
import { AdapterBody, answerFromBody } from "../../src/domain/AccountingPoint.ts"
import { CloudEvent, PlainEvent } from "../../src/domain/ThinEvent.ts"
import { gsrnOf } from "../support/gsrns.ts"

const text = readFileSync(join(resolve(import.meta.dirname, "../.."), "docs/adapter-contract.schema.json"), "utf8")
const ajv = new Ajv2020({ allErrors: true, strict: true, allowUnionTypes: true })
addFormats.default(ajv)
ajv.addSchema(JSON.parse(text), "contract")

const schemaTakes = (part: string, value: unknown): boolean => ajv.getSchema(`contract${part}`)?.(value) === true
const codeTakes = (schema: Schema.Codec<unknown, unknown>) => {
  const decode = Schema.decodeUnknownResult(schema)
  return (value: unknown): boolean => Result.isSuccess(decode(value))
}

const gsrn = gsrnOf(1)
const decodeBody = Schema.decodeUnknownResult(AdapterBody)
/** As the client decides: what is decoded, and does not contradict itself or the question. */
const codeTakesAnswer = (value: unknown): boolean => {
  const body = decodeBody(value)
  return Result.isSuccess(body) && typeof answerFromBody(gsrn, body.success) !== "string"
}

const since = { valid_from: "2021-03-01T00:00:00+01:00" }
const answer = {
  gsrn: gsrn as string,
  end_user: [{ business_id: "01019912345", ...since }],
  energy_supplier: [{ business_id: "7080000000012", ...since }],
  metering_grid_area: [{ business_id: "50YINVENTED-AREA", ...since }]
}
const { end_user: _, ...withoutEndUsers } = answer
const endUser = (row: object) => ({ ...answer, end_user: [{ business_id: "987654321", ...since, ...row }] })

const good: Readonly<Record<string, unknown>> = {
  "what must be there": answer,
  "empty timelines": { gsrn, end_user: [], energy_supplier: [], metering_grid_area: [] },
  "nulls for what is open and what is optional": {
    ...endUser({ valid_to: null, entity_type: null }),
    energy_direction: null,
    latitude: null,
    longitude: null
  },
  "a place": { ...answer, latitude: 59.9, longitude: -10 },
  "a direction": { ...answer, energy_direction: [{ direction: "production", ...since }] },
  "both directions at once": { ...answer, energy_direction: [{ direction: ["consumption", "production"], ...since }] },
  "an organisation that says so": endUser({ entity_type: "organisation" }),
  "times of all kinds": endUser({ valid_from: "2021-03-01t00:00:00.123456z", valid_to: "9999-12-31T23:59:59-11:30" }),
  "further fields": { ...answer, grid_owner: "invented", end_user: [{ ...answer.end_user[0], name: "x" }] }
}
const bad: Readonly<Record<string, unknown>> = {
  "no object": [answer],
  "a timeline that is missing": withoutEndUsers,
  "a timeline that is null": { ...answer, energy_supplier: null },
  "a GSRN that is a number": { ...answer, gsrn: 7.070575e17 },
  "a row without a beginning": { ...answer, end_user: [{ business_id: "987654321" }] },
  "ten digits": endUser({ business_id: "9876543210" }),
  "an organisation that begins with 0": endUser({ business_id: "087654321" }),
  "a number for a text": endUser({ business_id: 987654321 }),
  "another type of entity": endUser({ entity_type: "company" }),
  "a GLN of twelve digits": { ...answer, energy_supplier: [{ business_id: "708000000001", ...since }] },
  "an EIC of another type": { ...answer, metering_grid_area: [{ business_id: "50XINVENTED-AREA", ...since }] },
  "an EIC in small letters": { ...answer, metering_grid_area: [{ business_id: "50Yinvented-area", ...since }] },
  "no direction in a list of them": { ...answer, energy_direction: [{ direction: [], ...since }] },
  "another direction": { ...answer, energy_direction: [{ direction: "storage", ...since }] },
  "a time without an offset": endUser({ valid_from: "2021-03-01T00:00:00" }),
  "a date": endUser({ valid_from: "2021-03-01" }),
  "a blank for the T": endUser({ valid_from: "2021-03-01 00:00:00Z" }),
  "30 February": endUser({ valid_from: "2021-02-30T00:00:00Z" }),
  "29 February of a common year": endUser({ valid_from: "2021-02-29T00:00:00Z" }),
  "an hour that no day has": endUser({ valid_from: "2021-03-01T25:00:00Z" }),
  "the hour 24": endUser({ valid_from: "2021-03-01T24:00:00Z" }),
  "an offset of a day": endUser({ valid_from: "2021-03-01T00:00:00+24:00" }),
  "an empty end": endUser({ valid_to: "" }),
  "a latitude beyond the pole": { ...answer, latitude: 90.5 },
  "a longitude as text": { ...answer, longitude: "10.7" }
}
/** Named on the page as what the schema cannot say. */
const unsaid: Readonly<Record<string, unknown>> = {
  "another GSRN": { ...answer, gsrn: gsrnOf(2) },
  "an end before the beginning": endUser({ valid_to: "2020-03-01T00:00:00Z" }),
  "an end at the beginning": endUser({ valid_to: since.valid_from }),
  "rows that overlap": { ...answer, end_user: [...answer.end_user, { business_id: "987654321", ...since }] },
  "a direction twice": {
    ...answer,
    energy_direction: [
      { direction: "production", ...since },
      { direction: ["production"], ...since }
    ]
  },
  "a leap second": endUser({ valid_from: "2016-12-31T23:59:60Z" }),
  "the year 0": endUser({ valid_from: "0000-03-01T00:00:00Z" })
}

const now = "2026-01-01T00:00:00Z"
const cloudEvent = { specversion: "1.0", id: "1", source: "/a", type: "changed", subject: gsrn as string, time: now }
const events: ReadonlyArray<readonly [part: string, code: (value: unknown) => boolean, value: unknown, good: boolean]> =
  [
    ["#/$defs/event", codeTakes(PlainEvent), { gsrn, occurred_at: "2026-01-01T00:00:00.123456+01:00" }, true],
    ["#/$defs/event", codeTakes(PlainEvent), { gsrn, occurred_at: now, more: 1 }, true],
    ["#/$defs/event", codeTakes(PlainEvent), { gsrn }, false],
    ["#/$defs/event", codeTakes(PlainEvent), { gsrn: "123", occurred_at: now }, false],
    ["#/$defs/event", codeTakes(PlainEvent), { gsrn, occurred_at: "2026-01-01" }, false],
    ["#/$defs/cloud_event", codeTakes(CloudEvent), cloudEvent, true],
    ["#/$defs/cloud_event", codeTakes(CloudEvent), { ...cloudEvent, data: {}, dataschema: "/s" }, true],
    ["#/$defs/cloud_event", codeTakes(CloudEvent), { ...cloudEvent, specversion: "0.3" }, false],
    ["#/$defs/cloud_event", codeTakes(CloudEvent), { ...cloudEvent, id: "" }, false],
    ["#/$defs/cloud_event", codeTakes(CloudEvent), { ...cloudEvent, subject: undefined }, false]
  ]

describe("docs/adapter-contract.schema.json", () => {
  it("is made from the code; `npm run contract` writes it anew", () => {
    assert.strictEqual(text, contractText())
  })

  it.each(Object.entries(good))("takes, as the code does: %s", (_name, value) => {
    assert.isTrue(codeTakesAnswer(value))
    assert.isTrue(schemaTakes("", value), JSON.stringify(ajv.getSchema("contract")?.errors))
  })
  it.each(Object.entries(bad))("refuses, as the code does: %s", (_name, value) => {
    assert.deepStrictEqual([codeTakesAnswer(value), schemaTakes("", value)], [false, false])
  })
  it.each(Object.entries(unsaid))("cannot say, and the code refuses: %s", (_name, value) => {
    assert.deepStrictEqual([codeTakesAnswer(value), schemaTakes("", value)], [false, true])
  })

  it("comes to the code's verdict on events, but for the check digit and times ahead", () => {
    for (const [part, code, value, isGood] of events) {
      assert.deepStrictEqual([code(value), schemaTakes(part, value)], [isGood, isGood], JSON.stringify(value))
    }
    const misspelt = { gsrn: "707057500000000019", occurred_at: now }
    assert.deepStrictEqual([codeTakes(PlainEvent)(misspelt), schemaTakes("#/$defs/event", misspelt)], [false, true])
  })

  it("refuses nothing that the code takes, and takes nothing else that it refuses", () => {
    const pick = <A>(...values: ReadonlyArray<A>) => fc.constantFrom(...values)
    const time = pick<unknown>(
      "2021-03-01T00:00:00Z",
      "2021-03-01T00:00:00.5+14:00",
      "2024-02-29T23:59:59-00:00",
      "2023-02-29T00:00:00Z",
      "2021-03-01T00:00:00",
      "2021-13-01T00:00:00Z",
      "2021-03-01T00:61:00Z",
      "2021-03-01T00:00:00+0100",
      "2021-03-01T00:00:00.Z",
      " 2021-03-01T00:00:00Z",
      "",
      0,
      null
    )
    const id = pick<unknown>("987654321", "01019912345", "7080000000012", "50YINVENTED-AREA", "0", 1, null, undefined)
    const row = fc.record(
      { business_id: id, valid_from: time, valid_to: time, entity_type: pick<unknown>("person", "x", null) },
      { requiredKeys: [] }
    )
    const rows = fc.oneof(
      { weight: 9, arbitrary: fc.array(row, { maxLength: 1 }) },
      { weight: 1, arbitrary: fc.anything() }
    )
    const body = fc.record(
      {
        gsrn: pick<unknown>(gsrn, gsrn, gsrn, 1),
        end_user: rows,
        energy_supplier: rows,
        metering_grid_area: rows,
        latitude: pick<unknown>(0, 91, "0", null)
      },
      { requiredKeys: [] }
    )
    const asSent = (value: unknown): unknown => JSON.parse(JSON.stringify(value) ?? "null")
    fc.assert(
      fc.property(body, (made) => {
        const value = asSent(made)
        const decoded = decodeBody(value)
        const inOrder = Result.isSuccess(decoded) || !schemaTakes("", value) || isOutOfOrder(value)
        assert.isTrue(inOrder, "the schema takes what the code refuses")
        if (Result.isSuccess(decoded)) assert.isTrue(schemaTakes("", value), "the schema refuses what the code takes")
      }),
      { numRuns: 500 }
    )
  })
})

/** Some row ends before it begins. */
const isOutOfOrder = (body: unknown): boolean =>
  Object.values(body as Record<string, unknown>)
    .flatMap((rows) => (Array.isArray(rows) ? rows : []))
    .some((row) => row?.valid_to !== undefined && Date.parse(row.valid_to) <= Date.parse(row.valid_from))
