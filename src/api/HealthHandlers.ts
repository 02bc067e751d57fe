/**
 * Answers monitoring systems and load balancers. No key is needed: the answers name parts of the service, and the addresses of
 * Hilltop servers that answer nothing useful.
 */
import { Effect } from "effect"
import { HttpApiBuilder } from "effect/http-api"
import { Api } from "./Api.ts"
import { Draining, Readiness } from "./Health.ts"
import { refuse } from "./Problems.ts"
import { Progress } from "./Progress.ts"

export const HealthHandlers = HttpApiBuilder.group(
  Api,
  "health",
  Effect.fnUntraced(function* (handlers) {
    const draining = yield* Draining
    const readiness = yield* Readiness
    const progress = yield* Progress
    return handlers.handleAll({
      live: () => Effect.succeed({ status: "live" as const }),

      ready: Effect.fnUntraced(function* () {
        if (yield* draining.begun) {
          return yield* refuse("not-ready", "this instance is shutting down", { "retry-after": 5 })
        }
        const obstacles = yield* readiness.obstacles
        if (obstacles.length > 0) return yield* refuse("not-ready", obstacles.join("; "), { "retry-after": 5 })
        return { status: "ready" as const }
      }),

      progress: Effect.fnUntraced(function* () {
        const stuck = yield* progress.obstacles
        if (stuck.length > 0) {
          return yield* refuse("no-progress", `no progress in: ${stuck.join(", ")}`, { "retry-after": 30 })
        }
        return { status: "progressing" as const }
      })
    })
  })
)
