/**
 * The API alone, as a module whose default export answers requests: what `deno serve main.ts` and Worker-style runtimes take.
 *
 * Settings come from the environment as ever; `DATABASE_URL` says where the copies and observations are. The services are built
 * with the first request, and shared by all.
 */
import { Context, Effect, Layer, ManagedRuntime } from "effect"
import { Routes } from "penstock/api"
import { fetchHandler } from "penstock/layers/api/FetchHandler"
import { service } from "penstock/layers/Main"
import { ApiPrograms } from "penstock/layers/Roles"
import { Telemetry } from "penstock/layers/Telemetry"

class Handler extends Context.Service<Handler, (request: Request) => Promise<Response>>()("edge/Handler") {}

const handler = Layer.effect(Handler, fetchHandler(Routes)).pipe(Layer.provide(ApiPrograms))
const runtime = ManagedRuntime.make(service(handler).pipe(Layer.provide(Telemetry)))

export default {
  fetch: (request: Request): Promise<Response> =>
    runtime.runPromise(Effect.flatMap(Handler, (answer) => Effect.promise(() => answer(request)))),
  /** Gives its connections back; for who can say when they are done. */
  close: (): Promise<void> => runtime.dispose()
}
