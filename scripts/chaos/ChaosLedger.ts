/**
 * Every request of a run and how it ended, as the client saw it.
 *
 * The client waits longer than the service may take, so that "late" and "never" are told apart and a hang is measured, also
 * where nobody wants the answer any more.
 */
import { Clock, Effect, Fiber, FiberSet, Option } from "effect"
import { HttpClient, type HttpClientRequest } from "effect/http"
import type { Stalls } from "./Stalls.ts"

export type RequestKind =
  | "lookup"
  | "event"
  | "read"
  | "register"
  | "ready"
  | "progress"
  | "live"
  | "metrics"
  | "overview"

export interface Asked {
  readonly kind: RequestKind
  /** Number of the instance, from 1. */
  readonly instance: number
  /** Milliseconds since 1970, as all times here. */
  readonly at: number
  /** Until it was answered, without the time in which there was no processor. */
  readonly millis: number
  /** When it was, by the clock. */
  readonly until: number
  /** None when there was no answer: the connection was lost, or nobody waited any longer. */
  readonly status: number | undefined
  readonly retryAfter: string | undefined
  /** The detail of a problem, or what the connection died of. */
  readonly detail: string | undefined
}

/** An answer with its body. */
export interface Answered extends Asked {
  readonly body: string
}

/** The client gives up then; the service has to answer within `answerWithin`. */
const patience = 30_000
export const answerWithin = 10_000

export interface ChaosLedger {
  readonly all: () => ReadonlyArray<Asked>
  /** Ends when nothing is asked any more. */
  readonly settled: Effect.Effect<void>
  readonly ask: (
    kind: RequestKind,
    instance: number,
    request: HttpClientRequest.HttpClientRequest
  ) => Effect.Effect<Answered>
}

export const makeLedger = Effect.fnUntraced(function* (stalls: Stalls) {
  const client = yield* HttpClient.HttpClient
  const inFlight = yield* FiberSet.make<Answered>()
  const all: Array<Asked> = []
  const asking = Effect.fnUntraced(function* (
    kind: RequestKind,
    instance: number,
    request: HttpClientRequest.HttpClientRequest
  ) {
    const at = yield* Clock.currentTimeMillis
    const answer = yield* client.execute(request).pipe(
      Effect.flatMap((response) => Effect.map(response.text, (body) => ({ response, body }))),
      Effect.scoped,
      Effect.catchTag("HttpClientError", (error) => Effect.succeed(error.message)),
      Effect.timeoutOption(patience)
    )
    const until = yield* Clock.currentTimeMillis
    const millis = until - at - stalls.between(at, until)
    const known = { kind, instance, at, millis, until }
    const none = (detail: string): Answered => ({
      ...known,
      status: undefined,
      retryAfter: undefined,
      detail,
      body: ""
    })
    const result = Option.match(answer, {
      onNone: () => none(`nothing within ${patience / 1_000} s`),
      onSome: (given): Answered => {
        if (typeof given === "string") return none(given)
        const { body, response } = given
        const detail = response.status >= 400 ? detailOf(body) : undefined
        return { ...known, status: response.status, retryAfter: response.headers["retry-after"], detail, body }
      }
    })
    const { body: _, ...asked } = result
    all.push(asked)
    return result
  })
  const ask: ChaosLedger["ask"] = (kind, instance, request) =>
    Effect.flatMap(FiberSet.run(inFlight, asking(kind, instance, request)), Fiber.join)
  const ledger: ChaosLedger = { all: () => all, ask, settled: FiberSet.awaitEmpty(inFlight) }
  return ledger
})

const detailOf = (body: string) => /"detail":"([^"]*)"/.exec(body)?.[1] ?? body.slice(0, 100)
