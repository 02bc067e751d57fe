/** A server's state in words. */
import type { Server } from "../asking/shapes.ts"
import type { Tone } from "../parts/Badge.ts"

export const serverStates: Readonly<Record<Server["state"], readonly [tone: Tone, word: string]>> = {
  well: ["good", "well"],
  slowed: ["late", "slowed"],
  resting: ["late", "resting"],
  left_alone: ["bad", "left alone"],
  probed: ["late", "probed"],
  idle: ["rest", "idle"]
}
