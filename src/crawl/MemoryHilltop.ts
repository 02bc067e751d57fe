/**
 * `HilltopQueue`, `ServerBudget` and `HilltopSources` over one state in memory, for testing rules.
 *
 * The same suite runs over this and over PostgreSQL. The clock is Effect's, so a test owns it.
 */
import { Clock, Context, Duration, Effect, Layer, PubSub, Stream } from "effect"
import {
  type ClaimedTask,
  historyLength,
  type NewTask,
  type RequestType,
  type SetAsideReason,
  type TaskDetails,
  type TaskRun
} from "../domain/FetchTask.ts"
import { HilltopQueue, type Lease } from "./HilltopQueue.ts"
import { HilltopSources, type SourceRow } from "./HilltopSources.ts"
import { ServerBudget, type ServerLimits } from "./ServerBudget.ts"

export interface MemoryTask extends NewTask {
  readonly id: number
  details: TaskDetails
  fence: number
  nextFetchAt: number
  leaseUntil: number | undefined
  takeovers: number
  setAside: SetAsideReason | undefined
  attempts: number
  previousHash: string | undefined
  previousDigest: string | undefined
  history: ReadonlyArray<TaskRun>
}

interface MemoryServer {
  limits: ServerLimits
  tokens: number
  refilledAt: number
  coolDownUntil: number
}

/** The state, for tests to look at and to arrange. */
export class MemoryHilltop extends Context.Service<
  MemoryHilltop,
  {
    readonly sources: Map<number, SourceRow>
    readonly tasks: Map<number, MemoryTask>
    readonly servers: Map<string, MemoryServer>
    readonly changes: PubSub.PubSub<void>
  }
>()("penstock/crawl/MemoryHilltop") {
  static readonly layerState = Layer.effect(
    MemoryHilltop,
    Effect.map(PubSub.unbounded<void>(), (changes) =>
      MemoryHilltop.of({ sources: new Map(), tasks: new Map(), servers: new Map(), changes })
    )
  )

  static readonly layer = (limits: { readonly requestsPerSecond: number; readonly maxConcurrent: number }) =>
    Layer.suspend(() => Layer.mergeAll(queue(limits), budget, sources)).pipe(
      Layer.provideMerge(MemoryHilltop.layerState)
    )
}

const leaseMillis = 30_000
const mostTakeovers = 5
/** How much longer a task may wait than the latest data, in milliseconds. */
const patience: Readonly<Record<RequestType, number>> = {
  SITES_LIST: -86_400_000,
  MEASUREMENT_DATA_LATEST: 0,
  MEASUREMENTS_LIST: 600_000,
  MEASUREMENT_DATA: 21_600_000
}
const waitsUntil = (task: MemoryTask) => task.nextFetchAt + patience[task.requestType]
const originOf = (url: string) => new URL(url).origin
const isDue = (task: MemoryTask, now: number) =>
  task.leaseUntil === undefined && task.setAside === undefined && task.nextFetchAt <= now

const isUsable = (source: SourceRow | undefined) => source !== undefined && source.problem === undefined
/** Set on a task that is claimed: it is due again at its settlement. */
const wantedAgain = -Infinity

const serverOf = (servers: Map<string, MemoryServer>, url: string, now: number): MemoryServer => {
  const origin = originOf(url)
  const server = servers.get(origin) ?? {
    limits: { requestsPerSecond: undefined, maxConcurrent: undefined },
    tokens: Infinity,
    refilledAt: now,
    coolDownUntil: 0
  }
  servers.set(origin, server)
  return server
}

