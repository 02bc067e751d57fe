/**
 * Answers people who look at the streams, and sends again what was set aside.
 *
 * A record goes back whole, to the partition it came from, before it is marked: a crash in between sends it twice and loses nothing.
 */
import { Clock, Effect, Layer } from "effect"
import { HttpApiBuilder } from "effect/http-api"
import { blotPersonalNumbers } from "../domain/PersonalNumber.ts"
import { KafkaSink } from "../stream/KafkaSink.ts"
import { type Letter, TopicBrowser, TopicReadings } from "../stream/TopicBrowser.ts"
import type { TopicRecord } from "../stream/TopicReader.ts"
import { storeUnavailable } from "./AccountingPointHandlers.ts"
import { Api } from "./Api.ts"
import { CallerName } from "./ApiKeys.ts"
import { DeadLetterMarks, type Mark } from "./DeadLetterMarks.ts"
import { noteAction } from "./noteAction.ts"
import { refuse } from "./Problems.ts"
import { streamFigures } from "./streamFigures.ts"
import { defaultLetters, type LetterView, mostLetters, mostShown } from "./TopicApi.ts"

/** Offsets that are looked through for what was not sent again. */
const strides = 20
/** In milliseconds: after so long one request begins no further letter, so that it can tell how many it sent. */
const longEnough = 3_000

const streamUnavailable = ({ _tag }: { readonly _tag: string }) =>
  Effect.andThen(
    Effect.logDebug("a topic cannot be used at this moment", { reason: _tag }),
    refuse("stream-unavailable", "the topic cannot be used at this moment", { "retry-after": 5 })
  )
const letterUnknown = refuse("dead-letter-unknown", "no dead letter of this topic has this offset")

/** What the dead letter itself added. */
const added = new Set(["reason", "source_topic", "source_partition", "source_offset"])

const numberIn = (text: string | undefined): number | null =>
  text !== undefined && /^[0-9]{1,15}$/.test(text) ? Number(text) : null

/** Where a letter came from, and is sent again; nothing for what is no letter of this topic. */
const partitionOf = ({ headers, topic }: Pick<TopicRecord, "headers" | "topic">): number | null =>
  headers["source_topic"] === topic ? numberIn(headers["source_partition"]) : null

const viewOf = (letter: Letter, mark: Mark | undefined): LetterView => ({
  topic: letter.topic,
  offset: letter.offset,
  set_aside_at: letter.at,
  reason: letter.headers["reason"] === undefined ? null : blotPersonalNumbers(letter.headers["reason"]),
  source_partition: numberIn(letter.headers["source_partition"]),
  source_offset: numberIn(letter.headers["source_offset"]),
  key: blotPersonalNumbers(letter.key.slice(0, 2_000)),
  value_bytes: letter.valueBytes,
  redriven_at: mark?.at ?? null,
  redriven_by: mark?.by ?? null
})
const bytesOf = (value: string) => new TextEncoder().encode(value).length
const withoutValue = ({ value, ...record }: TopicRecord): Letter => ({ ...record, valueBytes: bytesOf(value) })

/** A topic of ours, or the problem. */
const known = (readings: TopicReadings["Service"], topic: string) =>
  readings.some((reading) => reading.topic === topic)
    ? Effect.void
    : refuse("topic-unknown", "no topic of this service has this name")

