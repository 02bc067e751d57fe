/**
 * How far the groups are behind, and how many records were set aside.
 */
import { Clock, Effect } from "effect"
import { TopicBrowser, TopicReadings } from "../stream/TopicBrowser.ts"
import { DeadLetterMarks } from "./DeadLetterMarks.ts"
import type { StreamsView } from "./Overview.ts"

export const streamFigures = Effect.gen(function* () {
  const browser = yield* TopicBrowser
  const readings = yield* TopicReadings
  const marks = yield* DeadLetterMarks
  const now = yield* Clock.currentTimeMillis
  const groups = yield* Effect.forEach(readings, (reading) =>
    Effect.map(browser.positions(reading), (positions) => {
      const oldest = positions.flatMap(({ oldestAt }) => (oldestAt === undefined ? [] : [oldestAt]))
      return {
        ...reading,
        records_behind: positions.reduce((sum, { behind }) => sum + behind, 0),
        is_exact: positions.every(({ isExact }) => isExact),
        oldest_unread_seconds: oldest.length === 0 ? null : Math.max(0, now - Math.min(...oldest)) / 1000,
        partitions: positions.map(({ behind, end, next, partition }) => ({ partition, next, end, behind }))
      }
    })
  )
  const letters = yield* Effect.forEach(readings, ({ topic }) =>
    Effect.gen(function* () {
      const { first, gaps = 0, next } = yield* browser.letterRange(topic)
      const count = Math.max(0, next - first - gaps)
      const redriven = count === 0 ? 0 : yield* marks.count(topic, first)
      return { topic, count, not_redriven: Math.max(0, count - redriven) }
    })
  )
  return {
    kafka: browser.isKafka,
    groups,
    dead_letters: letters,
    problem: null
  } satisfies StreamsView as StreamsView
})

/** What is shown while the stream cannot be looked at: what was seen last, and why it is not of now. */
export const withoutStream = (last: StreamsView | undefined, isKafka: boolean): StreamsView => ({
  ...(last ?? { groups: [], dead_letters: [] }),
  kafka: isKafka,
  problem: isKafka ? "the brokers do not answer" : "the topics cannot be read at this moment"
})
