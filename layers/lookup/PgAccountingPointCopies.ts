/**
 * Kept copies for readers, from PostgreSQL in one statement. A person's number is left out there already.
 *
 * The tag is a digest of all that is shown, so that it changes with every sync, failure and event, and with nothing else.
 */
import { Effect, Layer, Option, Schema } from "effect"
import { SqlClient, SqlSchema } from "effect/sql"
import { AccountingPointCopies } from "../../src/lookup/AccountingPointCopies.ts"
import { Direction, EntityType } from "../../src/domain/AccountingPoint.ts"
import { Gsrn } from "../../src/domain/Identifiers.ts"
import { endOf, startOf } from "../sync/periodBounds.ts"
import { mapSqlFailure } from "../postgres/sqlFailures.ts"
import { finite, writableMillis } from "../postgres/writableValues.ts"
import { StoreUnavailable } from "../../src/domain/StoreUnavailable.ts"

const plain = mapSqlFailure((cause) => new StoreUnavailable({ cause }))

const validity = { valid_from: Schema.Finite, valid_to: Schema.NullOr(Schema.Finite) }
const Coded = Schema.Struct({ id: Schema.Int, business_id: Schema.String, ...validity })

/** As `AccountingPointCopy` has it inside, times in milliseconds. */
const Shown = Schema.Struct({
  id: Schema.Int,
  business_id: Schema.String,
  location: Schema.NullOr(Schema.Struct({ latitude: Schema.Finite, longitude: Schema.Finite })),
  end_user: Schema.Array(
    Schema.Struct({ id: Schema.Int, type: EntityType, business_id: Schema.optionalKey(Schema.String), ...validity })
  ),
  energy_supplier: Schema.Array(Coded),
  metering_grid_area: Schema.Array(Coded),
  energy_direction: Schema.Array(Schema.Struct({ direction: Direction, ...validity })),
  sync: Schema.Struct({
    version: Schema.Int,
    last_synced_at: Schema.NullOr(Schema.Finite),
    last_sync_start: Schema.NullOr(Schema.Finite),
    last_event_at: Schema.NullOr(Schema.Finite),
    failures: Schema.Int,
    next_attempt_at: Schema.NullOr(Schema.Finite),
    last_error: Schema.NullOr(Schema.String)
  })
})

const millis = (expression: string) => `floor(${writableMillis(expression)})`
const period = `'valid_from', ${millis(startOf("t.valid_time_range"))}, 'valid_to', ${millis(endOf("t.valid_time_range"))}`

const timeline = (name: string, fields: string, code: string) =>
  `coalesce((SELECT jsonb_agg(${fields} || jsonb_build_object(${period}) ORDER BY lower(t.valid_time_range), t.id)
    FROM flex.accounting_point_${name} t ${code} WHERE t.accounting_point_id = a.id), '[]')`

const coded = (name: string) =>
  timeline(
    name,
    "jsonb_build_object('id', c.id, 'business_id', c.business_id)",
    `JOIN flex.${name} c ON c.id = t.${name}_id`
  )

/** Eleven digits are a person, whatever the adapter says that they are. */
const endUsers = timeline(
  "end_user",
  `jsonb_build_object('id', c.id, 'type', c.type) || CASE WHEN c.type = 'organisation' AND c.business_id !~ '^[0-9]{11}$'
    THEN jsonb_build_object('business_id', c.business_id) ELSE '{}' END`,
  "JOIN flex.end_user c ON c.id = t.end_user_id"
)

const shown = `jsonb_build_object('id', a.id, 'business_id', a.business_id,
  'location', CASE WHEN ${finite("a.latitude")} IS NOT NULL AND ${finite("a.longitude")} IS NOT NULL
    THEN jsonb_build_object('latitude', a.latitude, 'longitude', a.longitude) END,
  'end_user', ${endUsers},
  'energy_supplier', ${coded("energy_supplier")},
  'metering_grid_area', ${coded("metering_grid_area")},
  'energy_direction', ${timeline("energy_direction", "jsonb_build_object('direction', t.direction)", "")},
  'sync', jsonb_build_object('version', least(s.version, ${Number.MAX_SAFE_INTEGER}), 'last_synced_at', ${millis("s.last_synced_at")},
    'last_sync_start', ${millis("s.last_sync_start")}, 'last_event_at', ${millis("s.last_event_at")},
    'failures', s.failures, 'next_attempt_at', ${millis("s.next_attempt_at")}, 'last_error', s.last_error))`

export const PgAccountingPointCopies = Layer.effect(
  AccountingPointCopies,
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient

    const copyRow = SqlSchema.findOneOption({
      Request: Gsrn,
      Result: Schema.Struct({ copy: Shown, digest: Schema.String }),
      execute: (gsrn) => sql`
        SELECT copy, md5(copy::text) AS digest FROM (
          SELECT ${sql.literal(shown)} AS copy FROM flex.accounting_point a
          JOIN flex.accounting_point_sync s ON s.accounting_point_id = a.id
          WHERE a.business_id = ${gsrn}) found`
    })

    return AccountingPointCopies.of({
      find: (gsrn) =>
        copyRow(gsrn).pipe(
          Effect.map(
            Option.match({ onNone: () => undefined, onSome: ({ copy, digest }) => ({ copy, etag: `"${digest}"` }) })
          ),
          Effect.catchTag("SchemaError", (cause) => Effect.fail(new StoreUnavailable({ cause }))),
          plain
        )
    })
  })
)