const queue = (defaults: { readonly requestsPerSecond: number; readonly maxConcurrent: number }) =>
  Layer.effect(
    HilltopQueue,
    Effect.gen(function* () {
      const { servers, sources, tasks } = yield* MemoryHilltop
      const held = ({ fence, id }: Lease) => {
        const task = tasks.get(id)
        return task !== undefined && task.fence === fence && task.leaseUntil !== undefined ? task : undefined
      }

      /** Refills the server's bucket; how many of its tasks may be taken now. */
      const roomAt = (origin: string, now: number) => {
        const server = serverOf(servers, origin, now)
        const rate = server.limits.requestsPerSecond ?? defaults.requestsPerSecond
        const inFlight = [...tasks.values()].filter(
          (task) => originOf(task.fetchUrl) === origin && (task.leaseUntil ?? 0) > now
        ).length
        server.tokens = Math.min(Math.max(1, rate / 2), server.tokens + (rate * (now - server.refilledAt)) / 1000)
        server.refilledAt = now
        if (server.coolDownUntil > now) return 0
        const most = server.limits.maxConcurrent ?? defaults.maxConcurrent
        return Math.max(0, Math.min(Math.floor(server.tokens), most - inFlight))
      }

      const claimed = (task: MemoryTask): ClaimedTask => {
        const source = sources.get(task.sourceId)!
        return {
          id: task.id,
          fence: task.fence,
          sourceId: task.sourceId,
          requestType: task.requestType,
          fetchUrl: task.fetchUrl,
          details: task.details,
          previousHash: task.previousHash,
          previousDigest: task.previousDigest,
          attempts: task.attempts,
          councilId: source.councilId,
          htsUrl: source.htsUrl,
          configuration: source.configuration
        }
      }

      return HilltopQueue.of({
        enqueue: (wanted) =>
          Effect.map(Clock.currentTimeMillis, (now) => {
            const key = (task: NewTask) => `${task.sourceId} ${task.requestType} ${task.fetchUrl}`
            const known = new Map([...tasks.values()].map((task) => [key(task), task]))
            const added = new Map(wanted.filter((task) => !known.has(key(task))).map((task) => [key(task), task]))
            for (const task of wanted) {
              const there = known.get(key(task))
              if (there !== undefined) there.details = task.details
            }
            for (const task of added.values()) {
              const id = tasks.size + 1
              tasks.set(id, {
                ...task,
                id,
                fence: 0,
                nextFetchAt: now,
                leaseUntil: undefined,
                takeovers: 0,
                setAside: undefined,
                attempts: 0,
                previousHash: undefined,
                previousDigest: undefined,
                history: []
              })
            }
            return added.size
          }),

        claim: (limit) =>
          Effect.map(Clock.currentTimeMillis, (now) => {
            const due = [...tasks.values()]
              .filter((task) => isDue(task, now) && isUsable(sources.get(task.sourceId)))
              .sort((a, b) => waitsUntil(a) - waitsUntil(b))
            const byOrigin = Map.groupBy(due, (task) => originOf(task.fetchUrl))
            const turns = [...byOrigin].flatMap(([origin, list]) =>
              list.slice(0, roomAt(origin, now)).map((task, turn) => ({ task, turn, origin }))
            )
            return turns
              .sort((a, b) => a.turn - b.turn)
              .slice(0, limit)
              .map(({ origin, task }) => {
                serverOf(servers, origin, now).tokens -= 1
                task.leaseUntil = now + leaseMillis
                task.fence += 1
                return claimed(task)
              })
          }),

        heartbeat: (leases) =>
          Effect.map(Clock.currentTimeMillis, (now) =>
            leases.flatMap((lease) => {
              const task = held(lease)
              if (task === undefined) return [lease.id]
              task.leaseUntil = now + leaseMillis
              return []
            })
          ),

        settle: (settlements) =>
          Effect.map(Clock.currentTimeMillis, (now) =>
            settlements.flatMap((settlement) => {
              const task = held(settlement.task)
              if (task === undefined) return [settlement.task.id]
              task.leaseUntil = undefined
              task.takeovers = 0
              task.attempts = settlement.attempts
              task.nextFetchAt = task.nextFetchAt === wantedAgain ? now : now + Duration.toMillis(settlement.delay)
              task.previousHash = settlement.hash ?? task.previousHash
              task.previousDigest = settlement.digest ?? task.previousDigest
              task.setAside ??= settlement.setAside
              if (settlement.run !== undefined) task.history = [...task.history, settlement.run].slice(-historyLength)
              return []
            })
          ),

        release: (leases) =>
          Effect.sync(() => {
            for (const lease of leases) {
              const task = held(lease)
              if (task !== undefined) task.leaseUntil = undefined
            }
          }),

        takeOver: Effect.map(Clock.currentTimeMillis, (now) => {
          const lost = [...tasks.values()].filter((task) => (task.leaseUntil ?? Infinity) <= now)
          for (const task of lost) {
            task.leaseUntil = undefined
            task.fence += 1
            task.takeovers += 1
            if (task.takeovers >= mostTakeovers) task.setAside ??= "lost"
          }
          return lost.length
        })
      })
    })
  )

const budget = Layer.effect(
  ServerBudget,
  Effect.map(MemoryHilltop, ({ servers }) =>
    ServerBudget.of({
      limit: (url, limits) =>
        Effect.map(Clock.currentTimeMillis, (now) => {
          serverOf(servers, url, now).limits = limits
        }),
      coolDown: (url, seconds) =>
        Effect.map(Clock.currentTimeMillis, (now) => {
          const server = serverOf(servers, url, now)
          server.coolDownUntil = Math.max(server.coolDownUntil, now + seconds * 1000)
        })
    })
  )
)

const sources = Layer.effect(
  HilltopSources,
  Effect.map(MemoryHilltop, (state) =>
    HilltopSources.of({
      list: Effect.sync(() => [...state.sources.values()]),
      report: (id, problem) =>
        Effect.sync(() => {
          state.sources.set(id, { ...state.sources.get(id)!, problem })
        }),
      changes: Stream.fromPubSub(state.changes)
    })
  )
)
