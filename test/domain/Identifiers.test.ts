/** Numbers by which the outside names things: which are taken, and that a refusal never repeats them. */
import { assert, describe, it } from "@effect/vitest"
import { Option, Result, Schema } from "effect"
import { ControllableUnitId, EicY, EndUserClaim, EndUserNumber, Gln, Gsrn } from "../../src/domain/Identifiers.ts"
import { gsrnOf } from "../support/gsrns.ts"

const accepts = (schema: Schema.Codec<string, string>, text: string) =>
  Option.isSome(Schema.decodeUnknownOption(schema)(text))

describe("identifiers", () => {
  it("takes a GSRN with a valid check digit", () => {
    assert.isTrue(accepts(Gsrn, "735999102107573183"))
    assert.isTrue(accepts(Gsrn, gsrnOf(1)))
  })

  it("refuses a GSRN of another length, with a leading zero, or a wrong check digit", () => {
    for (const text of [
      "735999102107573184",
      "73599910210757318",
      "7359991021075731833",
      "035999102107573183",
      "x",
      ""
    ]) {
      assert.isFalse(accepts(Gsrn, text), text)
    }
  })

  it("takes birth dates and organisation numbers as a claim, and no personal number", () => {
    assert.isTrue(accepts(EndUserClaim, "010199"))
    assert.isTrue(accepts(EndUserClaim, "123456789"))
    for (const text of ["01019912345", "012345678", "12345", ""]) assert.isFalse(accepts(EndUserClaim, text), text)
  })

  it("takes organisation and personal numbers from the adapter", () => {
    assert.isTrue(accepts(EndUserNumber, "01019912345"))
    assert.isTrue(accepts(EndUserNumber, "123456789"))
    assert.isFalse(accepts(EndUserNumber, "012345678"))
  })

  it("knows GLN, EIC Y and version 4 UUID by their form", () => {
    assert.isTrue(accepts(Gln, "7080005010000"))
    assert.isFalse(accepts(Gln, "0080005010000"))
    assert.isTrue(accepts(EicY, "50Y-AB12CD34EF56"))
    assert.isFalse(accepts(EicY, "50X-AB12CD34EF56"))
    assert.isTrue(accepts(ControllableUnitId, "5f2c1a0e-8b7d-4c3e-9a1f-0123456789ab"))
    assert.isFalse(accepts(ControllableUnitId, "5F2C1A0E-8B7D-4C3E-9A1F-0123456789AB"))
    assert.isFalse(accepts(ControllableUnitId, "5f2c1a0e-8b7d-1c3e-9a1f-0123456789ab"))
  })

  it("never repeats the value in a refusal", () => {
    const refused = Schema.decodeUnknownResult(Gsrn)("01019912345")
    assert.isTrue(Result.isFailure(refused))
    if (Result.isFailure(refused)) assert.notInclude(String(refused.failure), "01019912345")
  })
})
