/**
 * A connection to PostgreSQL that does not wait for ever. Dropped packets are noticed by neither side: without a deadline of its
 * own a statement would wait until TCP gives up, after a quarter of an hour.
 *
 * The deadline (`patience` in `sessionSettings.ts`) is Node's timer for sockets on which nothing moves. It destroys the socket while an answer is due, so that
 * whatever waits for one fails at once: statements, BEGIN and COMMIT, LISTEN, and those that were interrupted. Keep-alive finds
 * what is dead between statements. TCP_USER_TIMEOUT cannot be set from Node; the server sets its own.
 */
import type { Redacted as Secret } from "effect"
import { Redacted } from "effect"
import { connect, type NetConnectOpts, type Socket } from "node:net"
import type { Duplex } from "node:stream"

/** What was asked to stop, or was closed, has so long for it, in milliseconds. */
const parting = 500

/** Of TCP: a peer that is gone is found after 5 s without traffic and 5 probes. */
const keepAlive = { delay: 5000, interval: 1000, probes: 5 }

/** Where a `postgresql://` address leads, as the client reads it; the address itself is checked by the client. */
export const placeOf = (url: Secret.Redacted): NetConnectOpts => {
  const { hostname, port, searchParams } = new URL(Redacted.value(url))
  const host = searchParams.get("host") ?? (decodeURIComponent(hostname.replace(/^\[(.*)\]$/, "$1")) || "localhost")
  const number = Number(searchParams.get("port") ?? (port || 5432))
  return host.startsWith("/") ? { path: `${host}/.s.PGSQL.${number}` } : { host, port: number, noDelay: true }
}

/** Where the address leads, for people: who logs in, and with which password, is no part of it. */
export const addressOf = (url: Secret.Redacted) => {
  const place = placeOf(url)
  const { pathname, searchParams, username } = new URL(Redacted.value(url))
  const user = searchParams.get("user") ?? decodeURIComponent(username)
  const database = decodeURIComponent(pathname.slice(1)) || user || "postgres"
  return "path" in place
    ? { server: place.path, host: undefined, port: undefined, database, user }
    : { server: `${place.host}:${place.port}`, host: place.host ?? "localhost", port: place.port, database, user }
}

export class PgSocket {
  readonly #place: NetConnectOpts
  #socket: Socket | undefined
  #due = 0
  #missed = false
  #interrupted = false
  #since = 0
  #answeredAt = 0

  constructor(place: NetConnectOpts) {
    this.#place = place
  }

  /**
   * For the client, which calls it once to connect, and again for each request to cancel what runs on the connection. Such a
   * request goes over a connection of its own, which may be half open as well.
   */
  readonly open = (): Duplex => {
    const socket = connect(this.#place)
    if (this.#socket === undefined) {
      this.#socket = socket
      socket.setKeepAlive(true, keepAlive.delay, keepAlive.interval, keepAlive.probes)
      socket.on("timeout", this.#onTimeout)
    } else {
      this.#interrupted = true
      this.#socket.setTimeout(parting)
      socket.setTimeout(parting, () => socket.destroy())
    }
    return socket
  }

  /** An answer is due, and nothing may stand still for longer than `patience` milliseconds until it is there. */
  begin(patience: number): void {
    this.#due += 1
    this.#since = performance.now()
    this.#socket?.setTimeout(patience)
  }

  end(): void {
    this.#due -= 1
    if (this.usable) this.#answeredAt = performance.now()
  }

  /** After the goodbye: a server that is gone does not keep the socket open, nor the socket the process. */
  leave(): void {
    this.#socket?.unref()
    this.#socket?.setTimeout(parting)
  }

  get idle(): boolean {
    return this.#due === 0
  }

  /** An answer did not come in time. */
  get missed(): boolean {
    return this.#missed
  }

  /** Neither closed nor asked to stop something, which may come late and hit the next statement. */
  get usable(): boolean {
    return this.#socket !== undefined && !this.#socket.destroyed && !this.#interrupted
  }

  /** When the latest statement began, and when the latest answer came, of `performance.now()`. */
  get since(): number {
    return this.#since
  }
  get answeredAt(): number {
    return this.#answeredAt
  }

  onClose(listener: () => void): void {
    this.#socket?.once("close", listener)
  }

  readonly #onTimeout = () => {
    const socket = this.#socket
    if (socket === undefined) return
    const [read, since] = [socket.bytesRead, this.#since]
    // After a stall of this process timers come before what has arrived meanwhile.
    setImmediate(() => {
      const isOver = this.#interrupted || socket.writableEnded
      // The timer of an idle connection runs too: what began on it since then has all of its time before it.
      const isDue = this.#due > 0 && this.#since === since
      if (socket.bytesRead !== read || (!isDue && !isOver)) return
      if (this.#due > 0 && !this.#interrupted) this.#missed = true
      socket.destroy(new Error("PostgreSQL did not answer in time"))
    })
  }
}
