/**
 * The adapter service, which translates the national datahub's API for us.
 *
 * Asked before any transaction opens, within one deadline for the whole request. Its failures say what can be done about
 * them; none carries the answer itself, which is full of personal numbers.
 */
import { Context, Effect, Layer, Ref, Schema } from "effect"
import type { AccountingPointAnswer } from "../domain/AccountingPoint.ts"
import type { Gsrn } from "../domain/Identifiers.ts"
import type { Instant } from "../domain/Instant.ts"

/** The adapter does not know the accounting point (its 404). Asking again soon does not help. */
export class AccountingPointUnknown extends Schema.TaggedError<AccountingPointUnknown>()(
  "AccountingPointUnknown",
  {}
) {}

/**
 * - `unavailable`: no connection, 408, 429 or 5xx; try again later
 * - `deadline`: no complete answer within the deadline; try again later
 * - `invalid`: an answer that is not what the contract says, or about another accounting point
 * - `refused`: any other status (a wrong key, say); a person has to look
 * - `paused`: it was not asked, because its budget is spent or it has been failing; try again later
 * - `not_configured`: no adapter address is set
 */
export const AdapterFailureKind = Schema.Literals([
  "unavailable",
  "deadline",
  "invalid",
  "refused",
  "paused",
  "not_configured"
])
export type AdapterFailureKind = typeof AdapterFailureKind.Type

/** The adapter could not be used; `detail` is readable and free of what the adapter sent. */
export class AdapterFailure extends Schema.TaggedError<AdapterFailure>()("AdapterFailure", {
  kind: AdapterFailureKind,
  detail: Schema.String,
  /** How long the adapter asked us to wait, in seconds. */
  retryAfter: Schema.optional(Schema.Finite),
  /** A kept connection was closed just as it was used again: that says nothing about the adapter, so ask again at once. */
  staleConnection: Schema.optional(Schema.Boolean)
}) {}

export type AdapterError = AccountingPointUnknown | AdapterFailure

export class AdapterClient extends Context.Service<
  AdapterClient,
  {
    /** Whether an adapter is configured; without one, answers come from local data only. */
    readonly configured: boolean
    /**
     * Milliseconds until a waiting caller must have an answer, however often the adapter is asked meanwhile; without it, the
     * adapter is asked once.
     */
    readonly deadline?: number | undefined
    /**
     * What the source says of the accounting point for the time from `validFrom` on, asked once. `within` is the time that is
     * left for it, in milliseconds, the whole deadline unless told. Fails with `AccountingPointUnknown` on the adapter's 404
     * and with `AdapterFailure` on everything else.
     */
    readonly fetch: (
      gsrn: Gsrn,
      validFrom: Instant,
      within?: number
    ) => Effect.Effect<AccountingPointAnswer, AdapterError>
  }
>()("penstock/sync/AdapterClient") {
  /** No adapter: every fetch fails with `not_configured`. */
  static readonly layerNone = Layer.succeed(
    AdapterClient,
    AdapterClient.of({
      configured: false,
      fetch: () => Effect.fail(new AdapterFailure({ kind: "not_configured", detail: "no adapter is configured" }))
    })
  )

  /** Answers from `answers`; a GSRN that is not there is unknown, and `failWith` fails every fetch while it is set. */
  static readonly layerMemory = (switches: {
    readonly answers: Ref.Ref<ReadonlyMap<string, AccountingPointAnswer>>
    readonly failWith: Ref.Ref<AdapterError | undefined>
  }) =>
    Layer.succeed(
      AdapterClient,
      AdapterClient.of({
        configured: true,
        fetch: Effect.fnUntraced(function* (gsrn) {
          const failure = yield* Ref.get(switches.failWith)
          if (failure !== undefined) return yield* Effect.fail(failure)
          const answer = (yield* Ref.get(switches.answers)).get(gsrn)
          return answer ?? (yield* new AccountingPointUnknown())
        })
      })
    )
}
