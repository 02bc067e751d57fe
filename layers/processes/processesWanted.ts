/**
 * How many processes an instance has, from its settings and the machine.
 *
 * Unless it is said, there is one while one is enough: a process that has nothing to do takes 150 MB and some statements a second.
 */
import { Effect } from "effect"
import { availableParallelism } from "node:os"
import { Settings } from "../Settings.ts"

/** What further processes do: whatever is shared out over instances by leases, and needs no port. */
export const sharedRoles = ["crawl", "stream"] as const

/** PostgreSQL needs processors too, and each process has connections of its own. */
const mostByLoad = 4

/** The roles that are shared, and from how many processes up to how many do them. */
export const processesWanted = Effect.gen(function* () {
  const roles = yield* Settings.PENSTOCK_ROLES.config
  const shared = sharedRoles.filter((role) => roles.has(role))
  if (shared.length === 0) return { shared, least: 1, most: 1 }
  const given = yield* Settings.PENSTOCK_PROCESSES.config
  // What a container may use of the machine's processors is heeded.
  return { shared, least: given ?? 1, most: given ?? Math.min(availableParallelism(), mostByLoad) }
})
