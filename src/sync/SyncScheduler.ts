/**
 * The background sync: keeps every relevant accounting point fresh, and follows events at once.
 *
 * Each pass claims its share with one statement and spreads the calls over the interval, so that the source sees a
 * steady trickle. Events are followed beside that, as they come.
 */
import { Cause, Clock, Context, Duration, Effect, FiberSet, Latch, Layer, Semaphore, Stream } from "effect"
import { patienceFor, repeatPass } from "../domain/Loop.ts"
import type { AccountingPointStore } from "./AccountingPointStore.ts"
import { AdapterClient } from "./AdapterClient.ts"
import { adapterCircuit } from "./AdapterCircuit.ts"
import { EventInbox, isWoken } from "./EventInbox.ts"
import { Instances } from "./Instances.ts"
import { type Claim, type ClaimRequest, LockStore, type StoreUnavailable } from "./LockStore.ts"
import { claimAndRun, type ClaimEnd, runAll, type SyncPass, syncOrRecord } from "./runClaims.ts"

export interface SyncOptions {
  readonly interval: Duration.Duration
  /** Every relevant accounting point is synced at least this often. */
  readonly within: Duration.Duration
  readonly deadAfter: Duration.Duration
  /** Fixes the batch size, which is computed otherwise. */
  readonly batchSize: number | undefined
  /** How often pending events are looked for by an instance that nobody woke; 1 second unless said. */
  readonly eventPoll?: Duration.Duration
  readonly concurrency: number
  readonly lookupRetention: Duration.Duration
}

export class SyncScheduler extends Context.Service<
  SyncScheduler,
  {
    /**
     * Claims this instance's share and syncs it, spread over the interval. Without an adapter there is nothing to do. Fails
     * only when nothing could be claimed.
     */
    readonly runOnce: Effect.Effect<SyncPass, StoreUnavailable>
    /** Claims what has pending events and syncs it at once. */
    readonly followEvents: Effect.Effect<SyncPass, StoreUnavailable>
    /**
     * The same, but returns as soon as the syncs have begun, with how many there are: a slow one holds up none that comes
     * after it. Waits first while too many are under way.
     */
    readonly beginFollowing: Effect.Effect<number, StoreUnavailable>
    /** Gives back those of the accounting points that are claimed here and wait for their turn; how many there were. */
    readonly giveBackWaiting: (points: ReadonlyArray<number>) => Effect.Effect<number, StoreUnavailable>
  }
