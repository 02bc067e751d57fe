/** `HilltopQueue` over the state in memory: the rules of `FetchOrder` and `ServerPace` as they stand. */
import { Clock, Duration, Effect, Layer, PubSub, Random, Stream } from "effect"
import { type ClaimedTask, historyLength, type NewTask, type TaskDetails, type TaskRun } from "../domain/FetchTask.ts"
import { formatInstant } from "../domain/Instant.ts"
import { type Candidate, firstFetchesFirst, firstOf, mostKept, rankOf } from "./FetchOrder.ts"
import { HilltopQueue, type Lease, leaseTime, type QueuedTask } from "./HilltopQueue.ts"
import { isLostTooOften, lostTooOften } from "./lostTask.ts"
import type { SourceRow } from "./HilltopSources.ts"
import { askForAgain, MemoryHilltop, type MemoryTask, originOf, serverOf } from "./MemoryHilltop.ts"
import { afterLooks, formatServer, parseServer } from "./RefreshPolicy.ts"
import { allowedPerDay } from "./ServerBudget.ts"
import { afterSignal, bucketSize, concurrencyOf, type ServerHealth, signalsOf } from "./ServerPace.ts"
import { keepable, lessonsOf, readable, type Settlement, takesWake, type Waking } from "./Settlement.ts"

const leaseMillis = Duration.toMillis(leaseTime)
const isDue = (task: MemoryTask, now: number) =>
  task.leaseUntil === undefined && task.setAside === undefined && task.nextFetchAt <= now

/** Never fetched, and not tried in vain. */
const isFirst = ({ attempts, previousHash, requestType }: MemoryTask) =>
  firstFetchesFirst.includes(rankOf[requestType]) && previousHash === undefined && attempts === 0

const isPaused = ({ coolDownUntil = 0, openUntil = 0 }: ServerHealth, now: number) =>
  coolDownUntil > now || openUntil > now

const isUsable = (source: SourceRow | undefined) => source !== undefined && source.problem === undefined

