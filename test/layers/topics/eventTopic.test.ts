/**
 * Events from a topic in PostgreSQL reach the sync rows, through two instances of one consumer group.
 */
import { assert, layer } from "@effect/vitest"
import { Clock, Effect, Layer, Schedule, Stream } from "effect"
import { SqlClient } from "effect/sql"
import { PgEventInbox } from "../../../layers/sync/PgEventInbox.ts"
import { PgTopics } from "../../../layers/topics/PgTopics.ts"
import { eventGroup, EventStage } from "../../../src/api/eventStage.ts"
import { eventPartitions } from "../../../src/domain/ThinEvent.ts"
import { Loops } from "../../../src/running/Loop.ts"
import { deadLetterPartitions, deadLetterTopic } from "../../../src/stream/DeadLetter.ts"
import { KafkaSink } from "../../../src/stream/KafkaSink.ts"
import { TopicReader } from "../../../src/stream/TopicReader.ts"
import { EventInbox } from "../../../src/sync/EventInbox.ts"
import { gsrnOf } from "../../support/gsrns.ts"
import { TestDatabase } from "../../support/TestDatabase.ts"

const eventTopic = "accounting_point_events"
const points = 40
const at = Date.UTC(2026, 0, 1)

const stores = Layer.mergeAll(
  PgEventInbox,
  PgTopics({ topics: { [eventTopic]: eventPartitions, [deadLetterTopic(eventTopic)]: deadLetterPartitions } })
).pipe(Layer.provideMerge(Layer.merge(TestDatabase.layer, Loops.layer)))

const stage = EventStage({ eventTopic })

layer(stores, { excludeTestServices: true })("a topic of events in PostgreSQL", (it) => {
  it.effect("moves every accounting point to its newest event and wakes the sync, whatever lies between", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const sink = yield* KafkaSink
      const reader = yield* TopicReader
      const inbox = yield* EventInbox
      yield* sql`INSERT INTO flex.accounting_point (business_id)
        SELECT * FROM unnest(${Array.from({ length: points }, (_, index) => gsrnOf(index))}::text[])`
      yield* Layer.build(Layer.merge(stage, Layer.fresh(stage)))

      const events = Array.from({ length: points * 5 }, (_, n) => ({
        gsrn: gsrnOf((n * 7) % points),
        occurred_at: new Date(at + n * 1_000).toISOString()
      }))
      // In a mixed order: the newest wins, whichever comes last.
      const mixed = events.toSorted((a, b) => a.occurred_at.slice(-4).localeCompare(b.occurred_at.slice(-4)))
      yield* sink.send([
        ...mixed.slice(0, 150).map((event, n) => ({
          topic: eventTopic,
          partition: n % eventPartitions,
          key: "null",
          value: n % 40 === 7 ? `not an event ${n}` : JSON.stringify(event)
        })),
        { topic: eventTopic, partition: 0, key: "null", value: JSON.stringify(mixed) }
      ])
      yield* reader
        .lag({ topic: eventTopic, group: eventGroup })
        .pipe(Effect.repeat({ until: (lag) => lag === 0, schedule: Schedule.spaced("10 millis") }))

      const rows = yield* sql<{ gsrn: string; at: Date }>`
        SELECT a.business_id AS gsrn, s.last_event_at AS at FROM flex.accounting_point_sync s
        JOIN flex.accounting_point a ON a.id = s.accounting_point_id ORDER BY a.id`
      const newest = new Map(events.map(({ gsrn, occurred_at }) => [gsrn as string, occurred_at]))
      assert.strictEqual(newest.size, points)
      assert.deepStrictEqual(new Map(rows.map((row) => [row.gsrn, row.at.toISOString()])), newest)

      const letters = yield* sql<{ value: string; reason: string }>`
        SELECT value, headers ->> 'reason' AS reason FROM topic_records
        WHERE topic = ${deadLetterTopic(eventTopic)} ORDER BY value`
      assert.deepStrictEqual(
        letters,
        ["not an event 127", "not an event 47", "not an event 7", "not an event 87"].map((value) => ({
          value,
          reason: "the value is not JSON"
        }))
      )

      // Told again and again, since nobody knows from when on a channel is listened to.
      const tellMore = (now: number) =>
        sink.send([
          {
            topic: eventTopic,
            partition: 1,
            key: "null",
            value: JSON.stringify({ ...events[0], occurred_at: new Date(now).toISOString() })
          }
        ])
      yield* Effect.raceFirst(
        Stream.runHead(inbox.arrivals),
        Effect.forever(
          Effect.flatMap(Clock.currentTimeMillis, tellMore).pipe(Effect.andThen(Effect.sleep("50 millis")))
        )
      )
    }).pipe(Effect.scoped, Effect.timeout("10 seconds"))
  )
})
