/**
 * Records of the observations topic, read by schemas of our readers, which refuse every field they do not know; and what
 * the store gets of them.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import type { ObservationMessage } from "../../src/domain/Observation.ts"
import { fromObservationRecord, toObservationRecord } from "../../src/stream/observationRecord.ts"

/** As a reader has them that was written from the interface alone. */
const SiteDetails = Schema.Struct({
  type: Schema.Literal("SITE_DETAILS"),
  councilId: Schema.Int,
  siteName: Schema.String,
  location: Schema.NullOr(Schema.Struct({ easting: Schema.Finite, northing: Schema.Finite }))
})
const ObservationData = Schema.Struct({
  type: Schema.Literal("OBSERVATION_DATA"),
  councilId: Schema.Int,
  siteName: Schema.String,
  measurementName: Schema.String,
  observations: Schema.Array(
    Schema.Struct({
      observedAt: Schema.String.check(Schema.isPattern(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+12:00$/)),
      value: Schema.Finite,
      qualifier: Schema.optionalKey(Schema.Literals(["<", ">"])),
      quality: Schema.optionalKey(Schema.Int)
    })
  )
})
const read = Schema.decodeUnknownSync(Schema.fromJsonString(Schema.Union([SiteDetails, ObservationData])), {
  onExcessProperty: "error"
})

const base = { councilId: 9, siteName: "Awa-a-Tāne" }
const messages: ReadonlyArray<ObservationMessage> = [
  { type: "SITE_DETAILS", ...base, location: { easting: 1_769_471.5, northing: 2, projection: "NZTM2000" } },
  { type: "SITE_DETAILS", ...base, location: { easting: 1, northing: 2 } },
  { type: "SITE_DETAILS", ...base, location: null, geographicLocation: { latitude: -41.25, longitude: 174.5 } },
  { type: "SITE_DETAILS", ...base, location: null },
  {
    type: "OBSERVATION_DATA",
    ...base,
    measurementName: "Flow",
    units: "m³/s",
    observations: [
      { observedAt: "2026-01-01T00:00:00+12:00", value: "12.50" },
      { observedAt: "2026-01-01T00:05:00+12:00", value: "0.002", qualifier: "<", quality: 500 }
    ]
  }
]

const recordOf = (message: ObservationMessage) =>
  toObservationRecord({
    topic: "observations",
    key: {},
    message,
    fetchedAt: "2026-02-01T00:00:00.000Z",
    covers: { from: 1_000, until: 2_000 },
    source: { partition: 3, offset: 17, at: 9_000 },
    traceparent: undefined
  })

describe("a record of the observations topic", () => {
  it("has the fields of the interface and no others", () => {
    for (const message of messages) read(recordOf(message).value)
  })

  it.effect("gives the store all that the document said", () =>
    Effect.gen(function* () {
      for (const message of messages) {
        const { headers = {}, value } = recordOf(message)
        assert.deepStrictEqual(yield* fromObservationRecord({ offset: 5, value, headers, at: 7 }), {
          offset: 5,
          message,
          seenAt: Date.UTC(2026, 1, 1),
          covers: { from: 1_000, until: 2_000 },
          source: { partition: 3, offset: 17, at: 9_000 }
        })
      }
    })
  )

  it.effect("is read without headers too, and with the fields in the value as they once were", () =>
    Effect.gen(function* () {
      for (const message of messages) {
        const value = JSON.stringify(message, (key, one: unknown) =>
          key === "value" ? JSON.rawJSON(String(one)) : one
        )
        const found = yield* fromObservationRecord({ offset: 5, value, headers: { covers_from: "x" }, at: 7 })
        assert.deepStrictEqual(found, { offset: 5, message, seenAt: 7, covers: undefined, source: undefined })
      }
    })
  )
})
