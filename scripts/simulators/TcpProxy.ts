/**
 * A proxy on loopback between a client and a server, for the ways in which a network fails: connections cut, frozen,
 * slowed, or half open, which is when a firewall or a vanished node drops packets and nobody is told.
 *
 * Half open for the applications, not for the kernels: both sockets stay connected and nothing passes any more, not even
 * the end of either side. So it shows what deadlines do, and not what TCP keep-alive does.
 */
import { Effect, type Scope } from "effect"
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net"

export interface TcpProxyOptions {
  readonly host: string
  readonly port: number
  /** Where it listens itself; left out: any free one. */
  readonly listenAt?: number
}

/** What becomes of a connection that is opened: served, opened and never answered, opened and frozen, or refused. */
export type Admission = "served" | "dropped" | "frozen" | "refused"

/** One connection through the proxy, from its client to its server. */
export interface ProxiedConnection {
  /** Drops everything from now on, for good: what comes is read by nobody and answered by nobody. */
  readonly drop: () => void
  /** Nothing passes until `thaw`; what came meanwhile passes then. */
  readonly freeze: () => void
  readonly thaw: () => void
  /** Both sides see their connection reset. */
  readonly cut: () => void
}

export interface TcpProxy {
  readonly port: number
  /** Those open now, in the order they came. */
  readonly connections: () => ReadonlyArray<ProxiedConnection>
  /** What becomes of connections that are opened from now on. */
  readonly admit: (as: Admission) => void
  /** How much later what comes passes from now on, either way, in milliseconds. */
  readonly delay: (milliseconds: number) => void
  /** Every connection there is dropped, and every one to come. */
  readonly dropAll: () => void
  /** Nothing passes until `thawAll`, on connections to come neither. */
  readonly freezeAll: () => void
  readonly thawAll: () => void
  readonly cutAll: () => void
  /** Cuts every connection there is, dropped ones as well, and serves those to come. */
  readonly restore: () => void
}

/** A proxy on a free port, until the scope closes; its connections are cut then. */
export const tcpProxy = (options: TcpProxyOptions): Effect.Effect<TcpProxy, never, Scope.Scope> => {
  const pairs = new Set<Pair>()
  let admission: Admission = "served"
  let latency = 0
  const accept = (client: Socket) => {
    if (admission === "refused") return void client.resetAndDestroy()
    const pair = new Pair(client, admission === "dropped" ? undefined : options, () => latency)
    if (admission === "frozen") pair.freeze()
    pairs.add(pair)
    client.once("close", () => pairs.delete(pair))
  }
  const cutAll = () => {
    for (const pair of pairs) pair.cut()
  }
  // Without allowHalfOpen a client's end would be answered by Node, also on a connection that is dropped.
  const server = createServer({ allowHalfOpen: true, noDelay: true }, accept)
  return Effect.map(
    Effect.acquireRelease(listening(server, options.listenAt), () =>
      Effect.callback<void>((resume) => {
        server.close(() => resume(Effect.void))
        cutAll()
      })
    ),
    ({ port }): TcpProxy => ({
      port,
      connections: () => [...pairs],
      admit: (as) => {
        admission = as
      },
      delay: (milliseconds) => {
        latency = milliseconds
      },
      dropAll: () => {
        admission = "dropped"
        for (const pair of pairs) pair.drop()
      },
      freezeAll: () => {
        admission = "frozen"
        for (const pair of pairs) pair.freeze()
      },
      thawAll: () => {
        admission = "served"
        for (const pair of pairs) pair.thaw()
      },
      cutAll,
      restore: () => {
        admission = "served"
        cutAll()
      }
    })
  )
}

const listening = (server: Server, port = 0) =>
  Effect.callback<AddressInfo>((resume) => {
    server.listen(port, "127.0.0.1", () => resume(Effect.succeed(server.address() as AddressInfo)))
  })

class Pair implements ProxiedConnection {
  readonly #client: Socket
  readonly #server: Socket | undefined
  readonly #latency: () => number
  #dropped = false
  #frozen = false

  constructor(client: Socket, target: TcpProxyOptions | undefined, latency: () => number) {
    this.#client = client
    this.#latency = latency
    client.on("error", () => this.cut())
    if (target === undefined) {
      this.drop()
      return
    }
    this.#server = connect({ host: target.host, port: target.port, allowHalfOpen: true, noDelay: true })
    this.#server.on("error", () => this.cut())
    this.#pass(client, this.#server)
    this.#pass(this.#server, client)
  }

  drop = () => {
    this.#dropped = true
    this.#client.pause()
    this.#server?.pause()
  }

  freeze = () => {
    this.#frozen = true
    this.#client.pause()
    this.#server?.pause()
  }

  thaw = () => {
    this.#frozen = false
    this.#resume(this.#client)
    if (this.#server !== undefined) this.#resume(this.#server)
  }

  cut = () => {
    this.#client.resetAndDestroy()
    this.#server?.resetAndDestroy()
  }

  #resume(socket: Socket) {
    if (!this.#dropped && !this.#frozen) socket.resume()
  }

  #pass(from: Socket, to: Socket) {
    const after = inOrder(this.#latency)
    from.on("data", (bytes) => {
      const go = () => {
        if (this.#dropped || to.destroyed) return
        if (!to.write(bytes)) {
          from.pause()
          to.once("drain", () => this.#resume(from))
        }
      }
      after(go)
    })
    from.on("end", () => after(() => (this.#dropped ? undefined : to.end())))
    from.on("close", () => after(() => (this.#dropped ? undefined : to.destroy())))
  }
}

/** Runs what it is given as much later as the latency is at that time, and nothing before what it was given earlier. */
const inOrder = (latency: () => number) => {
  const waiting: Array<{ readonly go: () => void; readonly at: number }> = []
  const turn = () => {
    waiting.shift()?.go()
    const next = waiting[0]
    if (next !== undefined) setTimeout(turn, Math.max(0, next.at - performance.now())).unref()
  }
  return (go: () => void) => {
    const wait = latency()
    if (wait === 0 && waiting.length === 0) return go()
    if (waiting.push({ go, at: performance.now() + wait }) === 1) setTimeout(turn, wait).unref()
  }
}
