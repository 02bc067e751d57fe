/**
 * Controllable units in PostgreSQL. The upsert locks the unit's row, so that the technical resources of two
 * registrations at the same time never mix. Locked rows are waited for without a connection.
 */
import { Effect, Layer, Option, Schema } from "effect"
import { SqlClient, SqlSchema } from "effect/sql"
import { ControllableUnits, RegisteredUnit } from "../../src/lookup/ControllableUnits.ts"
import { ControllableUnitId, Gsrn } from "../../src/domain/Identifiers.ts"
import { PlainDate } from "../../src/domain/OsloDay.ts"
import { inBriefTransaction } from "../postgres/heldRows.ts"
import { mapSqlFailure } from "../postgres/sqlFailures.ts"
import { StoreUnavailable } from "../../src/domain/StoreUnavailable.ts"

const plain = mapSqlFailure((cause) => new StoreUnavailable({ cause }))

export const PgControllableUnits = Layer.effect(
  ControllableUnits,
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient

    /** Nothing is written, and no row comes back, when the accounting point is not here. */
    const upsert = SqlSchema.findOneOption({
      Request: Schema.Struct({
        businessId: ControllableUnitId,
        gsrn: Gsrn,
        name: Schema.String,
        startDate: Schema.NullOr(PlainDate)
      }),
      Result: Schema.Struct({ id: Schema.Int, created: Schema.Boolean }),
      execute: ({ businessId, gsrn, name, startDate }) => sql`
        WITH before AS (
          SELECT id FROM flex.controllable_unit WHERE business_id = ${businessId}::uuid AND status <> 'terminated'
        )
        INSERT INTO flex.controllable_unit AS u (business_id, name, start_date, accounting_point_id)
        SELECT ${businessId}::uuid, ${name}, ${startDate}::date, id FROM flex.accounting_point WHERE business_id = ${gsrn}
        ON CONFLICT (business_id) DO UPDATE SET name = excluded.name, start_date = excluded.start_date,
          accounting_point_id = excluded.accounting_point_id, updated_at = now(),
          status = CASE u.status WHEN 'terminated' THEN 'new' ELSE u.status END
        RETURNING u.id, NOT EXISTS (SELECT FROM before) AS created`
    })

    /** Those whose name is given stay as they are, of several with one name the oldest ones. */
    const replaceResources = (unitId: number, names: ReadonlyArray<string>) => sql`
      WITH given AS (
        SELECT name, place, row_number() OVER (PARTITION BY name ORDER BY place) AS nth
        FROM unnest(${names}::text[]) WITH ORDINALITY AS named (name, place)
      ), kept AS (
        SELECT id, name, row_number() OVER (PARTITION BY name ORDER BY id) AS nth
        FROM flex.technical_resource WHERE controllable_unit_id = ${unitId}
      ), gone AS (
        DELETE FROM flex.technical_resource r USING kept k
        WHERE r.id = k.id AND NOT EXISTS (SELECT FROM given g WHERE g.name = k.name AND g.nth = k.nth)
      )
      INSERT INTO flex.technical_resource (name, controllable_unit_id)
      SELECT g.name, ${unitId}::int4 FROM given g
      WHERE NOT EXISTS (SELECT FROM kept k WHERE k.name = g.name AND k.nth = g.nth) ORDER BY g.place`

    const registered = SqlSchema.findOne({
      Request: Schema.Int,
      Result: RegisteredUnit,
      execute: (id) => sql`
        SELECT u.id, u.business_id::text AS business_id, u.name, u.status, u.start_date::text AS start_date,
          jsonb_build_object('id', a.id, 'business_id', a.business_id) AS accounting_point,
          coalesce((SELECT jsonb_agg(jsonb_build_object('id', r.id, 'name', r.name) ORDER BY r.id)
            FROM flex.technical_resource r WHERE r.controllable_unit_id = u.id), '[]') AS technical_resources
        FROM flex.controllable_unit u JOIN flex.accounting_point a ON a.id = u.accounting_point_id
        WHERE u.id = ${id}`
    })

    return ControllableUnits.of({
      put: (businessId, registration) =>
        Effect.gen(function* () {
          const { accounting_point: gsrn, name, start_date, technical_resources } = registration
          const written = yield* upsert({ businessId, gsrn, name, startDate: start_date ?? null })
          if (Option.isNone(written)) return undefined
          const { created, id } = written.value
          if (technical_resources !== undefined) {
            yield* replaceResources(
              id,
              technical_resources.map((resource) => resource.name)
            )
          }
          return { unit: yield* registered(id), created }
        }).pipe(
          inBriefTransaction(sql),
          Effect.catchTags({ SchemaError: Effect.die, NoSuchElementError: Effect.die }),
          plain
        ),

      terminate: (businessId) =>
        inBriefTransaction(sql)(
          sql`
            UPDATE flex.controllable_unit SET updated_at = CASE status WHEN 'terminated' THEN updated_at ELSE now() END,
              status = 'terminated'
            WHERE business_id = ${businessId}::uuid RETURNING id`
        ).pipe(
          Effect.map((rows) => rows.length > 0),
          plain
        )
    })
  })
)
