/** Invented GSRNs with valid check digits, by number. */
import { Gsrn, gs1CheckDigit } from "../../src/domain/Identifiers.ts"

export const gsrnOf = (index: number): Gsrn => {
  const digits = `70705750${String(index).padStart(9, "0")}`
  return Gsrn.make(`${digits}${gs1CheckDigit(digits)}`)
}
