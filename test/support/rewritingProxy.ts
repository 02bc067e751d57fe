/** A proxy in front of a server whose answers it rewrites, text by text of the same length, until the scope closes; its port. */
import { Effect } from "effect"
import { connect, createServer } from "node:net"

export const rewritingProxy = (
  target: { readonly host: string; readonly port: number },
  rewrite: Readonly<Record<string, string>>
) =>
  Effect.map(
    Effect.acquireRelease(
      Effect.callback<{ readonly port: number; readonly close: Effect.Effect<void> }>((resume) => {
        const server = createServer((client) => {
          const upstream = connect(target)
          client.pipe(upstream)
          upstream.on("data", (bytes: Buffer) => {
            // One character for each byte, so that what is no text passes as it is.
            let text = bytes.toString("latin1")
            for (const [from, to] of Object.entries(rewrite)) text = text.replaceAll(from, to)
            client.write(Buffer.from(text, "latin1"))
          })
          const end = () => {
            client.destroy()
            upstream.destroy()
          }
          for (const socket of [client, upstream]) socket.on("error", end).on("close", end)
        })
        server.listen(0, "127.0.0.1", () => {
          const address = server.address()
          const port = typeof address === "object" && address !== null ? address.port : 0
          resume(Effect.succeed({ port, close: Effect.sync(() => server.close()) }))
        })
      }),
      ({ close }) => close
    ),
    ({ port }) => port
  )
