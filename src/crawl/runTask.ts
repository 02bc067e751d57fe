/**
 * One run of a task: fetch, understand, queue what follows, publish; what it returns is to be settled last.
 *
 * The stream has acknowledged the document before that, so a crash in between repeats a message and never loses one. Lists
 * are planned again even when they did not change, since the source's configuration may have.
 */
import { Cause, Clock, Duration, Effect, Option, Schedule } from "effect"
import type { ClaimedTask, FetchResult, ServerAnswer, Settlement } from "../domain/FetchTask.ts"
import { type RawKey, rawPartitionKey, rawPartitions } from "../domain/HilltopMessage.ts"
import { formatInstant, type Instant } from "../domain/Instant.ts"
import { describe } from "../domain/Loop.ts"
import { blotPersonalNumbers } from "../domain/PersonalNumber.ts"
import { decodeText } from "../hilltop/HilltopText.ts"
import { KafkaSink, type OutgoingRecord, refuseTooLarge } from "../stream/KafkaSink.ts"
import { partitionOf } from "../stream/Partitioner.ts"
import { HilltopClient } from "./HilltopClient.ts"
import { HilltopQueue } from "./HilltopQueue.ts"
import { readDocument } from "./readDocument.ts"
import { delayAfterFailure, delayAfterSuccess } from "./RefreshPolicy.ts"
import { answerOf } from "./serverAnswer.ts"
import { usableSource } from "./usableSource.ts"

/** A stream that is away is waited for: it is no fault of the task. */
const untilSinkIsBack = Schedule.min([Schedule.exponential("200 millis"), Schedule.spaced("15 seconds")]).pipe(
  Schedule.jittered
)

/** Runs `task` and tells how it went. Fails only when the queue itself is out of reach. */
export const runTask = Effect.fn("runTask")(function* (task: ClaimedTask, rawTopic: string) {
  const startedAt = yield* Clock.currentTimeMillis
  const seen: Seen = {}
  return yield* attempt(task, rawTopic, seen, startedAt).pipe(
    Effect.catchTags({
      HilltopFetchFailed: (failure) => Effect.succeed(failed("FETCH_ERROR", failure.detail, failure.retryAfter)),
      HilltopResponseTooLarge: ({ limit }) =>
        Effect.succeed(failed("RESPONSE_TOO_LARGE", `the answer is larger than ${limit} bytes`)),
      RecordTooLarge: ({ bytes, limit }) =>
        Effect.succeed(failed("RESPONSE_TOO_LARGE", `the message would be ${bytes} bytes, more than ${limit}`)),
      HilltopErrorDocument: ({ message }) => Effect.succeed(failed("HILLTOP_ERROR", message)),
      HilltopParseError: ({ message }) => Effect.succeed(failed("PARSE_ERROR", message)),
      UnusableSource: ({ message }) => Effect.succeed(failed("UNKNOWN_ERROR", message))
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
type Failure = Exclude<FetchResult, "SUCCESS" | "UNCHANGED">
type Outcome =
  | {
      readonly good: true
      readonly result: "SUCCESS" | "UNCHANGED"
      readonly hash: string
      readonly lastObserved: ReadonlyArray<Instant>
    }
  | { readonly good: false; readonly result: Failure; readonly detail: string; readonly retryAfter: number }

const failed = (result: Failure, detail: string, retryAfter = 0): Outcome => ({
  good: false,
  result,
  detail,
  retryAfter
})

const attempt = Effect.fnUntraced(function* (task: ClaimedTask, rawTopic: string, seen: Seen, startedAt: Instant) {
  const source = yield* usableSource({ ...task, id: task.sourceId })
  const client = yield* HilltopClient
  const { bytes, hash } = yield* answerOf(client.fetch(task.fetchUrl), (answer) => (seen.answer = answer))
  seen.bytes = bytes.length
  seen.hash = hash
  const unchanged = hash === task.previousHash
  const xml = decodeText(bytes)
  const reading = yield* readDocument(task, source, xml, startedAt)
  const queue = yield* HilltopQueue
  yield* queue.enqueue(reading.followUps)
  if (!unchanged && reading.key !== undefined) {
    const sink = yield* KafkaSink
    const records = [yield* rawRecord(task, reading.key, xml, rawTopic)]
    yield* refuseTooLarge(records)
    yield* sink
      .send(records)
      .pipe(
        Effect.retry({ schedule: untilSinkIsBack, while: (error) => error._tag === "SinkUnavailable" }),
        Effect.catchTag("SinkUnavailable", Effect.die)
      )
  }
  return {
    good: true,
    result: unchanged ? "UNCHANGED" : "SUCCESS",
    hash,
    lastObserved: reading.lastObserved
  } satisfies Outcome as Outcome
})

const rawRecord = Effect.fnUntraced(function* (task: ClaimedTask, key: RawKey, xml: string, topic: string) {
  const span = yield* Effect.option(Effect.currentSpan)
  const { item, units } = task.details
  return {
    topic,
    partition: partitionOf(rawPartitionKey(key), rawPartitions),
    key: JSON.stringify(key),
    value: JSON.stringify({ ...key, hilltopUrl: task.fetchUrl, xml }),
    headers: {
      ...(item === undefined ? {} : { item: String(item) }),
      ...(units === undefined ? {} : { units }),
      ...(Option.isSome(span) ? { traceparent: `00-${span.value.traceId}-${span.value.spanId}-01` } : {})
    }
  } satisfies OutgoingRecord
})

const settlement = Effect.fnUntraced(function* (task: ClaimedTask, outcome: Outcome, startedAt: Instant, seen: Seen) {
  const now = yield* Clock.currentTimeMillis
  const delay = outcome.good
    ? yield* delayAfterSuccess(task.requestType, now, outcome.lastObserved)
    : yield* delayAfterFailure(task.attempts, outcome.retryAfter)
  return {
    task,
    run: {
      at: formatInstant(startedAt),
      result: outcome.result,
      hash: seen.hash ?? null,
      millis: now - startedAt,
      ...(seen.bytes === undefined ? {} : { bytes: seen.bytes }),
      ...(outcome.good ? {} : { detail: withoutSecrets(outcome.detail, task.htsUrl) })
    },
    delay: Duration.millis(delay),
    hash: outcome.good ? outcome.hash : undefined,
    attempts: outcome.good ? 0 : task.attempts + 1,
    answer: seen.answer
  } satisfies Settlement as Settlement
})

/** Shorter ones are words such as `Hilltop`, and no secrets. */
const shortestSecret = 8

/** A server may quote in its error what it was asked with: keys in the source's address, or somebody's number. */
const withoutSecrets = (detail: string, htsUrl: string): string => {
  if (!URL.canParse(htsUrl)) return blotPersonalNumbers(detail)
  const { password, searchParams } = new URL(htsUrl)
  const secrets = [password, ...[...searchParams.values()].flatMap((value) => [value, encodeURIComponent(value)])]
  return secrets
    .filter((secret) => secret.length >= shortestSecret)
    .reduce((text, secret) => text.replaceAll(secret, "[secret]"), blotPersonalNumbers(detail))
}
