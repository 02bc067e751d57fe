/**
 * An HTTP server on loopback that answers whatever a test wants, bytes and headers alike, also what no framework would send.
 * Closing the scope cuts every connection.
 */
import { Effect } from "effect"
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"

export interface StandIn {
  readonly url: string
  /** The same server by a name that has to be looked up. */
  readonly byName: string
}

/** The address of a server on loopback, by a name that has to be looked up. */
export const byName = (url: string): string => url.replace("127.0.0.1", "localhost")

/** `answer` gets each request with its body. */
export const standIn = (answer: (request: IncomingMessage, response: ServerResponse, body: string) => void) =>
  Effect.acquireRelease(
    Effect.callback<{ readonly url: string; readonly stop: Effect.Effect<void> }>((resume) => {
      const server = createServer((request, response) => {
        const pieces: Array<Buffer> = []
        request.on("data", (piece: Buffer) => pieces.push(piece))
        request.on("end", () => answer(request, response, Buffer.concat(pieces).toString()))
      })
      const stop = Effect.callback<void>((done) => {
        server.close(() => done(Effect.void))
        server.closeAllConnections()
      })
      server.listen(0, "127.0.0.1", () => {
        const address = server.address()
        const port = typeof address === "object" && address !== null ? address.port : 0
        resume(Effect.succeed({ url: `http://127.0.0.1:${port}`, stop }))
      })
    }),
    ({ stop }) => stop
  ).pipe(Effect.map(({ url }): StandIn => ({ url, byName: byName(url) })))