const looking = HttpApiBuilder.group(
  Api,
  "topics",
  Effect.fnUntraced(function* (handlers) {
    const browser = yield* TopicBrowser
    const readings = yield* TopicReadings
    const marks = yield* DeadLetterMarks
    return handlers.handleAll({
      read: () =>
        streamFigures.pipe(
          Effect.provideService(TopicBrowser, browser),
          Effect.provideService(DeadLetterMarks, marks),
          Effect.provideService(TopicReadings, readings),
          Effect.catchTags({ ReaderUnavailable: streamUnavailable, StoreUnavailable: storeUnavailable })
        ),

      letters: Effect.fnUntraced(
        function* ({ query: { cursor, limit = defaultLetters, topic } }) {
          yield* known(readings, topic)
          const { first, next } = yield* browser.letterRange(topic)
          const until = Math.min(cursor ?? next, next)
          // On Kafka every second offset may be the end of a transaction.
          const from = Math.max(first, until - (browser.isKafka ? 2 * limit : limit))
          const letters = (yield* browser.letters(topic, from, until)).slice(-limit)
          const begin = letters.length === limit ? (letters[0]?.offset ?? from) : from
          const marked = yield* marks.marked(topic, begin, until)
          return {
            items: letters.toReversed().map((letter) => viewOf(letter, marked.get(letter.offset))),
            next_cursor: begin > first ? String(begin) : null
          }
        },
        Effect.catchTags({ ReaderUnavailable: streamUnavailable, StoreUnavailable: storeUnavailable })
      ),

      letter: Effect.fnUntraced(
        function* ({ params: { offset, topic } }) {
          yield* known(readings, topic)
          const record = (yield* browser.letter(topic, offset)) ?? (yield* letterUnknown)
          const marked = yield* marks.marked(topic, offset, offset + 1)
          const headers = Object.entries(record.headers).filter(([name]) => !added.has(name))
          return {
            ...viewOf(withoutValue(record), marked.get(offset)),
            value: blotPersonalNumbers(record.value.slice(0, mostShown)),
            value_cut: record.value.length > mostShown,
            headers: Object.fromEntries(
              headers.map(([name, value]) => [blotPersonalNumbers(name), blotPersonalNumbers(value.slice(0, 2_000))])
            )
          }
        },
        Effect.catchTags({ ReaderUnavailable: streamUnavailable, StoreUnavailable: storeUnavailable })
      )
    })
  })
)

const redriving = HttpApiBuilder.group(
  Api,
  "deadLetters",
  Effect.fnUntraced(function* (handlers) {
    const browser = yield* TopicBrowser
    const readings = yield* TopicReadings
    const marks = yield* DeadLetterMarks
    const sink = yield* KafkaSink

    const again = Effect.fnUntraced(function* (record: TopicRecord) {
      const { headers, key, offset, topic, value } = record
      const partition = partitionOf(record)
      if (partition === null) return yield* letterUnknown
      const kept = Object.fromEntries(Object.entries(headers).filter(([name]) => !added.has(name)))
      yield* sink.send([{ topic, partition, key, value, headers: kept }])
      return yield* marks.mark(topic, offset, yield* CallerName)
    })

    return handlers.handleAll({
      redrive: Effect.fnUntraced(
        function* ({ params: { offset, topic } }) {
          yield* known(readings, topic)
          const record = (yield* browser.letter(topic, offset)) ?? (yield* letterUnknown)
          const mark = yield* again(record)
          yield* noteAction("a dead letter was redriven", { topic, offset })
          return viewOf(withoutValue(record), mark)
        },
        Effect.catchTags({
          ReaderUnavailable: streamUnavailable,
          SinkUnavailable: streamUnavailable,
          RecordTooLarge: streamUnavailable,
          StoreUnavailable: storeUnavailable
        })
      ),

      redriveAll: Effect.fnUntraced(
        function* ({ payload: { topic } }) {
          yield* known(readings, topic)
          const { first, next } = yield* browser.letterRange(topic)
          const end = (yield* Clock.currentTimeMillis) + longEnough
          let redriven = 0
          let from = first
          let isEnough = false
          for (let stride = 0; stride < strides && from < next && !isEnough; stride++) {
            const until = Math.min(next, from + mostLetters)
            const marked = yield* marks.marked(topic, from, until)
            for (const { offset } of yield* browser.letters(topic, from, until)) {
              if (marked.has(offset)) continue
              isEnough = redriven === mostLetters || (redriven > 0 && (yield* Clock.currentTimeMillis) >= end)
              if (isEnough) break
              const record = yield* browser.letter(topic, offset)
              if (record !== undefined && partitionOf(record) !== null) {
                yield* again(record)
                redriven += 1
              }
              from = offset + 1
            }
            if (!isEnough) from = until
          }
          yield* noteAction("dead letters were redriven", { topic, records: redriven })
          return { redriven, more: from < next }
        },
        Effect.catchTags({
          ReaderUnavailable: streamUnavailable,
          SinkUnavailable: streamUnavailable,
          RecordTooLarge: streamUnavailable,
          StoreUnavailable: storeUnavailable
        })
      )
    })
  })
)

export const TopicHandlers = Layer.mergeAll(looking, redriving)
