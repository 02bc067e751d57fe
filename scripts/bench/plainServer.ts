/**
 * The yardsticks of the `lookups` group: the HTTP stack of the service, with the lookup's own request and answer, and behind
 * it a constant (`/constant`), one `SELECT` by key (`/keyed`), or that with an entry in the audit trail (`/recorded`), which is on
 * the disk before the answer goes. No keys, ids, metrics or limits: those are Penstock's own.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Console, Effect, Layer } from "effect"
import { HttpRouter, HttpServer } from "effect/http"
import { HttpApi, HttpApiBuilder, HttpApiEndpoint, HttpApiGroup } from "effect/http-api"
import { SqlClient } from "effect/sql"
import { Database } from "../../layers/postgres/Database.ts"
import { nodeHttpServer } from "../../layers/api/HttpServer.ts"
import { LookupRequest, LookupResponse } from "../../src/api/AccountingPointApi.ts"

const lookupAt = <const Name extends string>(name: Name) =>
  HttpApiEndpoint.post(name, `/${name}`, { payload: LookupRequest, success: LookupResponse })

class PlainApi extends HttpApi.make("plain").add(
  HttpApiGroup.make("plain").add(lookupAt("constant"), lookupAt("keyed"), lookupAt("recorded"))
) {}

const answer = (id: number, gsrn: string): typeof LookupResponse.Type => ({
  accounting_point: { id, business_id: gsrn },
  end_user: { id: 1 },
  controllable_units: [
    {
      id: 1,
      business_id: "a3c0b1d2-0000-4000-8000-000000000001",
      name: "Heat pump",
      technical_resources: [{ id: 1, name: "Pump" }]
    }
  ]
})
const constant = answer(1, "707057500000000003")

const handlers = HttpApiBuilder.group(
  PlainApi,
  "plain",
  Effect.fnUntraced(function* (handlers) {
    const sql = yield* SqlClient.SqlClient
    type Point = { readonly id: number; readonly business_id: string }
    const first = <E>(rows: Effect.Effect<ReadonlyArray<Point>, E>) =>
      rows.pipe(
        Effect.flatMap(([row]) =>
          row === undefined ? Effect.die(new Error("no such row")) : Effect.succeed(answer(row.id, row.business_id))
        ),
        Effect.orDie
      )
    return handlers.handleAll({
      constant: () => Effect.succeed(constant),
      keyed: ({ payload }) =>
        first(
          sql<Point>`SELECT id, business_id FROM flex.accounting_point WHERE business_id = ${payload.accounting_point ?? null}`
        ),
      recorded: ({ payload }) =>
        first(sql<Point>`
          WITH found AS MATERIALIZED (
            SELECT id, business_id FROM flex.accounting_point WHERE business_id = ${payload.accounting_point ?? null}
          ), told AS (
            INSERT INTO flex.lookup_audit (caller, accounting_point_id, outcome) SELECT 'plain', id, 'match' FROM found
          )
          SELECT id, business_id FROM found`)
    })
  })
)

const tellAddress = Layer.effectDiscard(
  HttpServer.HttpServer.use(({ address }) => Console.log(`ready at ${HttpServer.formatAddress(address)}`))
)

tellAddress.pipe(
  Layer.provideMerge(
    HttpRouter.serve(HttpApiBuilder.layer(PlainApi).pipe(Layer.provide(handlers)), { disableLogger: true })
  ),
  Layer.provide(nodeHttpServer({ host: "127.0.0.1", port: 0 })),
  Layer.provide(Database),
  Layer.launch,
  NodeRuntime.runMain
)
