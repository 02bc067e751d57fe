/**
 * Which methods each path has, so that a wrong method is told from an unknown path (405 with `Allow`, not 404).
 *
 * The router does not tell, so it is given a front that notes every route as it is added, whoever adds it. A path of its
 * own (`/accounting_point/event`) hides the pattern it would match too (`/accounting_point/:gsrn`) for all methods.
 */
import { Context, Effect, Layer } from "effect"
import { FindMyWay, HttpRouter } from "effect/http"
import { CurrentRequest } from "./CurrentRequest.ts"

export class RouteTable extends Context.Service<
  RouteTable,
  {
    /** Notes a route. */
    readonly note: (method: string, path: HttpRouter.PathInput) => void
    /** The methods of the path, none when nothing is there. */
    readonly methodsOf: (path: string) => ReadonlyArray<string>
    /** The methods of a path of its own that lacks `method`, although a pattern may have it. */
    readonly without: (method: string, path: string) => ReadonlyArray<string> | undefined
  }
>()("penstock/api/RouteTable") {
  static readonly layer = Layer.sync(RouteTable, () => {
    const fixed = new Map<string, Set<string>>()
    const byPattern = new Map<string, Set<string>>()
    const patterns = FindMyWay.make<Set<string>>()
    const methodsAt = (path: HttpRouter.PathInput): Set<string> => {
      const isPattern = path.includes(":") || path.includes("*")
      const known = (isPattern ? byPattern : fixed).get(path)
      if (known !== undefined) return known
      const methods = new Set<string>()
      if (isPattern) {
        byPattern.set(path, methods)
        patterns.on("GET", path, methods)
      } else {
        fixed.set(path, methods)
      }
      return methods
    }
    return RouteTable.of({
      note: (method, path) => {
        const methods = methodsAt(path).add(method)
        if (method === "GET") methods.add("HEAD")
      },
      methodsOf: (path) => [...(fixed.get(path) ?? patterns.find("GET", path)?.handler ?? [])].sort(),
      without: (method, path) => {
        const methods = fixed.get(path)
        return methods === undefined || methods.has(method) ? undefined : [...methods].sort()
      }
    })
  })

  /** The router with a front that notes each route. */
  static readonly layerRouter = Layer.effect(
    HttpRouter.HttpRouter,
    Effect.gen(function* () {
      const router = yield* HttpRouter.HttpRouter
      const table = yield* RouteTable
      return HttpRouter.HttpRouter.of({
        ...router,
        addAll: (routes) => {
          for (const route of routes) table.note(route.method, route.path)
          return router.addAll(routes)
        },
        add: (method, path, handler, options) => {
          table.note(method, path)
          return router.add(method, path, handler, options)
        }
      })
    })
  )

  /** Tells each request which route it took. */
  static readonly layerNotes = HttpRouter.middleware((answer) =>
    Effect.withFiber((fiber) => {
      const { route } = Context.getUnsafe(fiber.context, HttpRouter.RouteContext)
      Context.get(fiber.context, CurrentRequest).route = route.path
      return answer
    })
  ).layer
}
