/**
 * What changes about the servers, told as it is seen: one line of the log when a server is left alone, slowed or back, and none
 * for what stays. Also which state a server is in, for the metrics of its answers.
 */
import { Effect } from "effect"
import { gauge } from "../running/Instrument.ts"
import type { ServerState, ServerTrouble } from "./ServerBudget.ts"

/** Slower than this share of its limits is told; until it is back at nearly all of them, so that no line follows another. */
const slowedBelow = 0.5
const backAbove = 0.95
/** More changes than this in one look are told together: when a network is away, all servers are. */
const mostTold = 20

/** The states that the log knows. */
type Told = "left alone" | "cooling down" | "slowed"

const toldOf = ({ pace, state }: ServerTrouble, before: Told | undefined): Told | undefined => {
  if (state === "open") return "left alone"
  if (state === "cooling") return "cooling down"
  if (pace <= slowedBelow) return "slowed"
  return pace < backAbove && before !== undefined ? "slowed" : undefined
}

const why: Readonly<Record<Told, string>> = {
  "left alone": "is left alone, since it has failed many times in a row",
  "cooling down": "is left alone for a while, since it asked for that",
  slowed: "is asked more slowly, since it fails or is slow"
}

const uselessTime = gauge("penstock.crawl.server.useless.time", {
  unit: "s",
  description: "for how long a Hilltop server has answered nothing that can be used, of those that do so longest",
  labels: ["server"],
  most: 50
})

export const makeServerNews = () => {
  const told = new Map<string, Told>()
  let states: ReadonlyMap<string, ServerState> = new Map()

  const lineOf = (origin: string, state: Told | undefined) =>
    state === undefined
      ? Effect.logInfo(`crawl: ${origin} is back, and asked as its limits allow`)
      : Effect.logWarning(`crawl: ${origin} ${why[state]}`)

  const learn = (troubled: ReadonlyArray<ServerTrouble>) =>
    Effect.sync(() => {
      states = new Map(troubled.map(({ origin, state }) => [origin, state]))
    })

  return {
    /** Looks, and says nothing of it: another process of the instance does. */
    learn,
    /** Says what has changed since the last look; `troubled` are all that are not as they should be. */
    look: Effect.fnUntraced(function* (troubled: ReadonlyArray<ServerTrouble>) {
      yield* learn(troubled)
      const now = new Map(
        troubled.flatMap((one) => {
          const state = toldOf(one, told.get(one.origin))
          return state === undefined ? [] : [[one.origin, state] as const]
        })
      )
      const changes = [...new Set([...told.keys(), ...now.keys()])].filter(
        (origin) => told.get(origin) !== now.get(origin)
      )
      for (const origin of changes.slice(0, mostTold)) yield* lineOf(origin, now.get(origin))
      if (changes.length > mostTold) {
        const worse = changes.slice(mostTold).filter((origin) => now.has(origin)).length
        yield* Effect.logWarning("crawl: more servers have changed", {
          worse,
          back: changes.length - mostTold - worse
        })
      }
      for (const origin of changes) {
        const state = now.get(origin)
        if (state === undefined) told.delete(origin)
        else told.set(origin, state)
      }
      yield* uselessTime.setAll(
        troubled
          .filter(({ uselessSeconds }) => uselessSeconds > 0)
          .sort((a, b) => b.uselessSeconds - a.uselessSeconds)
          .slice(0, 20)
          .map(({ origin, uselessSeconds }) => [uselessSeconds, { server: origin }] as const)
      )
    }),
    /** As it was at the last look. */
    stateOf: (origin: string): ServerState => states.get(origin) ?? "free"
  }
}
