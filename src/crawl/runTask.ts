/**
 * One run of a task: fetch, understand, queue what follows, publish; what it returns is to be settled last.
 *
 * The stream has acknowledged the document before that, so a crash in between repeats a message and never loses one. Lists
 * are planned again even when they did not change, since the source's configuration may have. A document that brings nothing
 * new (see `newsOf`) is not published again.
 */
import { Array, Cause, Clock, Duration, Effect, Option, Schedule } from "effect"
import type {
  ClaimedTask,
  Failure,
  FetchResult,
  ServerAnswer,
  SetAsideReason,
  Settlement,
  TaskRun
} from "../domain/FetchTask.ts"
import { formatInstant, type Instant } from "../domain/Instant.ts"
import { describe } from "../running/describe.ts"
import { decodeText, leastBytes } from "../hilltop/HilltopText.ts"
import { formatHilltopTime } from "../hilltop/Nzst.ts"
import { KafkaSink, maxMessageBytes, type OutgoingRecord, RecordTooLarge, refuseTooLarge } from "../stream/KafkaSink.ts"
import { partsOf, type UsableSource } from "./FetchPlan.ts"
import { HilltopClient } from "../hilltop/HilltopClient.ts"
import { HilltopQueue } from "./HilltopQueue.ts"
import { isSameData, keptSeries, newsOf } from "./newsOf.ts"
import { rawRecord } from "./rawRecord.ts"
import { readDocument } from "./readDocument.ts"
import { delayAfterFailure, delayAfterSuccess, unusableDelay } from "./RefreshPolicy.ts"
import { answerOf } from "./serverAnswer.ts"
import { usableSource } from "./usableSource.ts"
import { whyUnwanted } from "./whyUnwanted.ts"
import { withoutSecrets } from "./withoutSecrets.ts"

/** Tasks queued by one statement, in some 100 ms. */
const enqueuedAtOnce = 5_000

/** A stream that is away is waited for: it is no fault of the task. */
const untilSinkIsBack = Schedule.min([Schedule.exponential("200 millis"), Schedule.spaced("15 seconds")]).pipe(
  Schedule.jittered
)

/** Runs `task` and tells how it went. Fails only when the queue itself is out of reach. */
export const runTask = Effect.fn("runTask")(function* (task: ClaimedTask, rawTopic: string) {
  const startedAt = yield* Clock.currentTimeMillis
  const seen: Seen = {}
  return yield* Effect.scoped(attempt(task, rawTopic, seen, startedAt)).pipe(
    Effect.catchTags({
      HilltopFetchFailed: (failure) => Effect.succeed(failed("FETCH_ERROR", failure.detail, failure.retryAfter)),
      HilltopResponseTooLarge: ({ limit }) => divided(task, `the answer is larger than ${limit} bytes`),
      RecordTooLarge: ({ bytes, limit }) => divided(task, `the message would be ${bytes} bytes, more than ${limit}`),
      HilltopErrorDocument: ({ message }) => Effect.succeed(failed("HILLTOP_ERROR", message)),
      HilltopParseError: ({ message }) => Effect.succeed(failed("PARSE_ERROR", message)),
      // Shown beside the source, which is no fault of the task.
      UnusableSource: () => Effect.succeed<Outcome>({ kind: "not run" })
    }),
    Effect.catchCause((cause) =>
      Cause.hasInterrupts(cause) || Option.isSome(Cause.findErrorOption(cause))
        ? Effect.failCause(cause)
        : Effect.as(
            Effect.logError("crawl: a task failed in a way nobody foresaw", describe(cause)),
            failed("UNKNOWN_ERROR", describe(cause))
          )
    ),
    Effect.flatMap((outcome) => settlement(task, outcome, startedAt, seen))
  )
})

/** What is known of the answer, however far the run came. */
interface Seen {
  bytes?: number
  hash?: string
  answer?: ServerAnswer | undefined
}
type Outcome =
  | {
      readonly kind: "good"
      readonly result: Exclude<FetchResult, Failure>
      readonly hash: string
      readonly digest?: string
      readonly lastObserved: ReadonlyArray<Instant>
      readonly added?: number
      readonly revised?: boolean
    }
  | { readonly kind: "failed"; readonly result: Failure; readonly detail: string; readonly retryAfter: number }
  | { readonly kind: "divided"; readonly result: "RESPONSE_TOO_LARGE"; readonly detail: string }
  | { readonly kind: "not run"; readonly reason?: SetAsideReason }

const failed = (result: Failure, detail: string, retryAfter = 0): Outcome => ({
  kind: "failed",
  result,
  detail,
  retryAfter
})

/** Asks for the parts in place of the whole, which rests; what cannot be divided has failed. */
const divided = Effect.fnUntraced(function* (task: ClaimedTask, detail: string) {
  const parts = partsOf(task)
  if (parts.length === 0) return failed("RESPONSE_TOO_LARGE", detail)
  const queue = yield* HilltopQueue
  yield* queue.enqueue(parts)
  return { kind: "divided", result: "RESPONSE_TOO_LARGE", detail } satisfies Outcome as Outcome
})