>()("penstock/sync/SyncScheduler") {
  /** The scheduler itself; nothing runs until it is told to. The same code over memory stores or live ones. */
  static readonly layer = (options: SyncOptions) =>
    Layer.effect(
      SyncScheduler,
      Effect.gen(function* () {
        const locks = yield* LockStore
        const instances = yield* Instances
        const { concurrency } = options
        const permits = yield* Semaphore.make(concurrency)
        const context = yield* Effect.context<LockStore | AccountingPointStore>()
        const circuit = yield* adapterCircuit

        const sync = (claim: Claim) =>
          permits
            .withPermit(syncOrRecord(claim))
            .pipe(Effect.provideService(AdapterClient, circuit.client), Effect.provideContext(context))
        const claim = Effect.fnUntraced(function* (limit: number, lanes: ClaimRequest["lanes"]) {
          if (limit === 0 || !circuit.client.configured || (yield* circuit.isOpen)) return []
          const failing = lanes === "events" ? 0 : Math.max(limit, options.concurrency * 4)
          return yield* locks.claim({ limit, lanes, failing, deadAfter })
        })
        const deadAfter = Duration.toSeconds(options.deadAfter)

        /** Claimed for a round, and not their turn yet. */
        const waiting = new Map<number, Claim>()
        /** What has an event at once; then each call at its moment of the interval, or as soon after it as those before let it. */
        const spreadOut = (claims: ReadonlyArray<Claim>) =>
          Effect.map(Clock.currentTimeMillis, (startedAt) => {
            const steady = claims.filter(({ hasEvent }) => !hasEvent)
            for (const claim of steady) waiting.set(claim.accountingPointId, claim)
            const gap = (Duration.toMillis(options.interval) * spread) / steady.length
            const turns = new Map(steady.map((claim, index) => [claim, startedAt + gap * index]))
            const run = Effect.fnUntraced(function* (claim: Claim) {
              const turn = turns.get(claim)
              if (turn !== undefined) {
                yield* Effect.sleep(Math.max(0, turn - (yield* Clock.currentTimeMillis)))
                if (waiting.get(claim.accountingPointId) !== claim) return "released" satisfies ClaimEnd as ClaimEnd
                waiting.delete(claim.accountingPointId)
              }
              return yield* sync(claim)
            })
            return { locks, concurrency, run, claims: [...claims.filter(({ hasEvent }) => hasEvent), ...steady] }
          })

        const followers = yield* FiberSet.make<SyncPass>()
        const room = yield* Latch.make(true)
        let following = 0
        const follow = (claim: Claim) =>
          Effect.ensuring(
            sync(claim),
            Effect.sync(() => {
              following -= 1
              if (following <= mostFollowing(options) / 2) room.openUnsafe()
            })
          )

        return SyncScheduler.of({
          runOnce: Effect.gen(function* () {
            const relevant = yield* locks.countRelevant(Duration.toSeconds(options.lookupRetention))
            const limit = options.batchSize ?? batchSize(relevant, options, yield* instances.countSyncing)
            return yield* Effect.ensuring(
              claimAndRun(claim(limit, "all"), spreadOut),
              Effect.sync(() => waiting.clear())
            )
          }).pipe(Effect.withSpan("SyncScheduler.runOnce")),
          followEvents: claimAndRun(claim(mostFollowing(options), "events"), (claims) =>
            Effect.succeed({ locks, concurrency, run: sync, claims })
          ),
          beginFollowing: Effect.gen(function* () {
            const claims = yield* claim(mostFollowing(options) - following, "events")
            following += claims.length
            if (following > mostFollowing(options) / 2) room.closeUnsafe()
            if (claims.length > 0) yield* FiberSet.run(followers, runAll({ claims, locks, concurrency, run: follow }))
            return claims.length
          }).pipe(Effect.uninterruptible, (begin) => Effect.andThen(room.await, begin)),
          giveBackWaiting: Effect.fnUntraced(function* (points) {
            const claims = points.flatMap((point) => waiting.get(point) ?? [])
            // From here on they have no turn any more.
            for (const { accountingPointId } of claims) waiting.delete(accountingPointId)
            yield* Effect.tapError(locks.release(claims), () =>
              Effect.sync(() => claims.forEach((claim) => waiting.set(claim.accountingPointId, claim)))
            )
            return claims.length
          }, Effect.uninterruptible)
        })
      })
    )

  /** Runs both loops for as long as the layer lives: a pass every interval, and one whenever events arrive. */
  static readonly layerLoops = (options: SyncOptions) =>
    Layer.effectDiscard(
      Effect.gen(function* () {
        const scheduler = yield* SyncScheduler
        const inbox = yield* EventInbox
        const interval = Duration.toMillis(options.interval)
        const pass = Effect.gen(function* () {
          const startedAt = yield* Clock.currentTimeMillis
          yield* scheduler.runOnce
          return startedAt
        })
        const untilNextRound = (startedAt: number) =>
          Effect.flatMap(Clock.currentTimeMillis, (now) => Effect.sleep(Math.max(0, startedAt + interval - now)))
        yield* repeatPass({ name: "sync", patience: patienceFor(options.interval) }, pass, untilNextRound).pipe(
          Effect.forkScoped
        )

        const instances = yield* Instances
        const arrivals = yield* Stream.toPull(inbox.arrivals)
        const isForUs = Effect.gen(function* () {
          const heard = yield* arrivals
          const standing = yield* instances.standing
          // Who was to take them may have looked in vain: then we do it ourselves.
          const given = yield* scheduler.giveBackWaiting(heard.flatMap(({ points }) => points))
          return given > 0 || heard.some((arrival) => isWoken(arrival, standing, mostFollowing(options)))
        })
        const wake = isForUs.pipe(
          Effect.repeat({ until: (woken) => woken }),
          // Nobody tells us any more: then we look by ourselves.
          Effect.catchCause((cause) => (Cause.hasInterruptsOnly(cause) ? Effect.interrupt : Effect.never)),
          Effect.timeoutOption(options.eventPoll ?? eventPoll),
          Effect.asVoid
        )
        yield* repeatPass({ name: "events", patience: "2 minutes" }, scheduler.beginFollowing, (begun) =>
          begun > 0 ? Effect.void : wake
        ).pipe(Effect.forkScoped)
      })
    )
}

/** The part of an interval over which calls are spread; the rest is for the last answers to come in. */
const spread = 0.98

/** The instance whose turn it was may have died: then its events wait no longer than this for another one. */
const eventPoll = Duration.seconds(1)

/** How many accounting points with events one instance takes at a time: half a second's work at 50 ms a call. */
const mostFollowing = ({ concurrency }: Pick<SyncOptions, "concurrency">): number => concurrency * 8

/** `ceil(count / ((within / interval) × instances))`: what each instance must take so that all get their turn in time. */
export const batchSize = (
  relevant: number,
  options: Pick<SyncOptions, "interval" | "within">,
  instances: number
): number => {
  const rounds = Duration.toMillis(options.within) / Duration.toMillis(options.interval)
  return Math.ceil(relevant / (rounds * Math.max(1, instances)))
}
