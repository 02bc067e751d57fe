/** `ServerBudget` over the state in memory. */
import { Clock, Effect, Layer } from "effect"
import type { Instant } from "../domain/Instant.ts"
import { MemoryHilltop, serverOf } from "./MemoryHilltop.ts"
import { ServerBudget, type ServerState } from "./ServerBudget.ts"
import { paceRule, type ServerHealth } from "./ServerPace.ts"

const stateAt = ({ coolDownUntil = 0, failures, pace }: ServerHealth, now: Instant): ServerState =>
  failures >= paceRule.failures ? "open" : coolDownUntil > now ? "cooling" : pace < 1 ? "slowed" : "free"

export const MemoryServerBudget = Layer.effect(
  ServerBudget,
  Effect.map(MemoryHilltop, ({ servers }) =>
    ServerBudget.of({
      limit: (url, limits) =>
        Effect.map(Clock.currentTimeMillis, (now) => {
          serverOf(servers, url, now).limits = limits
        }),
      look: Effect.map(Clock.currentTimeMillis, (now) => {
        const all = [...servers.values()].map(({ health }) => stateAt(health, now))
        const count = (state: ServerState) => all.filter((each) => each === state).length
        return {
          states: { open: count("open"), cooling: count("cooling"), slowed: count("slowed"), free: count("free") },
          troubled: [...servers].flatMap(([origin, { health }]) => {
            const { pace, uselessSince } = health
            const state = stateAt(health, now)
            const uselessSeconds = uselessSince === undefined ? 0 : (now - uselessSince) / 1000
            return state === "free" && uselessSeconds === 0 ? [] : [{ origin, state, pace, uselessSeconds }]
          })
        }
      })
    })
  )
)
