/**
 * One run of a task: fetch, understand, queue what follows, publish; what it returns is to be settled last.
 *
 * The stream has acknowledged the document before that, so a crash in between repeats a message and never loses one. Lists
 * are planned again even when they did not change, since the source's configuration may have. A document that brings nothing
 * new (see `newsOf`) is not published again.
 */
import { Array, Cause, Clock, Duration, Effect, Option, Random, Schedule } from "effect"
import type { ClaimedTask, NewTask } from "../domain/FetchTask.ts"
import type { Instant } from "../domain/Instant.ts"
import { sayOnce } from "../running/sayOnce.ts"
import { clockFrom } from "../running/steadyClock.ts"
import { describe } from "../running/describe.ts"
import { leastBytes, readText } from "../hilltop/HilltopText.ts"
import { ParsedDocuments } from "../stream/ParsedDocuments.ts"
import { KafkaSink, maxMessageBytes, type OutgoingRecord, RecordTooLarge, refuseTooLarge } from "../stream/KafkaSink.ts"
import { askedPeriod, beginsElsewhere, headLength } from "../hilltop/AskedRange.ts"
import { qualifiedAfter, qualifiedUrl } from "../hilltop/qualifiedRequest.ts"
import { digestIn, type Doubt, isBelieved, notesIn, oneMore, withNotes } from "./Doubt.ts"
import { halvedTasks, type UsableSource } from "./FetchPlan.ts"
import { HilltopClient } from "../hilltop/HilltopClient.ts"
import { HilltopQueue, type QueuedTask } from "./HilltopQueue.ts"
import { HilltopSources } from "./HilltopSources.ts"
import { type ListSaid, movedEnds } from "./ListDigest.ts"
import { lookOfMeasurements, lookOfSameRows, lookOfSites, siblingsIn } from "./lookOf.ts"
import { isSameData, keptList, keptSeries, newsOf } from "./newsOf.ts"
import { rawRecord } from "./rawRecord.ts"
import { type Reading, readDocument } from "./readDocument.ts"
import { sameNote } from "./SiteNote.ts"
import { type Decision, delayAfterDoubt, type Look, parseServer, unusableDelay } from "./RefreshPolicy.ts"
import { RefreshRule, type Rule } from "./RefreshRule.ts"
import { failed, good, notRun, type Outcome, replaced, type Seen, settlementOf } from "./RunOutcome.ts"
import type { Settlement } from "./Settlement.ts"
import { mayBeSettledLater } from "./TaskWorker.ts"
import { answerOf } from "./serverAnswer.ts"
import { usableSource } from "./usableSource.ts"
import { wakings } from "./wakings.ts"
import { whyUnwanted } from "./whyUnwanted.ts"
import { withoutSecrets } from "./withoutSecrets.ts"

/** Tasks queued by one statement, in some 100 ms. */
const enqueuedAtOnce = 5_000

/** A stream that is away is waited for: it is no fault of the task. */
const untilSinkIsBack = Schedule.min([Schedule.exponential("200 millis"), Schedule.spaced("15 seconds")]).pipe(
  Schedule.jittered
)

/**
 * Runs `task` and tells how it went. Fails only when the queue itself is out of reach. It is dated by the queue's clock: that of this
 * machine may be an hour off, and what it fetches would be taken for older than what is known.
 */
export const runTask = (task: ClaimedTask, rawTopic: string) =>
  Effect.flatMap(Clock.Clock, (clock) => {
    const own = task.claimedAt === undefined ? clock : clockFrom(clock, task.claimedAt)
    return Effect.provideService(runDated(task, rawTopic), Clock.Clock, own)
  })

