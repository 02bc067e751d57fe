/**
 * How a run of a task went, and what is settled for it.
 */
import { Clock, Duration, Effect } from "effect"
import type { ClaimedTask, Failure, FetchResult, ServerAnswer, SetAsideReason, TaskRun } from "../domain/FetchTask.ts"
import { formatInstant, type Instant } from "../domain/Instant.ts"
import { formatHilltopTime } from "../hilltop/Nzst.ts"
import { type Decision, delayAfterFailure, delayWhileUnavailable, type Look, unusableDelay } from "./RefreshPolicy.ts"
import type { Settlement } from "./Settlement.ts"
import { isUnavailable } from "./unavailable.ts"
import { withoutSecrets } from "./withoutSecrets.ts"

/** What is known of the answer, however far the run came; and how the run is judged that brings one. */
export interface Seen {
  readonly decided: (look: Look) => Decision
  bytes?: number
  hash?: string
  /** Its beginning, where it is too large. */
  head?: string
  answer?: ServerAnswer | undefined
  spoilt?: number
  leftOut?: number
  ahead?: number
}
export type Outcome =
  | {
      readonly kind: "good"
      readonly result: Exclude<FetchResult, Failure>
      readonly hash: string
      readonly digest?: string
      readonly lastObserved: ReadonlyArray<Instant>
      readonly added?: number
      readonly revised?: boolean
      readonly decision: Decision
      readonly wakes?: Settlement["wakes"]
      readonly follows?: Settlement["follows"]
    }
  | {
      readonly kind: "failed"
      readonly result: Failure
      readonly detail: string
      readonly retryAfter: number
      /** Where the failure alone does not say it. */
      readonly delay?: Effect.Effect<number>
      readonly digest?: string
    }
  | {
      readonly kind: "replaced"
      readonly result: Failure
      readonly detail: string
      readonly reason: "divided" | "renamed"
    }
  | { readonly kind: "not run"; readonly reason?: SetAsideReason }

type Good = Extract<Outcome, { readonly kind: "good" }>
export const good = (result: Good["result"], rest: Omit<Good, "kind" | "result">): Outcome => ({
  kind: "good",
  result,
  ...rest
})

type Failed = Extract<Outcome, { readonly kind: "failed" }>
export const failed = (
  result: Failure,
  detail: string,
  rest: Partial<Omit<Failed, "kind" | "result" | "detail">> = {}
): Outcome => ({ kind: "failed", result, detail, retryAfter: 0, ...rest })

export const replaced = (result: Failure, detail: string, reason: "divided" | "renamed"): Outcome => ({
  kind: "replaced",
  result,
  detail,
  reason
})

export const notRun = (reason?: SetAsideReason): Outcome =>
  reason === undefined ? { kind: "not run" } : { kind: "not run", reason }

/** What is to be settled. A failure teaches nothing; a failure's delay is drawn, so that failures do not come back together. */
export const settlementOf = Effect.fnUntraced(function* (
  task: ClaimedTask,
  outcome: Outcome,
  startedAt: Instant,
  seen: Seen
): Effect.fn.Return<Settlement> {
  const now = yield* Clock.currentTimeMillis
  if (outcome.kind === "not run") {
    return {
      task,
      run: undefined,
      delay: unusableDelay,
      hash: undefined,
      attempts: task.attempts,
      setAside: outcome.reason
    }
  }
  const run: TaskRun = {
    at: formatInstant(startedAt),
    result: outcome.result,
    hash: seen.hash ?? null,
    millis: now - startedAt,
    ...(seen.bytes === undefined ? {} : { bytes: seen.bytes }),
    ...(seen.spoilt ? { spoilt: seen.spoilt } : {}),
    ...(seen.leftOut ? { leftOut: seen.leftOut } : {}),
    ...(seen.ahead ? { ahead: seen.ahead } : {})
  }
  if (outcome.kind === "good") {
    const { added, decision, digest, follows, hash, lastObserved, revised, wakes } = outcome
    const newest = lastObserved.at(-1)
    return {
      task,
      run: {
        ...run,
        ...(added === undefined ? {} : { added, revised }),
        ...(newest === undefined ? {} : { newest: formatHilltopTime(newest) })
      },
      delay: Duration.millis(Math.max(0, decision.due - now)),
      hash,
      digest,
      attempts: 0,
      answer: seen.answer,
      refresh: { kept: decision.kept, reason: decision.reason },
      lesson: decision.lesson,
      wakes,
      follows
    }
  }
  const detail = withoutSecrets(outcome.detail, task.htsUrl)
  const attempts = task.attempts + 1
  // It taught nothing, and was a request all the same.
  const lesson = seen.answer === undefined ? undefined : { at: startedAt }
  const failure = { task, hash: undefined, attempts, answer: seen.answer, lesson }
  if (outcome.kind === "replaced") {
    const delay = Duration.millis(yield* delayAfterFailure(outcome.result, task.attempts))
    return { ...failure, run: { ...run, detail }, delay, setAside: outcome.reason }
  }
  const { delay, digest, result, retryAfter } = outcome
  const unavailable = delay === undefined && isUnavailable(task, result, outcome.detail)
  return {
    ...failure,
    run: { ...run, ...(unavailable ? { unavailable } : {}), detail },
    delay: Duration.millis(
      yield* delay ?? (unavailable ? delayWhileUnavailable : delayAfterFailure(result, task.attempts, retryAfter))
    ),
    digest,
    unavailable
  }
})
