/** Ports for servers that must be told theirs before they start. */
import { Effect } from "effect"
import { createServer } from "node:net"

/** What this process has given out; whoever got it may not listen yet, so the system would give it again. */
const given = new Set<number>()

const anyPort = Effect.callback<number>((resume) => {
  const probe = createServer()
  probe.once("error", (error) => resume(Effect.die(error)))
  probe.listen(0, "127.0.0.1", () => {
    const address = probe.address()
    probe.close(() => resume(Effect.succeed(typeof address === "object" && address !== null ? address.port : 0)))
  })
})

/**
 * A port of loopback at which nobody listens, and another one each time. Between this look and the start another process
 * may take it.
 */
export const freePort: Effect.Effect<number> = Effect.flatMap(anyPort, (port) => {
  if (given.has(port)) return freePort
  given.add(port)
  return Effect.succeed(port)
})
