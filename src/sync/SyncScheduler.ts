/**
 * The background sync: keeps every relevant accounting point fresh, and follows events at once.
 *
 * Each pass claims its share with one statement and spreads the calls over the interval, so that the source sees a
 * steady trickle. A claim ends in exactly one of three ways: finalised, recorded as failed, or given back.
 */
import { Clock, Context, Duration, Effect, Layer, MutableHashSet, Random, Semaphore, Stream } from "effect"
import { patienceFor, repeatPass } from "../domain/Loop.ts"
import type { AccountingPointStore } from "./AccountingPointStore.ts"
import { AdapterClient } from "./AdapterClient.ts"
import { adapterCircuit } from "./AdapterCircuit.ts"
import { EventInbox } from "./EventInbox.ts"
import { Instances } from "./Instances.ts"
import { type Claim, type ClaimRequest, LockStore, type StoreUnavailable } from "./LockStore.ts"
import { syncClaim, type SyncOutcome } from "./synchronize.ts"

export interface SyncOptions {
  readonly interval: Duration.Duration
  /** Every relevant accounting point is synced at least this often. */
  readonly within: Duration.Duration
  readonly deadAfter: Duration.Duration
  /** Fixes the batch size, which is computed otherwise. */
  readonly batchSize: number | undefined
  readonly concurrency: number
  readonly lookupRetention: Duration.Duration
}

export type SyncPass = Readonly<Record<SyncOutcome | "claimed" | "failed" | "released", number>>

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
  }
>()("penstock/sync/SyncScheduler") {
  /** The scheduler itself; nothing runs until it is told to. The same code over memory stores or live ones. */
  static readonly layer = (options: SyncOptions) =>
    Layer.effect(
      SyncScheduler,
      Effect.gen(function* () {
        const locks = yield* LockStore
        const instances = yield* Instances
        const permits = yield* Semaphore.make(options.concurrency)
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

        return SyncScheduler.of({
          runOnce: Effect.gen(function* () {
            const relevant = yield* locks.countRelevant(Duration.toSeconds(options.lookupRetention))
            const limit = options.batchSize ?? batchSize(relevant, options, yield* instances.countSyncing)
            const claims = yield* claim(limit, "all")
            const gap = (Duration.toMillis(options.interval) * spread) / Math.max(1, claims.length)
            return yield* runAll(locks, claims, (claim, i) => Effect.delay(sync(claim), gap * i))
          }).pipe(Effect.withSpan("SyncScheduler.runOnce")),
          followEvents: claim(options.concurrency * 8, "events").pipe(
            Effect.flatMap((claims) => runAll(locks, claims, sync))
          )
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

        const arrival = yield* Stream.toPull(inbox.arrivals)
        const nextArrival = arrival.pipe(Effect.ignoreCause, Effect.timeoutOption(eventPoll), Effect.asVoid)
        yield* repeatPass({ name: "events", patience: "2 minutes" }, scheduler.followEvents, (pass) =>
          pass.claimed > 0 ? Effect.void : nextArrival
        ).pipe(Effect.forkScoped)
      })
    )
}

/** The part of an interval over which calls are spread; the rest is for the last answers to come in. */
const spread = 0.98

/** Pending events are looked for this often even when no notification came. */
const eventPoll = Duration.seconds(2)

/** `ceil(count / ((within / interval) × instances))`: what each instance must take so that all get their turn in time. */
export const batchSize = (
  relevant: number,
  options: Pick<SyncOptions, "interval" | "within">,
  instances: number
): number => {
  const rounds = Duration.toMillis(options.within) / Duration.toMillis(options.interval)
  return Math.ceil(relevant / (rounds * Math.max(1, instances)))
}

/** How long a failing row waits, in seconds: 30 s doubling to 6 h, ±20 %, and never less than the adapter asked for. */
export const retryDelay = Effect.fnUntraced(function* (failures: number, asked = 0) {
  const delay = Math.min(30 * 2 ** Math.min(failures, 20), 6 * 3600)
  return Math.max(asked, delay * (yield* Random.nextBetween(0.8, 1.2)))
})

type End = SyncOutcome | "failed" | "released"

const recordFailure = Effect.fnUntraced(function* (claim: Claim, kind: string, asked?: number) {
  const locks = yield* LockStore
  yield* locks.fail(claim, kind, yield* retryDelay(claim.failures, asked))
  return "failed" satisfies End as End
})

const giveBack = (claim: Claim) => LockStore.use((locks) => locks.release([claim])).pipe(Effect.as<End>("released"))

/** Syncs one claim; a failure of its own is recorded on its row and is no failure of the pass. */
const syncOrRecord = (claim: Claim) =>
  syncClaim(claim).pipe(
    Effect.map((outcome): End => outcome),
    Effect.catchTags({
      AccountingPointUnknown: () => recordFailure(claim, "unknown"),
      AdapterFailure: (failure) =>
        failure.kind === "paused" ? giveBack(claim) : recordFailure(claim, failure.kind, failure.retryAfter),
      LockTimeout: () => giveBack(claim),
      StoreUnavailable: () => recordFailure(claim, "store")
    }),
    Effect.catchDefect((defect) =>
      Effect.logError("sync: an accounting point could not be synced", tag(defect)).pipe(
        Effect.andThen(recordFailure(claim, "defect"))
      )
    ),
    // Without the store the claim cannot be given back: it becomes claimable again when it is declared dead.
    Effect.catchTag("StoreUnavailable", () => Effect.succeed<End>("released"))
  )

const tag = (defect: unknown): string => (defect instanceof Error ? defect.name : typeof defect)

/** Runs every claim to its end and counts the ends; what was not ended when interrupted is given back. */
const runAll = <R>(
  locks: LockStore["Service"],
  claims: ReadonlyArray<Claim>,
  run: (claim: Claim, index: number) => Effect.Effect<End, never, R>
): Effect.Effect<SyncPass, never, R> => {
  const open = MutableHashSet.fromIterable(claims)
  return Effect.forEach(
    claims,
    (claim, i) => Effect.tap(run(claim, i), () => Effect.sync(() => MutableHashSet.remove(open, claim))),
    { concurrency: "unbounded" }
  ).pipe(
    Effect.map((ends) => {
      const count = (end: End) => ends.filter((each) => each === end).length
      return {
        claimed: claims.length,
        changed: count("changed"),
        unchanged: count("unchanged"),
        superseded: count("superseded"),
        failed: count("failed"),
        released: count("released")
      }
    }),
    Effect.onInterrupt(() => Effect.ignore(locks.release([...open])))
  )
}
