/**
 * Instances announce themselves in a table and expire when they fall silent; the database's clock decides.
 */
import { Duration, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { repeatPass } from "../src/domain/Loop.ts"
import { Instances } from "../src/sync/Instances.ts"
import { StoreUnavailable } from "../src/sync/LockStore.ts"
import { Settings } from "./Settings.ts"
import { mapSqlFailure } from "./sqlFailures.ts"

const announceEvery = Duration.seconds(10)
const plain = mapSqlFailure((cause) => new StoreUnavailable({ cause }))

export const PgInstances = Layer.effect(
  Instances,
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const roles = [...(yield* Settings.PENSTOCK_ROLES.config)]
    const [announced] = yield* sql<{ id: string }>`
        INSERT INTO penstock_instances (id, roles) VALUES (gen_random_uuid(), ${roles}::text[]) RETURNING id`
    const id = announced?.id ?? (yield* Effect.die(new Error("an INSERT returned no row")))
    const announce = sql`
        INSERT INTO penstock_instances (id, roles) VALUES (${id}, ${roles}::text[])
        ON CONFLICT (id) DO UPDATE SET seen_at = now()`.pipe(
      Effect.andThen(sql`DELETE FROM penstock_instances WHERE seen_at < now() - interval '1 day'`),
      plain
    )
    yield* Effect.addFinalizer(() => Effect.ignore(sql`DELETE FROM penstock_instances WHERE id = ${id}`))
    yield* repeatPass({ name: "instances", patience: "2 minutes" }, announce, () => Effect.sleep(announceEvery)).pipe(
      Effect.forkScoped
    )
    return Instances.of({
      countSyncing: sql<{ count: number }>`
          SELECT count(*)::int4 AS count FROM penstock_instances
          WHERE 'sync' = ANY(roles) AND seen_at > now() - interval '30 seconds'`.pipe(
        Effect.map((rows) => Math.max(1, rows[0]?.count ?? 1)),
        plain
      )
    })
  })
)