const runDated = Effect.fnUntraced(function* (task: ClaimedTask, rawTopic: string) {
  const startedAt = yield* Clock.currentTimeMillis
  const seen: Seen = { decided: yield* judgeOf(task) }
  return yield* Effect.scoped(attempt(task, rawTopic, seen, startedAt)).pipe(
    Effect.catchTags({
      HilltopFetchFailed: (failure) =>
        failure.movedTo === undefined
          ? Effect.succeed(failed("FETCH_ERROR", failure.detail, { retryAfter: failure.retryAfter ?? 0 }))
          : moved(task, failure.detail),
      HilltopResponseTooLarge: ({ head, limit }) => divided(task, `the answer is larger than ${limit} bytes`, head),
      RecordTooLarge: ({ bytes, limit }) =>
        divided(task, `the message would be ${bytes} bytes, more than ${limit}`, seen.head),
      HilltopErrorDocument: ({ message }) => renamed(task, message),
      HilltopParseError: ({ message }) => Effect.succeed(failed("PARSE_ERROR", message)),
      HilltopOtherSite: ({ message }) =>
        Effect.sync(() => {
          // A server that mixes up its answers has too much to do, as one has that answers nothing.
          seen.answer = { kind: "failed" }
          return failed("PARSE_ERROR", message)
        }),
      // Shown beside the source, which is no fault of the task.
      UnusableSource: () => Effect.succeed(notRun())
    }),
    Effect.catchCause((cause) =>
      Cause.hasInterrupts(cause) || Option.isSome(Cause.findErrorOption(cause))
        ? Effect.failCause(cause)
        : Effect.as(
            sayOnce(
              `crawl: ${describe(cause)}`,
              Effect.logError("crawl: a task failed in a way nobody foresaw", describe(cause))
            ),
            failed("UNKNOWN_ERROR", describe(cause))
          )
    ),
    Effect.flatMap((outcome) => settlementOf(task, outcome, startedAt, seen))
  )
})

/** The rule, given all that is known of the task and its server. */
const judgeOf = Effect.fnUntraced(function* (task: ClaimedTask) {
  const rule = yield* RefreshRule
  const seed = yield* Random.nextInt
  return (look: Look): Decision =>
    rule.decide(task.refresh ?? rule.fromHistory(task.runs), look, parseServer(task.server.knowledge), seed)
})

/** Asks for the parts in place of the whole, which rests; what cannot be divided has failed. */
const divided = Effect.fnUntraced(function* (task: ClaimedTask, detail: string, head = "") {
  if (beginsElsewhere(task.fetchUrl, head))
    return failed("RESPONSE_TOO_LARGE", `${detail}, and it begins at another time than was asked for`)
  const parts = halvedTasks(task)
  if (parts.length === 0) return failed("RESPONSE_TOO_LARGE", detail)
  const queue = yield* HilltopQueue
  yield* queue.enqueue(parts)
  return replaced("RESPONSE_TOO_LARGE", detail, "divided")
})

/** Asks by the qualified name from now on, where the error calls for it: that task is another one, and this one rests. */
const renamed = Effect.fnUntraced(function* (task: ClaimedTask, message: string) {
  const fetchUrl = qualifiedAfter(message, task.fetchUrl, task.details)
  if (fetchUrl === undefined) return failed("HILLTOP_ERROR", message)
  const { details, requestType, sourceId } = task
  const queue = yield* HilltopQueue
  yield* queue.enqueue([{ sourceId, requestType, fetchUrl, details }])
  return replaced("HILLTOP_ERROR", message, "renamed")
})

/** The server wants to be asked elsewhere, which is for an operator to decide: all of its source waits for that. */
const moved = Effect.fnUntraced(function* (task: ClaimedTask, detail: string) {
  const sources = yield* HilltopSources
  yield* sources.report(task.sourceId, withoutSecrets(`${detail}: is that its hts_url?`, task.htsUrl))
  return failed("FETCH_ERROR", detail, { delay: Effect.succeed(Duration.toMillis(unusableDelay)) })
})

/** Keeps what is known, and asks again soon; nothing when it was repeated until it is believed. */
const doubted = ({ previousDigest }: ClaimedTask, doubt: Doubt, now: Instant): Outcome | undefined => {
  if (previousDigest === undefined) return undefined
  const notes = notesIn(previousDigest)
  const doubts = oneMore(notes.doubts, doubt, now)
  if (isBelieved(doubt, doubts, now)) return undefined
  return failed("PARSE_ERROR", `doubtful: ${doubt.detail}`, {
    delay: delayAfterDoubt(doubts.times - 1),
    digest: withNotes(digestIn(previousDigest), { ...notes, doubts })
  })
}

