/**
 * The background sync: keeps every relevant accounting point fresh, and follows events at once.
 *
 * Each pass claims its share (`batchSize`) with one statement and spreads the calls over the interval, so that the source sees a
 * steady trickle. Events are followed beside that, as they come.
 */
import {
  Context,
  Duration,
  Effect,
  Exit,
  FiberSet,
  Latch,
  Layer,
  Option,
  Queue,
  Scope,
  Semaphore,
  Stream
} from "effect"
import { asStepOf, Loops, passPatience, patienceFor, repeatPass } from "../running/Loop.ts"
import type { AccountingPointStore } from "./AccountingPointStore.ts"
import { BudgetPatience, patienceAfterFailure } from "./AdapterBudget.ts"
import { AdapterClient } from "./AdapterClient.ts"
import { adapterCircuit } from "./AdapterCircuit.ts"
import { type EventArrival, EventInbox, isWoken } from "./EventInbox.ts"
import { batchSize } from "./batchSize.ts"
import { Instances } from "./Instances.ts"
import { keepTogether } from "./keepTogether.ts"
import { type Claim, type ClaimRequest, LockStore } from "./LockStore.ts"
import { noteClaims, noteSync, showSyncs } from "./syncMetrics.ts"
import { attempt, claimAndRun, recordAttempt, runAll, type SyncPass, syncOrRecord } from "./runClaims.ts"
import { tracedClaims } from "./tracedClaims.ts"
import type { StoreUnavailable } from "../domain/StoreUnavailable.ts"
import { monotonicMillis } from "../running/monotonicMillis.ts"

export interface SyncOptions {
  readonly interval: Duration.Duration
  /** Every relevant accounting point is synced at least this often. */
  readonly within: Duration.Duration
  readonly deadAfter: Duration.Duration
  /** Fixes the batch size, which is computed otherwise. */
  readonly batchSize: number | undefined
  /** How often an instance looks for pending events without being woken; 1 second unless given. */
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
    /** The same without those that failed, which `beginFollowing` takes up. */
    readonly runRound: Effect.Effect<SyncPass, StoreUnavailable>
    /** Claims what has pending events and syncs it at once. */
    readonly followEvents: Effect.Effect<SyncPass, StoreUnavailable>
    /**
     * The same, and of what failed what is due to be tried again; but returns as soon as the syncs have begun, with how many
     * there are: a slow one holds up none that comes after it. Waits first while too many are under way.
     */
    readonly beginFollowing: Effect.Effect<number, StoreUnavailable>
    /** Gives back those of the accounting points that are claimed here and wait for their turn; how many there were. */
    readonly giveBackWaiting: (points: ReadonlyArray<number>) => Effect.Effect<number, StoreUnavailable>
    /** Waits until an adapter that was left alone has answered again; each time is told once. */
    readonly recovered: Effect.Effect<void>
    /** Waits while too many syncs are under way. */
    readonly hasRoom: Effect.Effect<void>
  }
