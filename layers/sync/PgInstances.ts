/**
 * Instances announce themselves in a table and expire when they fall silent; the database's clock decides. One whose own row
 * is locked by another session goes on counting the others.
 */
import { Duration, Effect, Layer, Option, Ref, Schema } from "effect"
import { SqlClient } from "effect/sql"
import { sayOnce } from "../../src/running/sayOnce.ts"
import { repeatPass } from "../../src/running/Loop.ts"
import { AdapterWatch } from "../../src/sync/AdapterWatch.ts"
import { Instances, type Standing } from "../../src/sync/Instances.ts"
import { secondsSince } from "../postgres/epochNumbers.ts"
import { isLockTimeout, untilFree, waitBriefly } from "../postgres/heldRows.ts"
import { Settings } from "../Settings.ts"
import { mapSqlFailure } from "../postgres/sqlFailures.ts"
import { rowsAs } from "../postgres/statementArrays.ts"
import { StoreUnavailable } from "../../src/domain/StoreUnavailable.ts"

const announceEvery = Duration.seconds(10)
const plain = mapSqlFailure((cause) => new StoreUnavailable({ cause }))

const isAlive = (instance: string) => `${instance}.seen_at > now() - interval '30 seconds'`

/** Of an instance that knows of no other. */
const alone: Standing = { rank: 0, count: 1 }

export const PgInstances = Layer.effect(
  Instances,
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const roles = [...(yield* Settings.PENSTOCK_ROLES.config)]
    const [announced] = yield* sql<{ id: string }>`
        INSERT INTO penstock_instances (id, roles) VALUES (gen_random_uuid(), ${roles}::text[]) RETURNING id`
    const id = announced?.id ?? (yield* Effect.die(new Error("an INSERT returned no row")))
    const known = yield* Ref.make(alone)
    // This one counts itself, however long ago it was able to announce itself.
    const readStanding = sql<Standing>`
      SELECT 1 + count(*)::int4 AS count, (count(*) FILTER (WHERE (other.started_at, other.id) < (own.started_at, own.id)))::int4 AS rank
      FROM penstock_instances own JOIN penstock_instances other ON other.id <> own.id
        AND 'sync' = ANY(other.roles) AND ${sql.literal(isAlive("other"))}
      WHERE own.id = ${id}`.pipe(
      Effect.map(([row]) => row ?? alone),
      Effect.tap((standing) => Ref.set(known, standing)),
      plain
    )
    /** A command that counts as an instance watches no adapter. */
    const watch = Option.getOrUndefined(yield* Effect.serviceOption(AdapterWatch))
    const announce = Effect.flatMap(
      watch?.told ?? Effect.undefined,
      (told) => sql`
        WITH limits AS MATERIALIZED (SELECT ${sql.literal(waitBriefly)}
        ), gone AS (
          DELETE FROM penstock_instances WHERE id = ANY(ARRAY(SELECT id FROM penstock_instances
            WHERE seen_at < now() - interval '1 day' AND id <> ${id}::uuid FOR UPDATE SKIP LOCKED))
        )
        INSERT INTO penstock_instances (id, roles, adapter)
        SELECT ${id}::uuid, ${roles}::text[], ${told === undefined ? null : JSON.stringify(told)}::jsonb FROM limits
        ON CONFLICT (id) DO UPDATE SET seen_at = now(), adapter = excluded.adapter`
    ).pipe(
      untilFree,
      Effect.catchIf(isLockTimeout, () =>
        sayOnce(
          "instances: held",
          Effect.logWarning("instances: somebody else holds the row of this instance, so others may not count it")
        )
      ),
      plain,
      Effect.andThen(readStanding)
    )
    yield* Effect.addFinalizer(() => Effect.ignore(sql`DELETE FROM penstock_instances WHERE id = ${id}`))
    yield* repeatPass({ name: "instances", pauses: announceEvery }, announce, () => Effect.sleep(announceEvery)).pipe(
      Effect.forkScoped
    )
    return Instances.of({
      countSyncing: Effect.map(readStanding, ({ count }) => count),
      standing: Ref.get(known)
    })
  })
)

const asRunning = rowsAs(Schema.Struct({ roles: Schema.Array(Schema.String), running_seconds: Schema.Number }))

/** All that are alive, the longest running first. */
export const readInstances = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  return yield* asRunning(sql`
    SELECT roles, ${sql.literal(secondsSince("started_at"))} AS running_seconds FROM penstock_instances i
    WHERE ${sql.literal(isAlive("i"))} ORDER BY started_at`)
})