const attempt = Effect.fnUntraced(function* (task: ClaimedTask, rawTopic: string, seen: Seen, startedAt: Instant) {
  const source = yield* usableSource({ ...task, id: task.sourceId })
  const reason = whyUnwanted(source)(task)
  if (reason !== undefined) return { kind: "not run", reason } satisfies Outcome as Outcome
  const client = yield* HilltopClient
  const { bytes, free, hash } = yield* answerOf(client.fetch(task.fetchUrl), (answer) => (seen.answer = answer))
  const answeredAt = yield* Clock.currentTimeMillis
  seen.bytes = bytes.length
  seen.hash = hash
  if (isSameData(task, source, hash, startedAt)) {
    const { beforeLast, last } = keptSeries(task) ?? {}
    const lastObserved = [beforeLast, last].filter((time) => time !== undefined)
    const same = { added: 0, revised: false }
    return { kind: "good", result: "UNCHANGED", hash, lastObserved, ...same } satisfies Outcome as Outcome
  }
  // It would fill its message alone, so nothing of it is worth the memory that its text and its rows take.
  const tooLong = (least: number) =>
    least > maxMessageBytes
      ? Effect.fail(new RecordTooLarge({ topic: rawTopic, bytes: least, limit: maxMessageBytes }))
      : Effect.void
  yield* tooLong(leastBytes(bytes))
  const xml = decodeText(bytes)
  yield* free
  yield* tooLong(xml.length)
  return yield* understood(task, source, rawTopic, { xml, hash, askedAt: startedAt, answeredAt })
})

const understood = Effect.fnUntraced(function* (
  task: ClaimedTask,
  source: UsableSource,
  rawTopic: string,
  answer: { readonly xml: string; readonly hash: string; readonly askedAt: Instant; readonly answeredAt: Instant }
) {
  const { empty, followUps, key, lastObserved, said } = yield* readDocument(task, source, answer.xml, answer.askedAt)
  const { digest, series, unchanged } = yield* newsOf(task, source, { ...answer, said })
  const queue = yield* HilltopQueue
  yield* Effect.forEach(Array.chunksOf(followUps, enqueuedAtOnce), queue.enqueue, { discard: true })
  // The first document of a series adds nothing if it is empty; a later one tells that all values are gone. Rows without a
  // number are rows.
  const isEmpty = empty && (series === undefined || series.count === 0)
  const nothingYet = isEmpty && (task.previousHash === undefined || keptSeries(task)?.count === 0)
  if (!unchanged && !nothingYet && key !== undefined) {
    yield* publish(yield* rawRecord(task, source, key, answer.xml, rawTopic))
  }
  return {
    kind: "good",
    result: unchanged ? "UNCHANGED" : "SUCCESS",
    hash: answer.hash,
    digest,
    lastObserved,
    ...(series === undefined ? {} : { added: series.added, revised: series.revised })
  } satisfies Outcome as Outcome
})

const publish = Effect.fnUntraced(function* (record: OutgoingRecord) {
  const sink = yield* KafkaSink
  yield* refuseTooLarge([record])
  yield* sink
    .send([record])
    .pipe(
      Effect.retry({ schedule: untilSinkIsBack, while: (error) => error._tag === "SinkUnavailable" }),
      Effect.catchTag("SinkUnavailable", Effect.die)
    )
})

const settlement = Effect.fnUntraced(function* (task: ClaimedTask, outcome: Outcome, startedAt: Instant, seen: Seen) {
  const now = yield* Clock.currentTimeMillis
  if (outcome.kind === "not run") {
    return {
      task,
      run: undefined,
      delay: unusableDelay,
      hash: undefined,
      attempts: task.attempts,
      setAside: outcome.reason
    } satisfies Settlement as Settlement
  }
  const run: TaskRun = {
    at: formatInstant(startedAt),
    result: outcome.result,
    hash: seen.hash ?? null,
    millis: now - startedAt,
    ...(seen.bytes === undefined ? {} : { bytes: seen.bytes })
  }
  if (outcome.kind === "good") {
    const { added, digest, hash, lastObserved, revised } = outcome
    const newest = lastObserved.at(-1)
    return {
      task,
      run: {
        ...run,
        ...(added === undefined ? {} : { added, revised }),
        ...(newest === undefined ? {} : { newest: formatHilltopTime(newest) })
      },
      delay: Duration.millis(yield* delayAfterSuccess(task.requestType, now, lastObserved)),
      hash,
      digest,
      attempts: 0,
      answer: seen.answer
    } satisfies Settlement as Settlement
  }
  const retryAfter = outcome.kind === "failed" ? outcome.retryAfter : 0
  return {
    task,
    run: { ...run, detail: withoutSecrets(outcome.detail, task.htsUrl) },
    delay: Duration.millis(yield* delayAfterFailure(outcome.result, task.attempts, retryAfter)),
    hash: undefined,
    attempts: task.attempts + 1,
    setAside: outcome.kind === "divided" ? "divided" : undefined,
    answer: seen.answer
  } satisfies Settlement as Settlement
})
