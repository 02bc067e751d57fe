/** Thin events from a topic, over topics and an inbox in memory: what is recorded, and what is set aside. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Ref } from "effect"
import { TestClock } from "effect/testing"
import { eventGroup, EventStage } from "../../src/api/eventStage.ts"
import { eventPartitions } from "../../src/domain/ThinEvent.ts"
import { Loops } from "../../src/running/Loop.ts"
import { stuckLoops } from "../../src/running/stuckLoops.ts"
import { deadLetterPartitions, deadLetterTopic } from "../../src/stream/DeadLetter.ts"
import { KafkaSink } from "../../src/stream/KafkaSink.ts"
import { MemoryTopics } from "../../src/stream/MemoryTopics.ts"
import { TopicReader } from "../../src/stream/TopicReader.ts"
import { AccountingPointStore } from "../../src/sync/AccountingPointStore.ts"
import { EventInbox } from "../../src/sync/EventInbox.ts"
import { MemoryAccountingPoints } from "../../src/sync/MemoryAccountingPoints.ts"
import { gsrnOf } from "../support/gsrns.ts"
import { StoreUnavailable } from "../../src/domain/StoreUnavailable.ts"

const eventTopic = "accounting_point_events"
const now = Date.UTC(2026, 0, 15)

/** How many events each call of `record` brought, and whether the store is away. */
class Calls extends Context.Service<Calls, { readonly sizes: Array<number>; readonly away: Ref.Ref<boolean> }>()(
  "penstock/test/api/Calls"
) {
  static readonly layer = Layer.effect(
    Calls,
    Effect.map(Ref.make(false), (away) => Calls.of({ sizes: [], away }))
  )
}

const watched = Layer.effect(
  EventInbox,
  Effect.gen(function* () {
    const inbox = yield* EventInbox
    const { away, sizes } = yield* Calls
    return EventInbox.of({
      ...inbox,
      record: Effect.fnUntraced(function* (events) {
        if (yield* Ref.get(away)) return yield* new StoreUnavailable({ cause: "away" })
        sizes.push(events.length)
        return yield* inbox.record(events)
      })
    })
  })
)

const world = EventStage({ eventTopic }).pipe(
  Layer.provide(watched),
  Layer.provideMerge(
    Layer.mergeAll(
      MemoryTopics.layer({ [eventTopic]: eventPartitions, [deadLetterTopic(eventTopic)]: deadLetterPartitions }),
      MemoryAccountingPoints.layer,
      Calls.layer,
      Loops.layer
    )
  ),
  // Before anything waits: whoever repeats would have to live through all the years until then.
  Layer.provideMerge(Layer.effectDiscard(TestClock.setTime(now)))
)

const plain = (index: number, at: number) => ({ gsrn: gsrnOf(index), occurred_at: new Date(at).toISOString() })
const cloud = (index: number, at: number) => ({
  specversion: "1.0",
  id: "1",
  source: "/datahub",
  type: "accounting-point.changed",
  subject: gsrnOf(index),
  time: new Date(at).toISOString(),
  datacontenttype: "application/json"
})

const send = (...values: ReadonlyArray<unknown>) =>
  KafkaSink.use((sink) =>
    sink.send(
      values.map((value) => ({
        topic: eventTopic,
        partition: 3,
        key: "null",
        value: typeof value === "string" ? value : JSON.stringify(value)
      }))
    )
  )

/** Waits, without a clock, until the stage is past all that was sent. */
const settled = TopicReader.use((reader) =>
  Effect.repeat(Effect.andThen(Effect.yieldNow, reader.lag({ topic: eventTopic, group: eventGroup })), {
    until: (lag) => lag === 0
  })
)

/** The newest event of each of the first points, as seconds before now. */
const pending = Effect.map(MemoryAccountingPoints, ({ points }) =>
  [...points.values()].map(({ lastEventAt }) => (lastEventAt === undefined ? undefined : now - lastEventAt / 1_000))
)
const deadLetters = Effect.map(MemoryTopics, ({ records }) => records(deadLetterTopic(eventTopic)))

const keep = (count: number) =>
  Effect.gen(function* () {
    const store = yield* AccountingPointStore
    for (let index = 0; index < count; index++) yield* store.ensure(gsrnOf(index))
  })