>()("penstock/sync/SyncScheduler") {
  /** The scheduler itself; nothing runs until it is told to. The same code over memory stores or live ones. */
  static readonly layer = (options: SyncOptions) =>
    Layer.effect(
      SyncScheduler,
      Effect.gen(function* () {
        yield* showSyncs
        const locks = yield* LockStore
        const instances = yield* Instances
        const { concurrency } = options
        const deadAfter = Duration.toSeconds(options.deadAfter)
        // An eighth of the calls is kept for events, at least one of four; and what failed before has at most a quarter, since it
        // may fail by being slow.
        const forEvents = concurrency < 4 ? 0 : Math.max(1, Math.floor(concurrency / 8))
        const permits = yield* Semaphore.make(concurrency)
        const steadyPermits = yield* Semaphore.make(concurrency - forEvents)
        const retryPermits = yield* Semaphore.make(Math.max(1, Math.floor(concurrency / 4)))
        const context = yield* Effect.context<LockStore | AccountingPointStore>()
        const keep = yield* keepTogether
        /** None where single passes are run, which nobody watches. */
        const loops = Option.getOrUndefined(yield* Effect.serviceOption(Loops))
        const { deadline = 0 } = yield* AdapterClient
        /** A sync ends after the adapter's deadline and some statements. */
        const asSync = (loop: LoopName) =>
          asStepOf(loops, loop, Duration.sum(passPatience, Duration.millis(Math.max(0, deadline - usualDeadline))))

        /** Claimed for a round, and not their turn yet. */
        const waiting = new Map<number, Claim>()

        const circuit = yield* adapterCircuit({
          probe: Effect.fnUntraced(function* ({ isClosed, probing }) {
            const claims = yield* claimProbes
            const tried = yield* Effect.forEach(
              claims,
              (claim) =>
                permits.withPermit(asSync("sync")(Effect.provideService(attempt(claim, keep), AdapterClient, probing))),
              { concurrency: "unbounded" }
            ).pipe(Effect.onInterrupt(() => Effect.ignore(locks.release(claims))))
            // Unless anybody was answered, the failures are the adapter's, and are held against no accounting point.
            const isOwn = yield* isClosed
            const failed = claims.filter((_, place) => tried[place]!.end === undefined)
            if (!isOwn) yield* Effect.ignore(locks.release(failed))
            else yield* Effect.forEach(claims, (claim, place) => recordAttempt(claim, tried[place]!), { discard: true })
            const asked = tried.map((one) => (one.end === undefined ? (one.retryAfter ?? 0) : 0))
            return asked.length === 0 ? undefined : Math.min(...asked)
          }, Effect.provideContext(context)),
          open: Effect.suspend(() => {
            const claims = [...waiting.values()]
            waiting.clear()
            return Effect.ignore(locks.release(claims))
          }),
          close: Effect.ignore(locks.hasten(hastened))
        })

        /** From the store; and where they are all claimed here for the round, of those which succeeded last. */
        const claimProbes = Effect.gen(function* () {
          const claims = yield* Effect.orElseSucceed(locks.claimProbes(probes), () => [])
          const room = probes.proven - claims.length
          const ours = room > 0 ? [...waiting.values()].slice(-room) : []
          for (const { accountingPointId } of ours) waiting.delete(accountingPointId)
          return [...claims, ...ours]
        }).pipe(Effect.uninterruptible)

        /** A turn ends with its call: what is done with the answer holds up no other call. */
        const syncInTurn = (claim: Claim, loop: LoopName, turn: ReadonlyArray<Semaphore.Semaphore>) =>
          whileHeld(turn, (over) => {
            const client = AdapterClient.of({
              ...circuit.client,
              fetch: (...asked) => Effect.ensuring(circuit.client.fetch(...asked), over)
            })
            return asSync(loop)(Effect.tap(syncOrRecord(claim, keep), (end) => noteSync(claim, end))).pipe(
              Effect.provideService(AdapterClient, client)
            )
          })
        const sync = (claim: Claim, loop: LoopName) => {
          const inTurn =
            claim.failures > 0
              ? Effect.provideService(
                  syncInTurn(claim, loop, [retryPermits, permits]),
                  BudgetPatience,
                  patienceAfterFailure
                )
              : syncInTurn(claim, loop, claim.hasEvent ? [permits] : [steadyPermits, permits])
          return Effect.flatMap(circuit.admits, (admitted) =>
            admitted ? inTurn : Effect.as(Effect.ignore(locks.release([claim])), "released" as const)
          ).pipe(Effect.provideContext(context))
        }
        const claim = Effect.fnUntraced(function* (limit: number, lanes: ClaimRequest["lanes"], failing: number) {
          if (limit + failing === 0 || !circuit.client.configured || (yield* circuit.isOpen)) return []
          return yield* Effect.tap(tracedClaims(locks.claim({ limit, lanes, failing, deadAfter })), noteClaims)
        })

        /**
         * What has an event at once; then each call at its moment of the interval, or as soon after it as those before let it;
         * what failed before comes last.
         */
        const spreadOut = (claims: ReadonlyArray<Claim>) =>
          Effect.map(monotonicMillis, (startedAt) => {
            const healthy = claims.filter(({ failures }) => failures === 0)
            const steady = [
              ...healthy.filter(({ hasEvent }) => !hasEvent),
              ...claims.filter(({ failures }) => failures > 0)
            ]
            for (const claim of steady) waiting.set(claim.accountingPointId, claim)
            const gap = (Duration.toMillis(options.interval) * spread) / steady.length
            const turns = new Map(steady.map((claim, index) => [claim, startedAt + gap * index]))
            const isOurs = (claim: Claim) => waiting.get(claim.accountingPointId) === claim
            const run = Effect.fnUntraced(function* (claim: Claim) {
              const turn = turns.get(claim)
              if (turn !== undefined) {
                const delay = turn - (yield* monotonicMillis)
                if (delay > 0 && isOurs(claim)) yield* Effect.raceFirst(Effect.sleep(delay), circuit.opened)
                if (!isOurs(claim)) return "released" as const
                waiting.delete(claim.accountingPointId)
              }
              return yield* sync(claim, "sync")
            })
            // Twice as many as calls: while some are kept, others are asked for.
            return {
              locks,
              concurrency: 2 * concurrency,
              run,
              claims: [...healthy.filter(({ hasEvent }) => hasEvent), ...steady]
            }
          })
        const asStep = asStepOf(loops, "sync")
        const round = Effect.fnUntraced(function* (failing: (limit: number) => number) {
          const relevant = yield* asStep(locks.countRelevant(Duration.toSeconds(options.lookupRetention)))
          const limit = options.batchSize ?? batchSize(relevant, options, yield* asStep(instances.countSyncing))
          return yield* Effect.ensuring(
            claimAndRun(asStep(claim(limit, "all", limit === 0 ? 0 : failing(limit))), spreadOut),
            Effect.sync(() => waiting.clear())
          )
        })

        const followers = yield* FiberSet.make<SyncPass>()
        const room = yield* Latch.make(true)
        let following = 0
        let retrying = 0
        const follow = (claim: Claim) =>
          sync(claim, "events").pipe(
            // What could not be tried would be claimed again at once.
            Effect.tap((end) => (end === "released" ? Effect.sleep("1 second") : Effect.void)),
            Effect.ensuring(
              Effect.sync(() => {
                if (claim.failures > 0) retrying -= 1
                else following -= 1
                if (following <= mostFollowing(options) / 2) room.openUnsafe()
              })
            )
          )

        return SyncScheduler.of({
          runOnce: round((limit) => Math.max(limit, concurrency * 4)),
          runRound: round(() => 0),
          followEvents: claimAndRun(claim(mostFollowing(options), "events", 0), (claims) =>
            Effect.succeed({ locks, concurrency, run: (claim: Claim) => sync(claim, "events"), claims })
          ),
          beginFollowing: Effect.gen(function* () {
            const claims = yield* claim(mostFollowing(options) - following, "events", concurrency - retrying)
            const failing = claims.filter(({ failures }) => failures > 0).length
            following += claims.length - failing
            retrying += failing
            if (following > mostFollowing(options) / 2) room.closeUnsafe()
            // Concurrently: those that wait for a permit hold up none of the others.
            if (claims.length > 0) {
              yield* FiberSet.run(followers, runAll({ claims, locks, concurrency: claims.length, run: follow }))
            }
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
          }, Effect.uninterruptible),
          recovered: circuit.recovered,
          hasRoom: room.await
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
          const startedAt = yield* monotonicMillis
          yield* scheduler.runRound
          return startedAt
        })
        const untilNextRound = (startedAt: number) =>
          Effect.flatMap(monotonicMillis, (now) =>
            // After an outage at once: what was given back in it is claimed again.
            Effect.raceFirst(Effect.sleep(Math.max(0, startedAt + interval - now)), scheduler.recovered)
          )
        // A round takes as long as the interval; each of its steps is watched.
        yield* repeatPass(
          { name: "sync", patience: patienceFor(options.interval), pauses: options.interval },
          pass,
          untilNextRound
        ).pipe(Effect.forkScoped)
        const instances = yield* Instances
        // Heard by a fiber of its own: a stream that opens connections is not to be interrupted by whoever has waited enough.
        const arrivals = yield* Queue.sliding<EventArrival>(mostHeard)
        yield* Effect.forkScoped(Stream.runForEach(inbox.arrivals, (arrival) => Queue.offer(arrivals, arrival)))
        const isForUs = Effect.gen(function* () {
          const heard = yield* Queue.takeAll(arrivals)
          const standing = yield* instances.standing
          // The instance that was to take them may have found nothing: then this one does it.
          const given = yield* scheduler.giveBackWaiting(heard.flatMap(({ points }) => points))
          return given > 0 || heard.some((arrival) => isWoken(arrival, standing, mostFollowing(options)))
        })
        const wake = isForUs.pipe(
          Effect.repeat({ until: (woken) => woken }),
          // If notifications do not come, this instance looks by itself.
          Effect.catchTag("StoreUnavailable", () => Effect.never),
          Effect.timeoutOption(options.eventPoll ?? eventPoll),
          Effect.asVoid
        )
        // A sync that hangs shows by itself, so it may be waited for.
        yield* repeatPass({ name: "events", pauses: "5 minutes" }, scheduler.beginFollowing, (begun) =>
          Effect.andThen(begun > 0 ? Effect.void : wake, scheduler.hasRoom)
        ).pipe(Effect.forkScoped)
      })
    )
}

