/** `ServerBudget` over the state in memory. */
import { Clock, Effect, Layer } from "effect"
import { MemoryHilltop, serverOf } from "./MemoryHilltop.ts"
import { ServerBudget } from "./ServerBudget.ts"
import { paceRule, type ServerHealth } from "./ServerPace.ts"

export const MemoryServerBudget = Layer.effect(
  ServerBudget,
  Effect.map(MemoryHilltop, ({ servers }) =>
    ServerBudget.of({
      limit: (url, limits) =>
        Effect.map(Clock.currentTimeMillis, (now) => {
          serverOf(servers, url, now).limits = limits
        }),
      states: Effect.map(Clock.currentTimeMillis, (now) => {
        const stateOf = ({ coolDownUntil = 0, failures, pace }: ServerHealth) =>
          failures >= paceRule.failures ? "open" : coolDownUntil > now ? "cooling" : pace < 1 ? "slowed" : "free"
        const all = [...servers.values()].map(({ health }) => stateOf(health))
        const count = (state: ReturnType<typeof stateOf>) => all.filter((each) => each === state).length
        return { open: count("open"), cooling: count("cooling"), slowed: count("slowed"), free: count("free") }
      })
    })
  )
)