describe("events from a topic", () => {
  it.effect("are recorded, plain ones and CloudEvents, single and in arrays, a batch at once", () =>
    Effect.gen(function* () {
      yield* keep(5)
      yield* send(
        plain(0, now - 10),
        cloud(1, now - 20),
        [plain(2, now - 30), plain(0, now - 90)],
        [cloud(3, now - 40), plain(4, now - 50), plain(999, now)],
        []
      )
      yield* settled
      assert.deepStrictEqual(yield* pending, [10, 20, 30, 40, 50])
      assert.deepStrictEqual((yield* Calls).sizes, [7])
      assert.deepStrictEqual(yield* deadLetters, [])
      yield* send(cloud(0, now - 10), plain(1, now - 5))
      yield* settled
      assert.deepStrictEqual(yield* pending, [10, 5, 30, 40, 50])
    }).pipe(Effect.provide(world))
  )

  it.effect("may begin with a byte order mark, and may have their attributes in headers, whatever the data are", () =>
    Effect.gen(function* () {
      yield* keep(4)
      const binary = (index: number, at: number, value: string, more: Readonly<Record<string, string>> = {}) => {
        const { datacontenttype: _, ...attributes } = cloud(index, at)
        const headers = Object.fromEntries(Object.entries(attributes).map(([name, text]) => [`ce_${name}`, text]))
        return { topic: eventTopic, partition: 3, key: "null", value, headers: { ...headers, ...more } }
      }
      yield* send(`\uFEFF${JSON.stringify(plain(0, now - 10))}`)
      const structured = { "content-type": "application/cloudevents+json; charset=UTF-8" }
      yield* KafkaSink.use((sink) =>
        sink.send([
          binary(1, now - 20, "null"),
          binary(2, now - 30, "<changed/>", { "content-type": "application/xml" }),
          binary(9, now - 40, JSON.stringify(cloud(3, now - 40)), structured),
          binary(1, now - 5, "null", { ce_subject: "01019012345" })
        ])
      )
      yield* settled
      assert.deepStrictEqual(yield* pending, [10, 20, 30, 40])
      const [letter, ...others] = yield* deadLetters
      assert.deepStrictEqual(others, [])
      assert.include(JSON.stringify(letter?.headers), "subject: must be a GSRN")
    }).pipe(Effect.provide(world))
  )

  it.effect("are set aside when they cannot be read, with a reason that repeats no value, and hold up nobody", () =>
    Effect.gen(function* () {
      yield* keep(2)
      const person = "01019012345"
      const notGsrn = "gsrn: must be a GSRN: 18 digits, the first not 0"
      const wrong: ReadonlyArray<readonly [value: unknown, reason: string]> = [
        [`{"gsrn": "${person}`, "the value is not JSON"],
        ["", "the value is not JSON"],
        [`"${person}"`, "the event: must be an object"],
        ["null", "the event: must be an object"],
        [{ [person]: person }, "gsrn: is missing"],
        [{ ...plain(0, now), gsrn: person }, notGsrn],
        [
          { ...plain(0, now), occurred_at: "2026-01-01T00:00:00" },
          "occurred_at: must be an RFC 3339 time with an offset"
        ],
        [{ ...cloud(0, now), specversion: person }, 'specversion: must be "1.0"'],
        [{ ...cloud(0, now), subject: undefined }, "subject: is missing"],
        [[plain(0, now), cloud(1, now), { ...plain(0, now), gsrn: person }], `[2]: ${notGsrn}`],
        [[plain(0, now), [plain(0, now)]], "[1]: the event: must be an object"]
      ]
      yield* send(...wrong.map(([value]) => value), plain(1, now - 7))
      yield* settled
      assert.deepStrictEqual(yield* pending, [undefined, 7])
      const letters = yield* deadLetters
      assert.strictEqual(letters.length, wrong.length)
      for (const [i, [value, reason]] of wrong.entries()) {
        const { headers, value: kept } = letters[i]!
        assert.strictEqual(kept, typeof value === "string" ? value : JSON.stringify(value))
        assert.strictEqual(headers["reason"], reason)
        assert.deepInclude(headers, { source_topic: eventTopic, source_partition: "3", source_offset: String(i) })
        assert.notInclude(JSON.stringify(headers), person)
      }
    }).pipe(Effect.provide(world))
  )

  it.effect("are set aside when they are from more than 5 minutes ahead", () =>
    Effect.gen(function* () {
      yield* keep(3)
      const minute = 60_000
      yield* send(plain(0, now + 5 * minute), cloud(1, now + 5 * minute + 1), [
        plain(2, now),
        plain(0, now + 6 * minute)
      ])
      yield* settled
      assert.deepStrictEqual(yield* pending, [-5 * minute, undefined, undefined])
      assert.deepStrictEqual(
        (yield* deadLetters).map(({ headers }) => headers["reason"]),
        ["the time is more than 5 minutes in the future", "[1]: the time is more than 5 minutes in the future"]
      )
    }).pipe(Effect.provide(world))
  )

  it.effect("wait out a store that is away, and are recorded once it is back", () =>
    Effect.gen(function* () {
      yield* keep(1)
      const { away, sizes } = yield* Calls
      yield* Ref.set(away, true)
      yield* send(plain(0, now - 1), "nonsense")
      yield* TestClock.adjust("3 minutes")
      assert.deepStrictEqual(yield* stuckLoops, [eventGroup])
      assert.deepStrictEqual(yield* deadLetters, [])
      yield* Ref.set(away, false)
      yield* TestClock.adjust("1 minute")
      yield* settled
      assert.deepStrictEqual(sizes, [1])
      assert.deepStrictEqual(yield* pending, [1])
      assert.strictEqual((yield* deadLetters).length, 1)
      assert.deepStrictEqual(yield* stuckLoops, [])
    }).pipe(Effect.provide(world))
  )
})
