/**
 * The marks of dead letters in PostgreSQL, by the primary key.
 */
import { Effect, Layer, Schema } from "effect"
import { SqlClient } from "effect/sql"
import { DeadLetterMarks, type Mark } from "../../src/api/DeadLetterMarks.ts"
import { StoreUnavailable } from "../../src/domain/StoreUnavailable.ts"
import { untilFree, waitBriefly } from "../postgres/heldRows.ts"
import { mapSqlFailure } from "../postgres/sqlFailures.ts"
import { rowsAs } from "../postgres/statementArrays.ts"
import { writableMillis } from "../postgres/writableValues.ts"

const plain = mapSqlFailure((cause) => new StoreUnavailable({ cause }))
const asMarks = rowsAs(Schema.Struct({ offset: Schema.Finite, at: Schema.Finite, by: Schema.String }))
const asCount = rowsAs(Schema.Struct({ n: Schema.Finite }))
const columns = `"offset"::float8 AS "offset", floor(${writableMillis("at")})::float8 AS at, by`

export const PgDeadLetterMarks = Layer.effect(
  DeadLetterMarks,
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    return DeadLetterMarks.of({
      mark: (topic, offset, by) =>
        untilFree(
          asMarks(sql`
            WITH limits AS MATERIALIZED (SELECT ${sql.literal(waitBriefly)})
            INSERT INTO dead_letters_redriven (topic, "offset", by) SELECT ${topic}, ${offset}::int8, ${by} FROM limits
            ON CONFLICT (topic, "offset") DO UPDATE SET at = now(), by = excluded.by RETURNING ${sql.literal(columns)}`)
        ).pipe(
          Effect.flatMap(([row]): Effect.Effect<Mark> =>
            row === undefined ? Effect.die(new Error("an INSERT returned no row")) : Effect.succeed(row)
          ),
          plain
        ),
      marked: (topic, from, until) =>
        asMarks(sql`
          SELECT ${sql.literal(columns)} FROM dead_letters_redriven
          WHERE topic = ${topic} AND "offset" >= ${from}::int8 AND "offset" < ${until}::int8`).pipe(
          Effect.map((rows) => new Map(rows.map(({ at, by, offset }) => [offset, { at, by }]))),
          plain
        ),
      count: (topic, from) =>
        asCount(
          sql`SELECT count(*)::float8 AS n FROM dead_letters_redriven WHERE topic = ${topic} AND "offset" >= ${from}::int8`
        ).pipe(
          Effect.map(([row]) => row?.n ?? 0),
          plain
        )
    })
  })
)
