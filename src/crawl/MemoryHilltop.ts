/**
 * The state behind `HilltopQueue`, `ServerBudget` and `HilltopSources` in memory, for tests to look at and to arrange.
 *
 * The same suites run over these and over PostgreSQL. The clock is Effect's, so a test owns it.
 */
import { Context, Effect, Layer, PubSub } from "effect"
import type { NewTask, SetAsideReason, TaskDetails, TaskRun } from "../domain/FetchTask.ts"
import type { SourceRow } from "./HilltopSources.ts"
import type { ServerLimits } from "./ServerBudget.ts"
import type { SiteNote } from "./SiteNote.ts"
import { newServer, type ServerHealth } from "./ServerPace.ts"

export interface MemoryTask extends Omit<NewTask, "refresh"> {
  readonly id: number
  details: TaskDetails
  fence: number
  nextFetchAt: number
  leaseUntil: number | undefined
  /** When it was due when it was claimed. */
  dueAt: number
  takeovers: number
  setAside: SetAsideReason | undefined
  attempts: number
  unavailable: boolean
  previousHash: string | undefined
  previousDigest: string | undefined
  refresh: string | undefined
  reason: string | undefined
  /** The task whose news it is asked after. */
  leader: number | undefined
  /** It was woken for then while it ran. */
  wakeAt: number | undefined
  history: ReadonlyArray<TaskRun>
}

export interface MemoryServer {
  limits: ServerLimits
  tokens: number
  refilledAt: number
  /** Requests so far. */
  turns: number
  health: ServerHealth
  /** What its runs have taught. */
  knowledge: string | undefined
}

export class MemoryHilltop extends Context.Service<
  MemoryHilltop,
  {
    readonly sources: Map<number, SourceRow>
    /** By source and site. */
    readonly notes: Map<number, Map<string, SiteNote>>
    readonly tasks: Map<number, MemoryTask>
    readonly servers: Map<string, MemoryServer>
    readonly changes: PubSub.PubSub<void>
    readonly arrivals: PubSub.PubSub<void>
  }
>()("penstock/crawl/MemoryHilltop") {
  static readonly layer = Layer.effect(
    MemoryHilltop,
    Effect.map(Effect.all([PubSub.unbounded<void>(), PubSub.unbounded<void>()]), ([changes, arrivals]) =>
      MemoryHilltop.of({
        sources: new Map(),
        notes: new Map(),
        tasks: new Map(),
        servers: new Map(),
        changes,
        arrivals
      })
    )
  )
}

export const originOf = (url: string) => new URL(url).origin

/** The server of an address; one that nobody heard of is new. */
export const serverOf = (servers: Map<string, MemoryServer>, url: string, now: number): MemoryServer => {
  const origin = originOf(url)
  const server = servers.get(origin) ?? {
    limits: { requestsPerSecond: undefined, maxConcurrent: undefined },
    tokens: Infinity,
    refilledAt: now,
    turns: 0,
    health: newServer(now),
    knowledge: undefined
  }
  servers.set(origin, server)
  return server
}

/** Due at once, and not as it was when it was claimed: its settlement lets that stand. */
export const askForAgain = (task: MemoryTask, now: number) => {
  task.nextFetchAt = Math.min(task.nextFetchAt - 1, now)
}
