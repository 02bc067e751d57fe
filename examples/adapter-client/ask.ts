/**
 * Asks an adapter about one accounting point, with the deadline, the pool and the decoding that Penstock uses itself:
 * `ADAPTER_URL=… ADAPTER_API_KEY=… node ask.ts 707057500000000001`. Persons' numbers are not printed.
 */
import { Clock, Console, Effect, Schema } from "effect"
import { Gsrn } from "penstock/domain"
import { AdapterClient } from "penstock/sync"
import { UndiciAdapterClient } from "penstock/layers/sync/UndiciAdapterClient"

const program = Effect.gen(function* () {
  const gsrn = yield* Schema.decodeUnknownEffect(Gsrn)(process.argv[2])
  const adapter = yield* AdapterClient
  const answer = yield* adapter.fetch(gsrn, yield* Clock.currentTimeMillis)
  const { end_user, energy_supplier, metering_grid_area } = answer.timelines
  yield* Console.log(
    JSON.stringify({
      endUsers: end_user.length,
      energySuppliers: energy_supplier.map(({ value }) => value),
      meteringGridAreas: metering_grid_area.map(({ value }) => value)
    })
  )
}).pipe(
  Effect.catchTags({
    AccountingPointUnknown: () => Console.log("the adapter does not know it"),
    AdapterFailure: ({ detail, kind }) => Console.log(`${kind}: ${detail}`)
  }),
  Effect.provide(UndiciAdapterClient)
)

await Effect.runPromise(program)
