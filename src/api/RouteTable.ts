/**
 * Which methods each path has, so that a wrong method is told from an unknown path (405 with `Allow`, not 404).
 *
 * The router does not tell, so they are read from the API. A path of its own (`/accounting_point/event`) hides the pattern it
 * would match too (`/accounting_point/:gsrn`) for all methods.
 */
import { Context, Effect, Layer } from "effect"
import { FindMyWay, HttpRouter } from "effect/http"
import { HttpApi, type HttpApiGroup } from "effect/http-api"
import { CurrentRequest } from "./CurrentRequest.ts"

/** Paths with the methods they have. */
const methodsByPath = <Id extends string, Groups extends HttpApiGroup.Constraint>(
  api: HttpApi.HttpApi<Id, Groups>,
  pages: ReadonlyArray<string>
) => {
  const known = new Map(pages.map((page) => [page, new Set(["GET", "HEAD"])]))
  HttpApi.reflect(api, {
    onGroup: () => undefined,
    onEndpoint: ({ endpoint: { method, path } }) => {
      const methods = known.get(path) ?? new Set()
      known.set(path, methods.add(method))
      if (method === "GET") methods.add("HEAD")
    }
  })
  return new Map([...known].map(([path, methods]) => [path, [...methods].sort()]))
}

const isPattern = (path: string): path is HttpRouter.PathInput => /[:*]/.test(path)

export class RouteTable extends Context.Service<
  RouteTable,
  {
    /** The methods of the path, none when nothing is there. */
    readonly methodsOf: (path: string) => ReadonlyArray<string>
    /** The methods of a path of its own that lacks `method`, although a pattern may have it. */
    readonly without: (method: string, path: string) => ReadonlyArray<string> | undefined
  }
>()("penstock/api/RouteTable") {
  /** Of the API, and of pages beside it that are only read. */
  static readonly layer = <Id extends string, Groups extends HttpApiGroup.Constraint>(
    api: HttpApi.HttpApi<Id, Groups>,
    pages: ReadonlyArray<string>
  ) =>
    Layer.sync(RouteTable, () => {
      const known = methodsByPath(api, pages)
      const patterns = FindMyWay.make<ReadonlyArray<string>>()
      for (const [path, methods] of known) if (isPattern(path)) patterns.on("GET", path, methods)
      const fixed = (path: string) => (isPattern(path) ? undefined : known.get(path))
      return RouteTable.of({
        methodsOf: (path) => fixed(path) ?? patterns.find("GET", path)?.handler ?? [],
        without: (method, path) => {
          const methods = fixed(path)
          return methods === undefined || methods.includes(method) ? undefined : methods
        }
      })
    })

  /** Tells each request which route it took. */
  static readonly layerNotes = HttpRouter.middleware((answer) =>
    Effect.withFiber((fiber) => {
      const { route } = Context.getUnsafe(fiber.context, HttpRouter.RouteContext)
      Context.get(fiber.context, CurrentRequest).route = route.path
      return answer
    })
  ).layer
}
