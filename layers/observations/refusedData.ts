/**
 * Which failures of a statement are about its data, so that no retry makes them fit.
 */
import { Predicate } from "effect"
import type { SqlError } from "effect/sql"

/** SQLSTATE classes 22 (data), 23 (integrity), 54 (limits), and what cannot be encoded: the reason, readable and without values. */
export const refusedData = ({ reason: { cause } }: SqlError.SqlError): string | undefined => {
  if (Predicate.isTagged(cause, "PgTypesCodecError")) return "a number or time beyond its column"
  const code = Predicate.hasProperty(cause, "code") ? String(cause.code) : ""
  return /^(?:22|23|54)/.test(code) ? `a value that the database does not take (SQLSTATE ${code})` : undefined
}
