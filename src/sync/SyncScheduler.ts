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
import { claimAndRun, runAll, type SyncPass, syncOrRecord } from "./runClaims.ts"

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

        /** Each call at its moment of the interval, or as soon after it as those before it let it. */
        const spreadOut = (claims: ReadonlyArray<Claim>) =>
          Effect.map(Clock.currentTimeMillis, (startedAt) => {
            const gap = (Duration.toMillis(options.interval) * spread) / claims.length
            const turn = (index: number) =>
              Effect.flatMap(Clock.currentTimeMillis, (now) => Effect.sleep(Math.max(0, startedAt + gap * index - now)))
            const run = (claim: Claim, index: number) => Effect.andThen(turn(index), sync(claim))
            return { locks, concurrency, run }
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
            return yield* claimAndRun(claim(limit, "all"), spreadOut)
          }).pipe(Effect.withSpan("SyncScheduler.runOnce")),
          followEvents: claimAndRun(claim(mostFollowing(options), "events"), () =>
            Effect.succeed({ locks, concurrency, run: sync })
          ),
          beginFollowing: Effect.gen(function* () {
            const claims = yield* claim(mostFollowing(options) - following, "events")
            following += claims.length
            if (following > mostFollowing(options) / 2) room.closeUnsafe()
            if (claims.length > 0) yield* FiberSet.run(followers, runAll(claims, { locks, concurrency, run: follow }))
            return claims.length
          }).pipe(Effect.uninterruptible, (begin) => Effect.andThen(room.await, begin))
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
          return heard.some((arrival) => isWoken(arrival, standing, mostFollowing(options)))
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
