/**
 * A document of a Hilltop server: the whole body, within one deadline and a limit of bytes, or why not.
 *
 * Says nothing about what the document means; errors of Hilltop itself come with status 200 and are the parser's affair.
 */
import { Context, Effect, Layer, Ref, Schema, type Scope } from "effect"
import type { StoreUnavailable } from "../domain/StoreUnavailable.ts"

/**
 * The server could not be asked, or did not answer with 2xx.
 *
 * - `unreachable`: no connection, or it broke off
 * - `deadline`: no complete answer within the deadline
 * - `status`: a status other than 2xx, a redirect for which the server's budget has no room now among them
 * - `forbidden`: an address that must not be asked (a private network, a redirect to another server)
 */
export class HilltopFetchFailed extends Schema.TaggedError<HilltopFetchFailed>()("HilltopFetchFailed", {
  kind: Schema.Literals(["unreachable", "deadline", "status", "forbidden"]),
  detail: Schema.String,
  status: Schema.optional(Schema.Int),
  /** How long the server asked us to wait, in seconds. */
  retryAfter: Schema.optional(Schema.Finite),
  /** Where the same server wants to be asked from now on, by https: for an operator to enter. */
  movedTo: Schema.optional(Schema.String)
}) {}

/** More bytes than allowed, counted while reading; the rest was not read. */
export class HilltopResponseTooLarge extends Schema.TaggedError<HilltopResponseTooLarge>()("HilltopResponseTooLarge", {
  limit: Schema.Int,
  /** How it begins, where that was read. */
  head: Schema.optional(Schema.String)
}) {}

export type HilltopFetchError = HilltopFetchFailed | HilltopResponseTooLarge | StoreUnavailable

export interface HilltopResponse {
  readonly bytes: Uint8Array
  /** SHA-256 of the bytes, hexadecimal. */
  readonly hash: string
  /** How long the server took for it; what the answer waited for memory here is not among it. */
  readonly millis: number
  /** Gives the memory of the bytes back before the scope does; `bytes` is then empty, if it was large. */
  readonly free: Effect.Effect<void>
}

export class HilltopClient extends Context.Service<
  HilltopClient,
  {
    /**
     * The document at `url`, decompressed. The caller has a place for it in the server's budget; redirects pay for themselves. Fails with
     * `HilltopFetchFailed` or `HilltopResponseTooLarge`, and with `StoreUnavailable` when the budget of a redirect cannot be asked: that
     * tells nothing of the server. A large document counts against the memory of all answers until the scope closes, so that
     * should be when nothing is made of it any more.
     */
    readonly fetch: (url: string) => Effect.Effect<HilltopResponse, HilltopFetchError, Scope.Scope>
  }
>()("penstock/hilltop/HilltopClient") {
  /** Answers from `documents` by address; any other address is unreachable. The hash is the text itself. */
  static readonly layerMemory = (documents: Ref.Ref<ReadonlyMap<string, string>>) =>
    Layer.succeed(
      HilltopClient,
      HilltopClient.of({
        fetch: Effect.fnUntraced(function* (url) {
          const text = (yield* Ref.get(documents)).get(url)
          if (text === undefined) return yield* new HilltopFetchFailed({ kind: "unreachable", detail: "no connection" })
          return { bytes: new TextEncoder().encode(text), hash: text, millis: 0, free: Effect.void }
        })
      })
    )
}
