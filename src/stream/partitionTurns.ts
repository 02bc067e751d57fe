/**
 * How the workers of a reader take turns at the partitions of a topic, and how a reader that found nothing waits. Which partition comes
 * next is for the topics to say (`layers/topics/partitionClaim.ts`).
 *
 * One fiber looks for work for all workers of a reader, so that an idle reader asks once and not once per worker. It is
 * woken by an append of this process and by a worker that is done, since the partition that worker held may have more.
 */
import { Clock, Deferred, Duration, Effect, FiberSet, Queue, type Scope, Semaphore } from "effect"

/** Tells readers of this process that a topic has new records. Signals that were not taken yet collapse into one. */
export interface Arrivals {
  readonly signal: (topic: string) => void
  /** Whatever the topic. */
  readonly signalAll: () => void
  readonly subscribe: (topic: string) => Effect.Effect<Queue.Queue<void>, never, Scope.Scope>
}

export const makeArrivals = (): Arrivals => {
  const readers = new Map<string, Set<Queue.Queue<void>>>()
  const wake = (queues: Set<Queue.Queue<void>> | undefined) =>
    queues?.forEach((queue) => Queue.offerUnsafe(queue, undefined))
  return {
    signal: (topic) => wake(readers.get(topic)),
    signalAll: () => readers.forEach(wake),
    subscribe: (topic) =>
      Effect.acquireRelease(
        Effect.map(Queue.sliding<void>(1), (queue) => {
          const queues = readers.get(topic) ?? new Set()
          readers.set(topic, queues.add(queue))
          return queue
        }),
        (queue) => Effect.sync(() => readers.get(topic)?.delete(queue))
      )
  }
}

export interface Turns<Claim, E, R> {
  /** Partitions that are worked on at once. */
  readonly atOnce: number
  readonly arrivals: Effect.Effect<Queue.Queue<void>, never, Scope.Scope>
  /** Takes a partition that has records and no worker, if there is one. Not interrupted, so that no claim is lost. */
  readonly claim: Effect.Effect<Claim | undefined, E, R>
  /** Works on a claim and lets go of it, however it ends; tells whether its partition has more. */
  readonly work: (claim: Claim) => Effect.Effect<boolean, E, R>
  /** How long after a search that found something the next one waits for what is to come, unless a partition has more. */
  readonly gather?: Duration.Input | undefined
  /** How long a reader waits for an arrival before it searches again; `empty` is how many searches in a row have found nothing. */
  readonly giveUpWaiting: (empty: number) => Effect.Effect<void>
  readonly onIdle: Effect.Effect<void>
}

/**
 * Claims and works until interrupted or until something fails. The other workers then finish what they hold, so that one
 * partition that always fails does not keep the others from getting on.
 */
export const takeTurns = <Claim, E, R>(turns: Turns<Claim, E, R>): Effect.Effect<never, E, R> =>
  Effect.scoped(searchAndWork(turns))

const searchAndWork = Effect.fnUntraced(function* <Claim, E, R>(turns: Turns<Claim, E, R>) {
  const wake = yield* turns.arrivals
  const workers = yield* FiberSet.make<void, E>()
  const slots = yield* Semaphore.make(turns.atOnce)
  const failure = yield* Deferred.make<never, E>()
  const gather = Duration.toMillis(turns.gather ?? 0)
  let foundAt = Number.NEGATIVE_INFINITY
  let hasMore = false

  const startWorker = Effect.uninterruptibleMask((restore) =>
    Effect.gen(function* () {
      yield* restore(slots.take(1))
      // From the moment a worker fails nothing more is claimed, least of all the batch that it failed with.
      if (yield* Deferred.isDone(failure)) return yield* restore(Effect.never)
      const claim = yield* turns.claim
      if (claim === undefined) {
        yield* slots.release(1)
        return false
      }
      foundAt = yield* Clock.currentTimeMillis
      const work = restore(turns.work(claim)).pipe(
        Effect.map((more) => void (hasMore ||= more)),
        Effect.onError((cause) => Deferred.failCause(failure, cause)),
        Effect.ensuring(Effect.andThen(slots.release(1), Queue.offer(wake, undefined)))
      )
      yield* FiberSet.run(workers, work)
      return true
    })
  )

  const search = Effect.gen(function* () {
    for (let empty = 0; ;) {
      empty = (yield* startWorker) ? 0 : empty + 1
      if (empty === 0) continue
      yield* turns.onIdle
      const woken = Effect.as(Queue.take(wake), 0)
      empty = yield* Effect.raceFirst(woken, Effect.as(turns.giveUpWaiting(empty), empty))
      const wait = foundAt + gather - (yield* Clock.currentTimeMillis)
      if (wait > 0 && !hasMore) yield* Effect.sleep(wait)
      hasMore = false
    }
  })

  const failed = Effect.exit(Deferred.await(failure)).pipe(
    Effect.tap(() => FiberSet.awaitEmpty(workers)),
    Effect.flatten
  )
  return yield* Effect.raceFirst(search, failed)
})
