/**
 * Columns of values as typed arrays for `unnest`, and the rows of a statement through a schema: for statements that work on
 * whole batches.
 */
import { PgTypes } from "@effect/sql-pg"
import { Effect, Predicate, Result, Schema } from "effect"
import type { SqlError } from "effect/sql"

const array = (oid: number) => (values: ReadonlyArray<unknown>) => Result.getOrThrow(PgTypes.array(values, oid))
export const int4s = array(PgTypes.OID.int4)
export const int8s = (values: ReadonlyArray<number>) => array(PgTypes.OID.int8)(values.map(BigInt))
export const float8s = array(PgTypes.OID.float8)
export const texts = array(PgTypes.OID.text)
export const byteas = array(PgTypes.OID.bytea)
export const flags = array(PgTypes.OID.bool)
export const moments = array(PgTypes.OID.timestamptz)

/** A column that is all null is sent empty: `unnest` fills it up. */
export const sparse = (of: typeof texts, values: ReadonlyArray<unknown>): PgTypes.Parameter =>
  of(values.every(Predicate.isNullish) ? [] : values.map((value) => value ?? null))

/** The rows of a statement about what only we write, as the schema has them; other rows are a fault of this file. */
export const rowsAs = <S extends Schema.Codec<unknown, unknown>>(row: S) => {
  const decode = Schema.decodeUnknownEffect(Schema.Array(row))
  return (statement: Effect.Effect<ReadonlyArray<unknown>, SqlError.SqlError>) =>
    statement.pipe(Effect.flatMap(decode), Effect.catchTag("SchemaError", Effect.die))
}
