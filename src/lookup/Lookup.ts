/**
 * The lookup: does this accounting point belong to this end user, and which controllable units are behind it?
 *
 * A fresh copy answers at once; else the adapter is asked first, and when that fails, a copy that is young enough answers
 * as stale. The guess limit (`guessLimit`) comes before any of it: a caller without tries left costs the source nothing.
 */
import { Clock, Context, Data, Duration, Effect, Layer, Redacted } from "effect"
import type { EndUserClaim, Gsrn } from "../domain/Identifiers.ts"
import type { Instant } from "../domain/Instant.ts"
import { isClaimedBy } from "../domain/endUserMatch.ts"
import { spanWhereTraced } from "../running/spanWhereTraced.ts"
import { type AccountingPointUnknown, AdapterClient, AdapterFailure } from "../sync/AdapterClient.ts"
import {
  type KeptUnit,
  type LookupCopy,
  type LookupOutcome,
  LookupStore,
  type LookupSubject,
  type Settlement
} from "./LookupStore.ts"
import { type AnswerSource, measured, showLookups } from "./lookupMetrics.ts"
import { answerWithin } from "./answerWithin.ts"
import { SharedRefresh } from "./SharedRefresh.ts"
import type { LockTimeout, StoreUnavailable } from "../domain/StoreUnavailable.ts"

/** No living controllable unit has this id. */
export class ControllableUnitUnknown extends Data.TaggedError("ControllableUnitUnknown")<{}> {}
/** Neither here nor at the source; or not here, and there is no source to ask. */
export class AccountingPointNotFound extends Data.TaggedError("AccountingPointNotFound")<{
  readonly reason: "unknown" | "withdrawn" | "no_adapter"
}> {}
/** The end user of this moment is another; by a copy that is `age` seconds old, where the adapter was needed and did not answer. */
export class EndUserMismatch extends Data.TaggedError("EndUserMismatch")<{ readonly age: number | undefined }> {}
/** Neither the copy nor the adapter led to an answer in time (`answerWithin`). */
export class LookupTooSlow extends Data.TaggedError("LookupTooSlow")<{}> {}
/** The caller was wrong too often about this accounting point, and may try again in `retryAfter` seconds. */
export class TooManyMismatches extends Data.TaggedError("TooManyMismatches")<{ readonly retryAfter: number }> {}

export type LookupError =
  | ControllableUnitUnknown
  | AccountingPointNotFound
  | EndUserMismatch
  | TooManyMismatches
  | LookupTooSlow
  | AdapterFailure
  | LockTimeout
  | StoreUnavailable

export interface LookupOptions {
  /** A copy synced longer ago is not fresh. */
  readonly maxAge: Duration.Duration
  /** A copy synced longer ago does not stand in for the adapter. */
  readonly staleWithin: Duration.Duration
}

export interface LookupQuestion {
  readonly caller: string
  readonly claim: EndUserClaim
  readonly subject: LookupSubject
  /** Ask the adapter however fresh the copy is. */
  readonly forceRefresh: boolean
}

export interface LookupAnswer {
  readonly accountingPoint: { readonly id: number; readonly gsrn: Gsrn }
  readonly endUserId: number
  readonly units: ReadonlyArray<KeptUnit>
  /** The adapter was needed and did not answer. */
  readonly stale: boolean
  /** Seconds since the copy was synced; none when it never was. */
  readonly age: number | undefined
}

export class Lookup extends Context.Service<
  Lookup,
  {
    /** Answers, and leaves an audit entry for every match and mismatch. */
    readonly ask: (question: LookupQuestion) => Effect.Effect<LookupAnswer, LookupError>
  }
