/**
 * The routes of one simulated server: `/simulator/` to operate it, the sample files, and Hilltop itself at any `*.hts`.
 *
 * Hilltop's is the route for everything else, because its paths hold spaces, escapes and doubled slashes.
 */
import { Effect, Layer } from "effect"
import { HttpRouter, HttpServerResponse } from "effect/http"
import type { Council } from "./Council.ts"
import { hilltopHandler, notFound } from "./HilltopHandler.ts"
import { controlRoutes } from "./SimulatorControl.ts"
import type { SimulatorParts } from "./SimulatorParts.ts"

const sample = (parts: SimulatorParts) =>
  Effect.gen(function* () {
    const { file = "", folder = "" } = yield* HttpRouter.params
    const found = yield* parts.samples(`${folder}/${file}`)
    return found === undefined
      ? notFound
      : HttpServerResponse.uint8Array(found.bytes, { contentType: found.contentType })
  })

/** Everything that one server answers. `sources` are all of the simulator's, as `/simulator/sources` shows them. */
export const simulatorRoutes = (
  parts: SimulatorParts,
  councils: ReadonlyArray<Council>,
  sources: Effect.Effect<ReadonlyArray<object>>
) =>
  Layer.mergeAll(
    controlRoutes(parts, sources),
    HttpRouter.add("GET", "/samples/:folder/:file", sample(parts)),
    HttpRouter.add("GET", "*", hilltopHandler(parts, councils))
  )
