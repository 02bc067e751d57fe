/**
 * What a request tells of the server, apart from its document: see `ServerPace`, which makes a budget of it.
 *
 * A document that says `Error`, or is no document at all, is an answer like any other; an address that must not be asked
 * says nothing.
 */
import { Cause, Effect, Exit, Option } from "effect"
import type { ServerAnswer } from "../domain/FetchTask.ts"
import type { HilltopFetchError } from "../hilltop/HilltopClient.ts"

/** A pause for servers that say 429 or 503 without saying for how long, in seconds. */
const defaultCoolDown = 5
/** Servers are not believed beyond this, in seconds: a mistyped header must not end the crawl for a year. */
const longestCoolDown = 3600

/** Runs the request and tells `note` how the server took it. One that was interrupted, or that our own database ended, tells nothing. */
export const answerOf = <A extends { readonly millis: number }, R>(
  request: Effect.Effect<A, HilltopFetchError, R>,
  note: (answer: ServerAnswer | undefined) => void
) =>
  Effect.onExit(request, (exit) =>
    Effect.sync(() =>
      Exit.isSuccess(exit)
        ? note({ kind: "answered", millis: exit.value.millis })
        : note(Option.getOrUndefined(Option.map(Cause.findErrorOption(exit.cause), answerOfFailure)))
    )
  )

/** How long a large answer takes says nothing: the rest was not read. */
const answerOfFailure = (failure: HilltopFetchError): ServerAnswer | undefined => {
  if (failure._tag === "StoreUnavailable") return undefined
  if (failure._tag === "HilltopResponseTooLarge") return { kind: "answered" }
  const { kind, status = 0 } = failure
  if (kind === "forbidden") return undefined
  if (kind !== "status") return { kind: "failed" }
  const coolDown = Math.min(failure.retryAfter ?? defaultCoolDown, longestCoolDown)
  if (status === 429) return { kind: "busy", coolDown }
  if (status === 503) return { kind: "failed", coolDown }
  return { kind: status >= 500 ? "failed" : "answered" }
}
