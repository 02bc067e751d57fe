/**
 * Who claims an end user rightly.
 */
import { assert, it } from "@effect/vitest"
import { claimPattern, isClaimedBy } from "../../src/domain/endUserMatch.ts"
import { EndUserClaim } from "../../src/domain/Identifiers.ts"

const claimed = (number: string, claim: string) => isClaimedBy(number, EndUserClaim.make(claim))

it("A person is claimed by the birth date, and by nothing else", () => {
  assert.isTrue(claimed("01019012345", "010190"))
  assert.isFalse(claimed("02019012345", "010190"))
  assert.isFalse(claimed("01019012345", "901234567"))
})

it("An organisation is claimed by its whole number", () => {
  assert.isTrue(claimed("912345678", "912345678"))
  assert.isFalse(claimed("912345679", "912345678"))
  assert.isFalse(claimed("912345678", "912345"), "its first six digits are no birth date")
})

it("The pattern is what LIKE reads: five characters are open after a birth date, none after a number", () => {
  assert.strictEqual(claimPattern(EndUserClaim.make("010190")), "010190_____")
  assert.strictEqual(claimPattern(EndUserClaim.make("912345678")), "912345678")
})
