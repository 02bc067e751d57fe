/**
 * Looking at topics over HTTP, and sending again what was set aside, whatever keeps the topics: they tell the same.
 */
import type { PgClient } from "@effect/sql-pg"
import { assert, it } from "@effect/vitest"
import { ConfigProvider, Effect, Layer, Schedule } from "effect"
import type { SqlClient } from "effect/sql"
import { toDeadLetter } from "../../src/stream/DeadLetter.ts"
import { KafkaSink } from "../../src/stream/KafkaSink.ts"
import { mapperGroup } from "../../src/stream/mappingStage.ts"
import { TopicReader, type TopicRecord } from "../../src/stream/TopicReader.ts"
import { ApiUnderTest, type Asked, keyOf, layerWithTopics, type TopicServices } from "./ApiUnderTest.ts"

interface Letter {
  readonly offset: number
  readonly reason: string
  readonly source_offset: number
  readonly source_partition: number
  readonly redriven_by: string | null
}
interface Figures {
  readonly groups: ReadonlyArray<{
    readonly records_behind: number
    readonly is_exact: boolean
    readonly partitions: ReadonlyArray<object>
  }>
  readonly dead_letters: ReadonlyArray<{
    readonly topic: string
    readonly count: number
    readonly not_redriven: number
  }>
}

const ask = (path: string, asked: Asked = {}) =>
  Effect.flatMap(ApiUnderTest, (api) => api.ask(path, { key: keyOf("read"), ...asked }))
const asAdmin = (path: string, body?: unknown) => ask(path, { method: "POST", key: keyOf("admin"), body })
const figures = Effect.map(ask("/topic"), ({ json, status, text }) => {
  assert.strictEqual(status, 200, text)
  const { dead_letters, groups } = json as Figures
  const { is_exact, partitions, records_behind } = groups[0]!
  return { behind: records_behind, isExact: is_exact, partitions, letters: dead_letters[0]! }
})

/** Reads on as the mapper does, until nothing is left; `use` says what becomes of each record. */
const readOn = Effect.fnUntraced(function* (rawTopic: string, isUsable: boolean) {
  const reader = yield* TopicReader
  const group = { topic: rawTopic, group: mapperGroup, maxRecords: 1 }
  const read: Array<TopicRecord> = []
  yield* Effect.raceFirst(
    reader.consume(group, ({ records }) =>
      Effect.gen(function* () {
        read.push(...records)
        return isUsable ? [] : yield* Effect.forEach(records, (one) => toDeadLetter(one, "no XML of 01010112345"))
      })
    ),
    reader
      .lag(group)
      .pipe(
        Effect.repeat({ until: (lag) => lag === 0, schedule: Schedule.spaced("20 millis") }),
        Effect.timeout("60 seconds")
      )
  )
  return read
})

export const topicBrowserSuite = <E>(
  name: string,
  topics: Layer.Layer<TopicServices, E, PgClient.PgClient | SqlClient.SqlClient>,
  rawTopic = "hilltop_raw"
) =>
  it.layer(
    layerWithTopics(topics).pipe(
      Layer.provide(
        ConfigProvider.layer(
          ConfigProvider.fromEnvRecord({ HILLTOP_RAW_TOPIC: rawTopic, OBSERVATIONS_TOPIC: `${rawTopic}.observations` })
        )
      )
    ),
    { excludeTestServices: true, timeout: 120_000 }
  )(name, (it) => {
    it.effect(
      "tells how far a group is behind and what was set aside, and sends that again to where it came from",
      () =>
        Effect.gen(function* () {
          const sink = yield* KafkaSink
          assert.deepInclude(yield* figures, { behind: 0, letters: { topic: rawTopic, count: 0, not_redriven: 0 } })
          const sent = ["1", "2", "3"].map((n) => ({
            topic: rawTopic,
            partition: 3,
            key: `{"n": ${n}}`,
            value: `{"xml": "01010112345 and ${n}"}`,
            headers: { traceparent: `x${n}` }
          }))
          for (const one of sent) yield* sink.send([one])
          // On Kafka each was sent in a transaction of its own, whose end takes an offset and is no record.
          assert.deepInclude(yield* figures, { behind: 3, isExact: true })
          yield* readOn(rawTopic, false)
          const shown = yield* figures
          assert.deepInclude(shown, { behind: 0, letters: { topic: rawTopic, count: 3, not_redriven: 3 } })
          assert.isAbove(shown.partitions.length, 3)

          const letters: Array<Letter> = []
          let texts = ""
          for (let cursor: string | null = ""; cursor !== null;) {
            const { json, status, text }: { json: unknown; status: number; text: string } = yield* ask(
              `/topic/dead_letter?topic=${rawTopic}&limit=2${cursor === "" ? "" : `&cursor=${cursor}`}`
            )
            assert.strictEqual(status, 200, text)
            const page = json as { readonly items: ReadonlyArray<Letter>; readonly next_cursor: string | null }
            assert.isAtMost(page.items.length, 2)
            letters.push(...page.items)
            texts += text
            cursor = page.next_cursor
          }
          assert.lengthOf(letters, 3)
          assert.deepStrictEqual(
            letters.map(({ reason, source_partition }) => [reason, source_partition]),
            Array.from({ length: 3 }, () => ["no XML of [personal number]", 3])
          )
          const [third, second, first] = letters
          assert.isBelow(first!.source_offset, second!.source_offset)
          assert.isBelow(second!.source_offset, third!.source_offset)
          const path = (offset: number) => `/topic/dead_letter/${rawTopic}/${offset}`
          const whole = yield* ask(path(second!.offset))
          assert.deepInclude(whole.json as object, {
            offset: second!.offset,
            key: '{"n": 2}',
            value: '{"xml": "[personal number] and 2"}',
            headers: { traceparent: "x2" }
          })
          assert.notInclude(texts + whole.text, "01010112345")
          assert.strictEqual((yield* ask(path(99_999))).status, 404)

          assert.strictEqual((yield* ask(`${path(second!.offset)}/redrive`, { method: "POST" })).status, 403)
          const again = yield* asAdmin(`${path(second!.offset)}/redrive`)
          assert.deepInclude(again.json as object, { offset: second!.offset, redriven_by: "admin-caller" })
          assert.deepInclude(yield* figures, { letters: { topic: rawTopic, count: 3, not_redriven: 2 } })
          const rest = yield* asAdmin("/topic/dead_letter/redrive", { topic: rawTopic })
          assert.deepStrictEqual(rest.json, { redriven: 2, more: false })
          const none = yield* asAdmin("/topic/dead_letter/redrive", { topic: rawTopic })
          assert.deepStrictEqual(none.json, { redriven: 0, more: false })
          assert.deepInclude(yield* figures, { letters: { topic: rawTopic, count: 3, not_redriven: 0 } })

          const read = yield* readOn(rawTopic, true)
          assert.deepStrictEqual(
            read.map(({ headers, key, partition, value }) => ({ topic: rawTopic, partition, key, value, headers })),
            [sent[1]!, sent[0]!, sent[2]!],
            "whole, in the order in which they were sent again"
          )
          assert.strictEqual((yield* figures).behind, 0)
        }),
      120_000
    )
  })
