/**
 * What the adapter was asked and how it ended: what a test asserts on and an operator looks at.
 *
 * Counters in plain memory, touched once at the start and once at the end of a request: four bytes per point for how
 * often it was asked, and the last thousand requests in full. Nothing here waits or allocates by the number of points.
 */
import { Schema } from "effect"
import { gsrnOf } from "./InventedNumbers.ts"

/** How a request ended: a status, or what was done instead of answering. `abandoned`: the caller left first. */
export type Outcome = number | "reset" | "cut_off" | "hang" | "abandoned"

const Count = Schema.Int

/** Counted since the start or the last reset. */
export const AdapterStatistics = Schema.Struct({
  asked: Count,
  in_flight: Count,
  max_in_flight: Count,
  /** The most requests that began within one second of the clock. */
  busiest_second: Count,
  distinct_points: Count,
  by_outcome: Schema.Record(Schema.String, Count),
  by_fault: Schema.Record(Schema.String, Count),
  /** The points asked most often. */
  top: Schema.Array(Schema.Struct({ gsrn: Schema.String, asked: Count })),
  /** Thin events: what was sent, and what the receiver said it did with them. */
  events: Schema.Struct({
    posted: Count,
    batches: Count,
    retries: Count,
    refused: Count,
    recorded: Count,
    stale: Count,
    unknown: Count
  })
})
export type AdapterStatistics = typeof AdapterStatistics.Type

/** One request as it came and as it ended. Times in milliseconds of our clock. */
export const AskedRequest = Schema.Struct({
  at: Schema.Finite,
  ended_at: Schema.NullOr(Schema.Finite),
  /** As it stood in the path, well-formed or not. */
  gsrn: Schema.String,
  valid_from: Schema.NullOr(Schema.String),
  valid_to: Schema.NullOr(Schema.String),
  traceparent: Schema.NullOr(Schema.String),
  outcome: Schema.NullOr(Schema.Union([Schema.Finite, Schema.String])),
  fault: Schema.NullOr(Schema.String)
})
export type AskedRequest = typeof AskedRequest.Type

/** A request that is being answered; whoever answers it notes what became of it. */
export interface OpenRequest extends Omit<AskedRequest, "outcome" | "fault" | "ended_at"> {
  ended_at: number | null
  outcome: Outcome | null
  fault: string | null
}

export type EventCounts = { -readonly [K in keyof AdapterStatistics["events"]]: number }

const recentRequests = 1_000
const topPoints = 10

/** The counters of one simulator. Mutable on purpose; every method is synchronous. */
export class AdapterTally {
  private asked = 0
  private inFlight = 0
  private maxInFlight = 0
  private second = -1
  private inSecond = 0
  private busiestSecond = 0
  private distinct = 0
  private readonly outcomes = new Map<string, number>()
  private readonly faults = new Map<string, number>()
  private readonly perPoint: Uint32Array
  private recent: Array<OpenRequest> = []
  private place = 0
  readonly events: EventCounts = noEvents()

  constructor(points: number) {
    this.perPoint = new Uint32Array(points)
  }

  /** A request came in; returns how many came before. */
  begin(request: OpenRequest): number {
    this.inFlight++
    if (this.inFlight > this.maxInFlight) this.maxInFlight = this.inFlight
    const second = Math.floor(request.at / 1_000)
    this.inSecond = second === this.second ? this.inSecond + 1 : 1
    this.second = second
    if (this.inSecond > this.busiestSecond) this.busiestSecond = this.inSecond
    this.recent[this.place] = request
    this.place = (this.place + 1) % recentRequests
    return this.asked++
  }

  /** It was about this point; returns how often that was asked before. */
  countPoint(index: number): number {
    const before = this.perPoint[index] ?? 0
    if (before === 0) this.distinct++
    this.perPoint[index] = before + 1
    return before
  }

  /** It ended. */
  end(request: OpenRequest, outcome: Outcome, at: number): void {
    this.inFlight--
    request.outcome = outcome
    request.ended_at = at
    increment(this.outcomes, String(outcome))
    if (request.fault !== null) increment(this.faults, request.fault)
  }

  statistics(): AdapterStatistics {
    return {
      asked: this.asked,
      in_flight: this.inFlight,
      max_in_flight: this.maxInFlight,
      busiest_second: this.busiestSecond,
      distinct_points: this.distinct,
      by_outcome: Object.fromEntries(this.outcomes),
      by_fault: Object.fromEntries(this.faults),
      top: this.top(),
      events: { ...this.events }
    }
  }

  /** The last thousand requests, oldest first. */
  requests(): ReadonlyArray<AskedRequest> {
    return [...this.recent.slice(this.place), ...this.recent.slice(0, this.place)]
  }

  reset(): void {
    this.asked = 0
    // What is in flight stays so.
    this.maxInFlight = this.inFlight
    this.busiestSecond = 0
    this.inSecond = 0
    this.distinct = 0
    this.outcomes.clear()
    this.faults.clear()
    this.perPoint.fill(0)
    this.recent = []
    this.place = 0
    Object.assign(this.events, noEvents())
  }

  private top(): AdapterStatistics["top"] {
    const best: Array<{ readonly gsrn: string; readonly asked: number }> = []
    for (let index = 0; index < this.perPoint.length && this.distinct > 0; index++) {
      const asked = this.perPoint[index] ?? 0
      if (asked === 0 || (best.length === topPoints && asked <= (best[topPoints - 1]?.asked ?? 0))) continue
      best.push({ gsrn: gsrnOf(index), asked })
      best.sort((a, b) => b.asked - a.asked)
      best.length = Math.min(best.length, topPoints)
    }
    return best
  }
}

const noEvents = (): EventCounts => ({
  posted: 0,
  batches: 0,
  retries: 0,
  refused: 0,
  recorded: 0,
  stale: 0,
  unknown: 0
})

const increment = (counts: Map<string, number>, key: string): void => {
  counts.set(key, (counts.get(key) ?? 0) + 1)
}