>()("penstock/lookup/Lookup") {
  static readonly layer = (options: LookupOptions) =>
    Layer.effect(
      Lookup,
      Effect.gen(function* () {
        yield* showLookups
        const store = yield* LookupStore
        const adapter = yield* AdapterClient
        const shared = yield* SharedRefresh
        const maxAge = Duration.toSeconds(options.maxAge)
        const staleWithin = Duration.toSeconds(options.staleWithin)

        const find = ({ caller, subject }: LookupQuestion, settlement?: Settlement, until?: Instant) =>
          Effect.flatMap(
            store.find(subject, caller, settlement, until),
            (copy): Effect.Effect<LookupCopy | undefined, ControllableUnitUnknown | TooManyMismatches> =>
              copy === undefined && "controllableUnit" in subject
                ? Effect.fail(new ControllableUnitUnknown())
                : copy?.blockedFor !== undefined
                  ? Effect.fail(new TooManyMismatches({ retryAfter: copy.blockedFor }))
                  : Effect.succeed(copy)
          )

        /** The copy after a fetch; fails when there was none. */
        const fetched = Effect.fnUntraced(function* (question: LookupQuestion, gsrn: Gsrn) {
          if (!adapter.configured) {
            return yield* new AdapterFailure({ kind: "not_configured", detail: "no adapter is configured" })
          }
          const share = yield* shared.run(gsrn)
          const copy = yield* find(question)
          if (share === "started" || copy?.pendingEvent !== true) return copy
          yield* shared.run(gsrn)
          return yield* find(question)
        })

        /** Whether the copy may stand in for an adapter that does not answer. Without one, it is all there is. */
        const standsIn = (copy: LookupCopy) =>
          adapter.configured
            ? copy.age !== undefined && copy.age < staleWithin
            : copy.age !== undefined || copy.endUser !== undefined

        const orStale = Effect.fnUntraced(function* (
          question: LookupQuestion,
          failure: AdapterFailure | AccountingPointUnknown
        ) {
          const copy = yield* find(question)
          if (copy !== undefined && standsIn(copy)) return { copy, stale: true }
          if (failure._tag === "AccountingPointUnknown") {
            return yield* new AccountingPointNotFound({ reason: copy === undefined ? "unknown" : "withdrawn" })
          }
          if (failure.kind === "not_configured") return yield* new AccountingPointNotFound({ reason: "no_adapter" })
          return yield* failure
        })

        /** The copy to answer from when what was kept does not do. */
        const current = Effect.fnUntraced(function* (question: LookupQuestion, kept: LookupCopy | undefined) {
          const gsrn = "accountingPoint" in question.subject ? question.subject.accountingPoint : kept?.gsrn
          if (gsrn === undefined) return yield* new ControllableUnitUnknown()
          return yield* fetched(question, gsrn).pipe(
            Effect.flatMap((copy) =>
              copy === undefined
                ? Effect.fail(new AccountingPointNotFound({ reason: "unknown" }))
                : Effect.succeed({ copy, stale: false })
            ),
            Effect.catchTags({
              AdapterFailure: (failure) => orStale(question, failure),
              AccountingPointUnknown: (failure) => orStale(question, failure)
            })
          )
        })

        const answerFrom = (
          { accountingPointId, age, endUser, gsrn, units }: LookupCopy,
          outcome: LookupOutcome,
          stale: boolean
        ): Effect.Effect<LookupAnswer, EndUserMismatch> =>
          outcome === "mismatch" || endUser === undefined
            ? Effect.fail(new EndUserMismatch({ age: stale ? age : undefined }))
            : Effect.succeed({
                accountingPoint: { id: accountingPointId, gsrn },
                endUserId: endUser.id,
                units,
                stale,
                age
              })

        const askSource = Effect.fnUntraced(function* (
          question: LookupQuestion,
          kept: LookupCopy | undefined,
          note: (source: AnswerSource) => void
        ) {
          const { copy, stale } = yield* current(question, kept)
          note(stale ? "stale" : "fetched")
          const { accountingPointId, endUser } = copy
          const matches = endUser !== undefined && isClaimedBy(Redacted.value(endUser.number), question.claim)
          const outcome = matches ? "match" : "mismatch"
          const blockedFor = yield* store.record({
            caller: question.caller,
            accountingPointId,
            endUserId: endUser?.id,
            outcome
          })
          if (blockedFor !== undefined) return yield* new TooManyMismatches({ retryAfter: blockedFor })
          return yield* answerFrom(copy, outcome, stale)
        })

        // The store is told until when to answer, since a timer for each lookup would cost a good part of what the lookup does. What comes
        // after it is slow by nature, and a timer is nothing to that.
        const longest = Duration.toMillis(answerWithin(adapter))
        const inTime = <A, E, R>(begunAt: Instant, rest: Effect.Effect<A, E, R>) =>
          Effect.flatMap(Clock.currentTimeMillis, (now) =>
            Effect.timeoutOrElse(rest, {
              duration: Math.max(0, begunAt + longest - now),
              orElse: () => Effect.fail(new LookupTooSlow())
            })
          )

        const ask = (question: LookupQuestion) =>
          measured((note) =>
            Effect.flatMap(Clock.currentTimeMillis, (begunAt) =>
              Effect.flatMap(
                find(
                  question,
                  question.forceRefresh ? undefined : { claim: question.claim, maxAge },
                  begunAt + longest
                ),
                (kept) => {
                  if (kept?.settled === undefined) return inTime(begunAt, askSource(question, kept, note))
                  note("copy")
                  return answerFrom(kept, kept.settled, false)
                }
              )
            )
          ).pipe(spanWhereTraced("Lookup.ask"))

        return Lookup.of({ ask })
      })
    )
}