/** Runs `use` with a permit of each, taken in this order, until it is through or says that it needs them no longer. */
const whileHeld = <A, E, R>(
  permits: ReadonlyArray<Semaphore.Semaphore>,
  use: (over: Effect.Effect<void>) => Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> =>
  Effect.acquireUseRelease(
    Scope.make(),
    (turn) =>
      Effect.forEach(permits, (one) => Scope.provide(one.takeScoped(1), turn), { discard: true }).pipe(
        Effect.andThen(Effect.suspend(() => use(Scope.close(turn, Exit.void))))
      ),
    Scope.close
  )

/** Which of the loops runs a sync. */
type LoopName = "sync" | "events"
/** In milliseconds; a loop's patience has room for it. */
const usualDeadline = 10_000

/** What is asked when it is in doubt whether the adapter answers at all; see `LockStore.claimProbes`. */
const probes = { proven: 3, untried: 12 }

/** Failing accounting points whose waiting ends with an outage, since most of them failed because of it. */
const hastened = 100

/** The part of an interval over which calls are spread; the rest is for the last answers to come in. */
const spread = 0.98

/** The instance whose turn it was may have died: then its events wait no longer than this for another one. */
const eventPoll = Duration.seconds(1)

/** Arrivals that wait to be looked at while calls are under way; of more, the oldest are found by looking. */
const mostHeard = 1_000

/** How many accounting points with events one instance takes at a time: half a second's work at 50 ms a call. */
const mostFollowing = ({ concurrency }: Pick<SyncOptions, "concurrency">): number => concurrency * 8