const attempt = Effect.fnUntraced(function* (task: ClaimedTask, rawTopic: string, seen: Seen, startedAt: Instant) {
  const source = yield* usableSource({ ...task, id: task.sourceId })
  const reason = whyUnwanted(source)(task)
  if (reason !== undefined) return notRun(reason)
  const client = yield* HilltopClient
  const { bytes, free, hash } = yield* answerOf(client.fetch(task.fetchUrl), (answer) => (seen.answer = answer))
  const answeredAt = yield* Clock.currentTimeMillis
  seen.bytes = bytes.length
  seen.hash = hash
  if (isSameData(task, source, hash, startedAt)) {
    const known = keptSeries(task)
    const lastObserved = known?.last === undefined ? [] : [known.last]
    const decision = seen.decided(lookOfSameRows(task, startedAt, known))
    return good("UNCHANGED", {
      hash,
      lastObserved,
      added: 0,
      revised: false,
      digest: withoutDoubts(task),
      ...(yield* consequences(task, source, decision))
    })
  }
  // It would fill its message alone, so nothing of it is worth the memory that its text and its rows take.
  const tooLong = (least: number, head: () => string) =>
    Effect.suspend(() => {
      if (least <= maxMessageBytes) return Effect.void
      seen.head = head()
      return Effect.fail(new RecordTooLarge({ topic: rawTopic, bytes: least, limit: maxMessageBytes }))
    })
  yield* tooLong(leastBytes(bytes), () => String.fromCharCode(...bytes.subarray(0, headLength)))
  const { spoilt, text: xml } = readText(bytes)
  seen.spoilt = spoilt
  yield* free
  const head = () => xml.slice(0, headLength)
  yield* tooLong(xml.length, head)
  return yield* understood(task, source, rawTopic, seen, { xml, hash, askedAt: startedAt, answeredAt }).pipe(
    Effect.tapErrorTag("RecordTooLarge", () => Effect.sync(() => void (seen.head = head())))
  )
})

const understood = Effect.fnUntraced(function* (
  task: ClaimedTask,
  source: UsableSource,
  rawTopic: string,
  seen: Seen,
  answer: { readonly xml: string; readonly hash: string; readonly askedAt: Instant; readonly answeredAt: Instant }
) {
  const reading = yield* readDocument(task, source, answer.xml, answer.askedAt)
  const { empty, followUps, key, lastObserved, note, said } = reading
  seen.leftOut = reading.leftOut
  seen.ahead = reading.ahead
  const spoilt = seen.spoilt ?? 0
  const { digest, doubt, series, unchanged } = newsOf(task, source, { ...answer, said, spoilt }, seen.decided)
  const doubtful = doubt && doubted(task, doubt, answer.answeredAt)
  if (doubtful !== undefined) {
    // Series that a list has no more are shown at once: nothing is lost by that, unlike by believing it.
    if (note !== undefined && task.requestType === "MEASUREMENTS_LIST" && doubt?.kind === "missing")
      yield* noted(task, note)
    return doubtful
  }
  const queue = yield* HilltopQueue
  const latest = followUps.filter(({ requestType }) => requestType === "MEASUREMENT_DATA_LATEST")
  const asked = [...latest, ...latest.flatMap(qualified)]
  const queued = (yield* Effect.forEach(Array.chunksOf(asked, enqueuedAtOnce), queue.find)).flat()
  const rule = yield* RefreshRule
  const refresh = rule.inherited(queued.map((each) => ({ kept: each.refresh })))
  const wanted = refresh === undefined ? followUps : followUps.map((each) => beginningWith(refresh, each))
  const added = yield* Effect.forEach(Array.chunksOf(wanted, enqueuedAtOnce), queue.enqueue)
  // A list is noted whether or not it is news, since what is wanted of it may have changed.
  if (note !== undefined && (task.requestType === "MEASUREMENTS_LIST" || !unchanged)) yield* noted(task, note)
  if ("digest" in said) {
    const woken = Array.chunksOf(wokenBy(task, said, followUps), enqueuedAtOnce)
    yield* Effect.forEach(woken, queue.wake, { discard: true })
  }
  // The first document of a series adds nothing if it is empty; a later one tells that all values are gone. Rows without a
  // number are rows.
  const isEmpty = empty && (series === undefined || series.count === 0)
  const nothingYet = isEmpty && (task.previousHash === undefined || keptSeries(task)?.count === 0)
  if (!unchanged && !nothingYet && key !== undefined) {
    const record = yield* rawRecord(task, source, key, { item: reading.item, xml: answer.xml }, rawTopic)
    if (reading.parsed !== undefined && key.type === "MEASUREMENT_DATA") {
      const about = { ...key, hilltopUrl: task.fetchUrl }
      const kept = yield* ParsedDocuments
      kept.keep(record.key, { ...reading.parsed, about, value: record.value })
    }
    yield* publish(record, mayBeSettledLater(task))
  }
  const siblings = "digest" in said ? siblingsIn(said, asked, queued) : []
  const decision =
    series?.decision ??
    seen.decided(
      "digest" in said && task.requestType === "MEASUREMENTS_LIST"
        ? lookOfMeasurements(answer.askedAt, keptList(task)?.extents, said, siblings)
        : lookOfSites(
            answer.askedAt,
            added.reduce((sum, each) => sum + each, 0),
            unchanged
          )
    )
  return good(unchanged ? "UNCHANGED" : "SUCCESS", {
    ...(yield* consequences(task, source, decision)),
    follows: changedLeaders(rule, queued),
    hash: answer.hash,
    digest: withNotes(digest, { spoilt: unchanged ? notesIn(task.previousDigest).spoilt : spoilt > 0 }),
    lastObserved,
    ...(series === undefined ? {} : { added: series.added, revised: series.revised })
  })
})

