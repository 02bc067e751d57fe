/** The whole API on a socket, for clients that are not ours. It ends with its scope. */
import { Context, Effect, Layer, References } from "effect"
import { HttpServer } from "effect/http"
import { nodeHttpServer, serve } from "../../layers/api/HttpServer.ts"
import { Routes } from "../../src/api/Routes.ts"
import { ApiServices } from "./ApiUnderTest.ts"

export class ServedApi extends Context.Service<ServedApi, { readonly url: string }>()("penstock/test/api/ServedApi") {
  static readonly layer = Layer.effect(
    ServedApi,
    Effect.gen(function* () {
      const server = yield* Layer.build(
        serve(Routes).pipe(
          Layer.provideMerge(nodeHttpServer({ host: "127.0.0.1", port: 0 })),
          Layer.provide(Layer.succeed(References.MinimumLogLevel, "Warn"))
        )
      )
      const { address } = Context.get(server, HttpServer.HttpServer)
      return ServedApi.of({ url: HttpServer.formatAddress(address).replace("0.0.0.0", "127.0.0.1") })
    })
  ).pipe(Layer.provideMerge(ApiServices))
}