export const MemoryHilltopQueue = (defaults: { readonly requestsPerSecond: number; readonly maxConcurrent: number }) =>
  Layer.effect(
    HilltopQueue,
    Effect.gen(function* () {
      const { arrivals, servers, sources, tasks } = yield* MemoryHilltop
      const held = ({ fence, id }: Lease) => {
        const task = tasks.get(id)
        return task !== undefined && task.fence === fence && task.leaseUntil !== undefined ? task : undefined
      }

      const inFlightAt = (origin: string) =>
        [...tasks.values()].filter((task) => originOf(task.fetchUrl) === origin && task.leaseUntil !== undefined).length

      /** Refills the server's bucket; how many of its tasks may be taken now. */
      const roomAt = (origin: string, now: number) => {
        const server = serverOf(servers, origin, now)
        const { health, limits } = server
        const rate = (limits.requestsPerSecond ?? defaults.requestsPerSecond) * health.pace
        server.tokens = Math.min(bucketSize(rate), server.tokens + (rate * (now - server.refilledAt)) / 1000)
        server.refilledAt = now
        if (isPaused(health, now)) return 0
        const most = concurrencyOf(health, limits.maxConcurrent ?? defaults.maxConcurrent)
        return Math.max(0, Math.min(Math.floor(server.tokens), most - inFlightAt(origin)))
      }

      /** The due tasks of a server, each with its place among those of its source and kind. */
      const candidates = Effect.fnUntraced(function* (due: ReadonlyArray<MemoryTask>) {
        const byLane = Map.groupBy(due, (task) => `${task.sourceId} ${task.requestType}`)
        return yield* Effect.forEach(
          [...byLane.values()].flatMap((lane) =>
            lane
              .toSorted((a, b) => Number(isFirst(b)) - Number(isFirst(a)) || a.nextFetchAt - b.nextFetchAt)
              .map((task, turn) => ({ task, turn }))
          ),
          ({ task, turn }) =>
            Effect.map(Random.next, (lot): Candidate & { task: MemoryTask } => ({
              task,
              turn,
              lot,
              requestType: task.requestType
            }))
        )
      })

      /** A divided task's parts take its new details too. */
      const correct = (whole: MemoryTask, details: TaskDetails, now: number) => {
        const isOfIt = ({ details: { measurementName, siteName }, requestType, sourceId }: MemoryTask) =>
          (whole.setAside === "divided" || whole.setAside === "renamed") &&
          sourceId === whole.sourceId &&
          requestType === whole.requestType &&
          siteName === details.siteName &&
          measurementName === details.measurementName
        for (const task of tasks.values()) {
          if (task !== whole && !isOfIt(task)) continue
          const isOther = task.details.item !== details.item || task.details.units !== details.units
          task.details = details
          if (isOther) askForAgain(task, now)
        }
      }

      const claimed = (task: MemoryTask): ClaimedTask => {
        const source = sources.get(task.sourceId)!
        const server = servers.get(originOf(task.fetchUrl))
        return {
          id: task.id,
          fence: task.fence,
          sourceId: task.sourceId,
          requestType: task.requestType,
          fetchUrl: task.fetchUrl,
          details: task.details,
          previousHash: task.previousHash,
          previousDigest: task.previousDigest,
          refresh: task.refresh,
          runs: task.refresh === undefined ? task.history : [],
          follows: task.leader !== undefined,
          followers: [...tasks.values()].filter(({ leader }) => leader === task.id).length,
          attempts: task.attempts,
          councilId: source.councilId,
          htsUrl: source.htsUrl,
          configuration: source.configuration,
          server: { origin: originOf(task.fetchUrl), epoch: server?.health.epoch ?? 0, knowledge: server?.knowledge }
        }
      }

      const key = (task: Pick<NewTask<string>, "fetchUrl" | "requestType" | "sourceId">) =>
        `${task.sourceId} ${task.requestType} ${task.fetchUrl}`

      const wokenBy = (wake: Waking): ReadonlyArray<MemoryTask> => {
        switch (wake.of) {
          case "followers":
            return [...tasks.values()].filter(({ leader }) => leader === wake.leader)
          case "ids":
            return wake.ids.flatMap((id) => tasks.get(id) ?? [])
          case "requests": {
            const keys = new Set(wake.requests.map(key))
            return [...tasks.values()].filter((task) => keys.has(key(task)))
          }
        }
      }

      /** Lets others follow whom they should, and wakes those that should be. */
      const tellOthers = (settled: ReadonlyArray<Settlement>, now: number) => {
        for (const { id, leader } of settled.flatMap(({ follows = [] }) => follows)) {
          const task = tasks.get(id)
          if (task !== undefined) task.leader = leader
        }
        const awake = new Set(settled.filter((each) => !takesWake(each)).map(({ task }) => task.id))
        for (const wake of settled.flatMap(({ wakes = [] }) => wakes)) {
          const at = now + Math.max(0, wake.after)
          for (const task of wokenBy(wake)) {
            if (awake.has(task.id) || task.setAside !== undefined || task.unavailable || task.attempts > 0) continue
            task.nextFetchAt = Math.min(task.nextFetchAt, at)
            if (task.leaseUntil !== undefined) task.wakeAt = Math.min(task.wakeAt ?? at, at)
          }
        }
      }

      return HilltopQueue.of({
        enqueue: (wanted) =>
          Effect.map(Clock.currentTimeMillis, (now) => {
            const known = new Map([...tasks.values()].map((task) => [key(task), task]))
            const added = new Map(wanted.filter((task) => !known.has(key(task))).map((task) => [key(task), task]))
            for (const task of wanted) {
              const there = known.get(key(task))
              if (there !== undefined) correct(there, task.details, now)
            }
            for (const task of added.values()) {
              const id = tasks.size + 1
              tasks.set(id, {
                ...task,
                id,
                fence: 0,
                nextFetchAt: now,
                leaseUntil: undefined,
                dueAt: now,
                takeovers: 0,
                setAside: undefined,
                attempts: 0,
                unavailable: false,
                previousHash: undefined,
                previousDigest: undefined,
                refresh: keepable(task.refresh),
                reason: undefined,
                leader: undefined,
                wakeAt: undefined,
                history: []
              })
            }
            return added.size
          }).pipe(Effect.tap((added) => (added === 0 ? Effect.void : PubSub.publish(arrivals, undefined)))),

        wake: (wanted) =>
          Effect.map(Clock.currentTimeMillis, (now) => {
            const keys = new Set(wanted.map(key))
            for (const task of tasks.values()) if (task.unavailable && keys.has(key(task))) askForAgain(task, now)
          }),

        find: (wanted) =>
          Effect.sync(() => {
            const keys = new Set(wanted.map(key))
            return [...tasks.values()]
              .filter((task) => keys.has(key(task)) && task.setAside === undefined && !task.unavailable)
              .map(({ fetchUrl, id, leader, refresh }): QueuedTask => ({ id, fetchUrl, refresh, follows: leader }))
          }),

        claim: Effect.fnUntraced(function* (limit) {
          const now = yield* Clock.currentTimeMillis
          const due = [...tasks.values()].filter((task) => isDue(task, now) && isUsable(sources.get(task.sourceId)))
          const byOrigin = Map.groupBy(due, (task) => originOf(task.fetchUrl))
          const turns = yield* Effect.forEach(byOrigin, ([origin, list]) =>
            Effect.map(candidates(list), (each) =>
              firstOf(each, serverOf(servers, origin, now).turns, Math.min(limit, roomAt(origin, now))).map(
                ({ task }, turn) => ({ task, height: inFlightAt(origin) + turn, origin })
              )
            )
          )
          const waiting = [...byOrigin.keys()].filter((origin) => {
            const { health, tokens } = serverOf(servers, origin, now)
            return inFlightAt(origin) === 0 && tokens < 1 && !isPaused(health, now)
          }).length
          const kept = Math.min(waiting, mostKept(limit))
          return turns
            .flat()
            .sort((a, b) => a.height - b.height)
            .filter(({ height }, nth) => nth < limit - (height > 0 ? kept : 0))
            .map(({ origin, task }) => {
              const server = serverOf(servers, origin, now)
              server.tokens -= 1
              server.turns += 1
              task.leaseUntil = now + leaseMillis
              task.dueAt = task.nextFetchAt
              task.wakeAt = undefined
              task.fence += 1
              return claimed(task)
            })
        }),

        untilDue: Effect.map(Clock.currentTimeMillis, (now) => {
          const dueAt = [...tasks.values()]
            .filter((task) => task.setAside === undefined && isUsable(sources.get(task.sourceId)))
            .map(({ fetchUrl, nextFetchAt }) => {
              const { health, limits, tokens, refilledAt } = serverOf(servers, originOf(fetchUrl), now)
              const rate = (limits.requestsPerSecond ?? defaults.requestsPerSecond) * health.pace
              const refilled = tokens < 1 ? refilledAt + (1000 * (1 - tokens)) / rate : 0
              return Math.max(nextFetchAt, health.coolDownUntil ?? 0, health.openUntil ?? 0, refilled)
            })
          return Math.max(0, Math.ceil(dueAt.reduce((a, b) => Math.min(a, b), Infinity) - now))
        }),

        heartbeat: (leases) =>
          Effect.map(Clock.currentTimeMillis, (now) => ({
            lost: leases.flatMap((lease) => {
              const task = held(lease)
              if (task === undefined) return [lease.id]
              task.leaseUntil = now + leaseMillis
              return []
            }),
            held: []
          })),

        settle: (settlements) =>
          Effect.map(Clock.currentTimeMillis, (now) => {
            for (const [origin, signal] of signalsOf(settlements)) {
              const server = serverOf(servers, origin, now)
              server.health = afterSignal(server.health, signal, now)
            }
            for (const [origin, lessons] of lessonsOf(settlements)) {
              const server = serverOf(servers, origin, now)
              const rate = server.limits.requestsPerSecond ?? defaults.requestsPerSecond
              const allowed = allowedPerDay(server.limits.requestsPerDay, rate)
              server.knowledge = formatServer(afterLooks(parseServer(server.knowledge), lessons, allowed, now))
            }
            const settled: Array<Settlement> = []
            const unsettled = settlements.flatMap((settlement) => {
              const task = held(settlement.task)
              if (task === undefined) return [{ id: settlement.task.id, again: undefined }]
              settled.push(settlement)
              task.leaseUntil = undefined
              task.takeovers = 0
              task.attempts = settlement.attempts
              if (settlement.run !== undefined) task.unavailable = settlement.unavailable ?? false
              const wakeAt = takesWake(settlement) ? task.wakeAt : undefined
              if (task.nextFetchAt === task.dueAt) {
                task.nextFetchAt = Math.min(now + Duration.toMillis(settlement.delay), wakeAt ?? Infinity)
              }
              task.refresh = keepable(settlement.refresh?.kept) ?? task.refresh
              task.reason = readable(settlement.refresh?.reason) ?? task.reason
              task.previousHash = settlement.hash ?? task.previousHash
              task.previousDigest = settlement.digest ?? task.previousDigest
              task.setAside ??= settlement.setAside
              if (settlement.run !== undefined) task.history = [...task.history, settlement.run].slice(-historyLength)
              return []
            })
            tellOthers(settled, now)
            return unsettled
          }),

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
            if (!isLostTooOften(task.takeovers)) continue
            task.setAside ??= "lost"
            const run: TaskRun = { at: formatInstant(now), result: "UNKNOWN_ERROR", hash: null, detail: lostTooOften }
            task.history = [...task.history, run].slice(-historyLength)
          }
          return lost.length
        }),

        arrivals: Stream.fromPubSub(arrivals)
      })
    })
  )
