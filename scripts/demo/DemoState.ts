/**
 * What a demo keeps beside its database, so that the next one on the same data shows the same: where its Hilltop servers
 * listened, whose addresses are those of its sources.
 */
import { Effect, FileSystem, Option, Path, Schema } from "effect"
import { freePort } from "../../layers/embedded/freePort.ts"
import { requirePort } from "../commands/beforeStart.ts"

const DemoState = Schema.Struct({ hilltopPort: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 65_532 })) })
const asJson = Schema.fromJsonString(DemoState)

const fileIn = (data: string) => Effect.map(Path.Path, (path) => path.join(data, "demo.json"))

/** Three in a row: one server for each council. */
const areFree = (port: number) =>
  Effect.forEach([port, port + 1, port + 2], (one) => requirePort("127.0.0.1", one), { discard: true }).pipe(
    Effect.as(true),
    Effect.orElseSucceed(() => false)
  )

const newPort: Effect.Effect<number> = Effect.flatMap(freePort, (port) =>
  Effect.flatMap(port > 65_000 ? Effect.succeed(false) : areFree(port), (free) =>
    free ? Effect.succeed(port) : newPort
  )
)

/** The port of the first Hilltop server: the one of last time, unless somebody has it now. */
export const hilltopPortFor = Effect.fnUntraced(function* (data: string) {
  const fs = yield* FileSystem.FileSystem
  const known = yield* Effect.option(
    Effect.flatMap(fs.readFileString(yield* fileIn(data)), Schema.decodeEffect(asJson))
  )
  if (Option.isSome(known) && (yield* areFree(known.value.hilltopPort))) return known.value.hilltopPort
  return yield* newPort
})

export const keepHilltopPort = Effect.fnUntraced(function* (data: string, hilltopPort: number) {
  const fs = yield* FileSystem.FileSystem
  yield* fs.writeFileString(yield* fileIn(data), `${JSON.stringify({ hilltopPort })}\n`)
})