/** New series begin with what those beside them have learnt. */
const beginningWith = (refresh: string, task: NewTask): NewTask =>
  task.requestType === "MEASUREMENT_DATA_LATEST" ? { ...task, refresh } : task

/** Whom the series of a site follow from now on, where that is another one than before. */
const changedLeaders = ({ leaders }: Rule, queued: ReadonlyArray<QueuedTask>): Settlement["follows"] => {
  if (queued.length === 0) return undefined
  const leading = leaders(queued.map(({ follows, id, refresh }) => ({ id, kept: refresh, follows })))
  return queued
    .filter(({ follows, id }) => leading.has(id) && leading.get(id) !== follows)
    .map(({ id }) => ({ id, leader: leading.get(id) }))
}

/** A decision, and the tasks that are woken by it. */
const consequences = Effect.fnUntraced(function* (task: ClaimedTask, source: UsableSource, decision: Decision) {
  return { decision, wakes: yield* wakings(task, source, decision.wake) }
})

const withoutDoubts = ({ previousDigest = "" }: ClaimedTask): string =>
  withNotes(digestIn(previousDigest), { spoilt: notesIn(previousDigest).spoilt })

/** The requests of series of which the list says otherwise than before, and for the times of which it does. */
const wokenBy = (task: ClaimedTask, said: ListSaid, followUps: ReadonlyArray<NewTask>): ReadonlyArray<NewTask> => {
  const extents = keptList(task)?.extents
  if (extents === undefined) return []
  const ends = new Map(Object.entries(said.extents).map(([name, now]) => [name, movedEnds(extents[name], now)]))
  return followUps.flatMap((followUp) => {
    const { details, fetchUrl, requestType } = followUp
    const period = requestType === "MEASUREMENT_DATA" ? askedPeriod(fetchUrl) : undefined
    const isMoved = (ends.get(details.measurementName ?? "") ?? []).some(
      ({ from, until }) => period === undefined || (period.from <= until && from <= period.to)
    )
    if (!isMoved) return []
    return [followUp, ...qualified(followUp)]
  })
}

/** The same request by its qualified name, which may have taken its place. */
const qualified = (task: NewTask): ReadonlyArray<NewTask> => {
  const fetchUrl = qualifiedUrl(task.fetchUrl, task.details)
  return fetchUrl === undefined ? [] : [{ ...task, fetchUrl }]
}
/** A note that cannot be kept now is made by a later document: no reason to ask for this one again. */
const noted = Effect.fnUntraced(
  function* ({ sourceId }: ClaimedTask, { after, siteName }: NonNullable<Reading["note"]>) {
    const sources = yield* HilltopSources
    const before = yield* sources.noteOf(sourceId, siteName)
    const note = after(before)
    if (before === undefined || !sameNote(before, note)) yield* sources.note(sourceId, siteName, note)
  },
  Effect.catchTag("StoreUnavailable", (failure) =>
    sayOnce(
      "crawl: not noted",
      Effect.logWarning("crawl: what a document leaves in doubt was not noted", describe(Cause.fail(failure)))
    )
  )
)

/** A document whose settlement may wait may wait itself: nothing begins sooner at its server if it does not. */
const publish = Effect.fnUntraced(function* (record: OutgoingRecord, mayWait: boolean) {
  const sink = yield* KafkaSink
  yield* refuseTooLarge([record])
  yield* sink
    .send([record], { mayWait })
    .pipe(
      Effect.retry({ schedule: untilSinkIsBack, while: (error) => error._tag === "SinkUnavailable" }),
      Effect.catchTag("SinkUnavailable", Effect.die)
    )
})
