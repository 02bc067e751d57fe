/**
 * Whether an end user is the one a caller claims: a person by the birth date, the first six digits of eleven; an
 * organisation by its number.
 *
 * One pattern says it for the program and for the database, in the form that `LIKE` reads: `_` is any one character. A claim
 * is digits only, so nothing in it has another meaning there.
 */
import type { EndUserClaim } from "./Identifiers.ts"

/** What the number of an end user must look like. */
export const claimPattern = (claim: EndUserClaim): string => (claim.length === 6 ? `${claim}_____` : claim)

/** Whether an end user of this number is the one claimed. */
export const isClaimedBy = (endUserNumber: string, claim: EndUserClaim): boolean => {
  const pattern = claimPattern(claim)
  return (
    endUserNumber.length === pattern.length &&
    [...pattern].every((character, i) => character === "_" || character === endUserNumber[i])
  )
}
