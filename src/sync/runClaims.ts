/**
 * What becomes of claims: each ends in exactly one of three ways, finalised, recorded as failed, or given back, also when
 * the service is stopped meanwhile.
 */
import { Effect, Random } from "effect"
import { sayOnce } from "../running/sayOnce.ts"
import { type Claim, LockStore } from "./LockStore.ts"
import { type keepAlone, syncClaim, type SyncOutcome } from "./synchronize.ts"

export type SyncPass = Readonly<Record<SyncOutcome | "claimed" | "failed" | "released", number>>

/** How long a failing row waits, in seconds: 30 s doubling to 6 h, ±20 %, and never less than the adapter asked for. */
const retryDelay = Effect.fnUntraced(function* (failures: number, asked = 0) {
  const delay = Math.min(30 * 2 ** Math.min(failures, 20), 6 * 3600)
  return Math.max(asked, delay * (yield* Random.nextBetween(0.8, 1.2)))
})

/**
 * An event may tell of the cure, so with one the next attempt comes at once; but a flood of them must not hammer the adapter, so
 * not sooner than so many seconds after a failed one: 2 s doubling to 30 s, and never less than the adapter asked for.
 */
const afterEvent = (failures: number, asked = 0): number =>
  Math.max(asked, Math.min(30, 2 * 2 ** Math.min(failures, 20)))

export type ClaimEnd = SyncOutcome | "failed" | "released"

const recordFailure = Effect.fnUntraced(function* (claim: Claim, kind: string, asked?: number) {
  const locks = yield* LockStore
  yield* locks.fail(claim, kind, yield* retryDelay(claim.failures, asked), afterEvent(claim.failures, asked))
  return "failed" as const
})

const giveBack = (claim: Claim) =>
  LockStore.use((locks) => locks.release([claim])).pipe(Effect.as<ClaimEnd>("released"))

/** How an attempt ended; a failure is to be recorded, or is not the accounting point's own. */
export type Attempt =
  | { readonly end: ClaimEnd }
  | { readonly end?: undefined; readonly kind: string; readonly retryAfter: number | undefined }

const failedWith = (kind: string, retryAfter?: number): Attempt => ({ kind, retryAfter })
const released = (claim: Claim) => Effect.map(giveBack(claim), (end): Attempt => ({ end }))

/** Syncs one claim, whose answer is kept alone unless told. A claim that could not be tried is given back. */
export const attempt = (claim: Claim, keep?: typeof keepAlone) =>
  syncClaim(claim, keep).pipe(
    Effect.map((end): Attempt => ({ end })),
    Effect.catchTags({
      AccountingPointUnknown: () => Effect.succeed(failedWith("unknown")),
      AdapterFailure: ({ kind, retryAfter }) =>
        kind === "paused" ? released(claim) : Effect.succeed(failedWith(kind, retryAfter)),
      LockTimeout: () => released(claim),
      StoreUnavailable: () => Effect.succeed(failedWith("store"))
    }),
    Effect.catchDefect((defect) =>
      Effect.as(
        sayOnce(
          `sync: ${tag(defect)}`,
          Effect.logError("sync: an accounting point could not be synced, since a program failed", tag(defect))
        ),
        failedWith("defect")
      )
    ),
    // Without the store the claim cannot be given back: it becomes claimable again when it is declared dead.
    Effect.catchTag("StoreUnavailable", () => Effect.succeed<Attempt>({ end: "released" }))
  )

/** Records how an attempt failed. */
export const recordAttempt = (claim: Claim, tried: Attempt): Effect.Effect<ClaimEnd, never, LockStore> =>
  tried.end !== undefined
    ? Effect.succeed(tried.end)
    : Effect.catchTag(recordFailure(claim, tried.kind, tried.retryAfter), "StoreUnavailable", () =>
        Effect.succeed<ClaimEnd>("released")
      )

/** Syncs one claim; a failure of its own is recorded on its row and is no failure of the pass. */
export const syncOrRecord = (claim: Claim, keep?: typeof keepAlone) =>
  Effect.flatMap(attempt(claim, keep), (tried) => recordAttempt(claim, tried))

const tag = (defect: unknown): string => (defect instanceof Error ? defect.name : typeof defect)

/** Claims, and what is done to each of them. */
export interface ClaimRun<R> {
  readonly claims: ReadonlyArray<Claim>
  readonly locks: LockStore["Service"]
  /** At most so many are under way: each of those is a fiber of some 20 kB, one that waits next to nothing. */
  readonly concurrency: number
  readonly run: (claim: Claim) => Effect.Effect<ClaimEnd, never, R>
}

/** Claims and runs. What was claimed is known before an interruption is: none is left marked as being synced. */
export const claimAndRun = <E, R, R2>(
  claim: Effect.Effect<ReadonlyArray<Claim>, E>,
  runOf: (claims: ReadonlyArray<Claim>) => Effect.Effect<ClaimRun<R>, never, R2>
): Effect.Effect<SyncPass, E, R | R2> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(claim, (claims) => Effect.flatMap(runOf(claims), (run) => restore(runAll(run))))
  )

/** Runs every claim to its end, begun in their order, and counts the ends; what was not ended when interrupted is given back. */
export const runAll = <R>({ claims, concurrency, locks, run }: ClaimRun<R>): Effect.Effect<SyncPass, never, R> => {
  const open = new Set(claims)
  const pass = { claimed: claims.length, changed: 0, unchanged: 0, superseded: 0, failed: 0, released: 0 }
  const note = (claim: Claim, end: ClaimEnd) =>
    Effect.sync(() => {
      open.delete(claim)
      pass[end] += 1
    })
  return Effect.forEach(claims, (claim) => Effect.flatMap(run(claim), (end) => note(claim, end)), {
    concurrency,
    discard: true
  }).pipe(
    Effect.as(pass),
    Effect.onInterrupt(() => Effect.ignore(locks.release([...open])))
  )
}
