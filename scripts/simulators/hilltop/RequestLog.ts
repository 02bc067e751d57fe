/**
 * What the servers were asked: counters for each, and the last fifty thousand requests with their times.
 *
 * It listens to Node's own server, so a request counts from the arrival of its head to the end of its answer, also one that
 * hangs or is reset. Most answers are made at once, so to see how many requests a client keeps in flight, delay them.
 */
import type { Server } from "node:http"
import type { RequestType } from "./HilltopRequests.ts"
import { readQuery, requestType, splitUrl, type HilltopQuery } from "./HilltopRequests.ts"

/** How it ended: a status, `aborted` when the connection closed before the answer was complete, `pending` until then. */
export type Outcome = number | "aborted" | "pending"

export interface LoggedRequest {
  /** Milliseconds since 1970 by the clock of whoever asked, not the simulated one. */
  readonly at: number
  /** When its answer was complete or the connection closed; unknown until then. */
  readonly ended_at: number | undefined
  readonly origin: string
  /** As it was sent. */
  readonly url: string
  /** Decoded, without double slashes. */
  readonly path: string
  readonly request: RequestType | "other"
  readonly site: string | undefined
  readonly measurement: string | undefined
  readonly outcome: Outcome
  readonly faults: ReadonlyArray<string>
}

/** A request while it is answered. */
export interface OpenRequest extends LoggedRequest {
  readonly query: HilltopQuery
  outcome: Outcome
  ended_at: number | undefined
  faults: ReadonlyArray<string>
}

export interface ServerStatistics {
  readonly origin: string
  readonly requests: number
  readonly in_flight: number
  readonly max_in_flight: number
  /** The most requests that arrived within any one second, wherever that second began. */
  readonly max_per_second: number
  readonly by_request: Readonly<Record<string, number>>
  readonly by_path: Readonly<Record<string, number>>
  readonly by_outcome: Readonly<Record<string, number>>
  readonly by_fault: Readonly<Record<string, number>>
}

export interface SimulatorStatistics {
  readonly requests: number
  readonly servers: ReadonlyArray<ServerStatistics>
}

const mostLogged = 50_000

/** Paths beyond this many are counted together: they come from outside. */
const mostPaths = 500

class Tally {
  requests = 0
  inFlight = 0
  maxInFlight = 0
  maxPerSecond = 0
  readonly byRequest = new Map<string, number>()
  readonly byPath = new Map<string, number>()
  readonly byOutcome = new Map<string, number>()
  readonly byFault = new Map<string, number>()
  /** Times of arrival, of which those from `oldest` on lie within the last second. */
  private arrivals: Array<number> = []
  private oldest = 0

  arrive(request: LoggedRequest): void {
    this.requests++
    this.inFlight++
    this.maxInFlight = Math.max(this.maxInFlight, this.inFlight)
    this.arrivals.push(request.at)
    while ((this.arrivals[this.oldest] ?? request.at) <= request.at - 1_000) this.oldest++
    if (this.oldest > 4_096) {
      this.arrivals = this.arrivals.slice(this.oldest)
      this.oldest = 0
    }
    this.maxPerSecond = Math.max(this.maxPerSecond, this.arrivals.length - this.oldest)
    increment(this.byRequest, request.request)
    increment(this.byPath, this.byPath.size < mostPaths || this.byPath.has(request.path) ? request.path : "other")
  }

  end(request: LoggedRequest): void {
    this.inFlight--
    increment(this.byOutcome, String(request.outcome))
    for (const fault of request.faults) increment(this.byFault, fault)
  }
}

const increment = (counts: Map<string, number>, key: string): void => {
  counts.set(key, (counts.get(key) ?? 0) + 1)
}

const sorted = (counts: Map<string, number>): Readonly<Record<string, number>> =>
  Object.fromEntries([...counts].toSorted(([, one], [, other]) => other - one))

/** Mutable on purpose; every method is synchronous and cheap. */
export class RequestLog {
  private tallies = new Map<string, Tally>()
  private log: Array<LoggedRequest> = []
  private readonly open = new WeakMap<object, OpenRequest>()
  private readonly clock: () => number

  constructor(clock: () => number) {
    this.clock = clock
  }

  /** Counts what this server is asked from now on, except under `/simulator/`. */
  watch(server: Server, origin: string): void {
    server.on("request", (incoming, response) => {
      const request = this.arrive(incoming.url ?? "/", origin)
      this.open.set(incoming, request)
      if (request.path.startsWith("/simulator/")) return
      this.tallyOf(request.origin).arrive(request)
      this.keep(request)
      response.once("close", () => {
        request.ended_at = this.clock()
        request.outcome = response.writableFinished ? response.statusCode : "aborted"
        // Looked up again: a reset may have come in between.
        this.tallyOf(request.origin).end(request)
      })
    })
  }

  /** The request that this message of Node's began. */
  of(incoming: object): OpenRequest | undefined {
    return this.open.get(incoming)
  }

  statistics(): SimulatorStatistics {
    const servers = [...this.tallies].map(([origin, tally]): ServerStatistics => ({
      origin,
      requests: tally.requests,
      in_flight: tally.inFlight,
      max_in_flight: tally.maxInFlight,
      max_per_second: tally.maxPerSecond,
      by_request: sorted(tally.byRequest),
      by_path: sorted(tally.byPath),
      by_outcome: sorted(tally.byOutcome),
      by_fault: sorted(tally.byFault)
    }))
    return { requests: servers.reduce((sum, server) => sum + server.requests, 0), servers }
  }

  /** Those that arrived in `[from, to)`, milliseconds since 1970, oldest first; of one server or of all. */
  between(from: number, to: number, origin?: string): ReadonlyArray<LoggedRequest> {
    return this.log.filter(
      (request) => request.at >= from && request.at < to && (origin === undefined || request.origin === origin)
    )
  }

  /** Forgets everything that has ended; what is being answered counts as in flight again. */
  reset(): void {
    const before = this.tallies
    this.tallies = new Map()
    this.log = []
    for (const [origin, tally] of before) {
      const next = this.tallyOf(origin)
      next.inFlight = tally.inFlight
      next.maxInFlight = tally.inFlight
    }
  }

  private arrive(url: string, origin: string): OpenRequest {
    const { path, query: text } = splitUrl(url)
    const query = readQuery(text)
    return {
      at: this.clock(),
      ended_at: undefined,
      origin,
      url,
      path,
      query,
      request: requestType(query) ?? "other",
      site: query.get("site"),
      measurement: query.get("measurement"),
      outcome: "pending",
      faults: []
    }
  }

  private tallyOf(origin: string): Tally {
    const known = this.tallies.get(origin) ?? new Tally()
    this.tallies.set(origin, known)
    return known
  }

  private keep(request: LoggedRequest): void {
    this.log.push(request)
    if (this.log.length > mostLogged * 1.1) this.log = this.log.slice(-mostLogged)
  }
}
