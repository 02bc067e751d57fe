/** How processes hear of each other's records: of every append sooner or later, and of hardly any by itself. */
import { assert, layer } from "@effect/vitest"
import { PgClient } from "@effect/sql-pg"
import { Effect, Queue, Schedule, Stream } from "effect"
import { makeRecordNews } from "../../../layers/topics/recordNews.ts"
import { TestDatabase } from "../../support/TestDatabase.ts"

layer(TestDatabase.layer, { excludeTestServices: true })("the news of records", (it) => {
  it.effect("come to other processes at once or a moment later, and never to the one that appends", () =>
    Effect.gen(function* () {
      const sql = yield* PgClient.PgClient
      const [one, other] = [yield* makeRecordNews(sql), yield* makeRecordNews(sql)]
      const heard = yield* Queue.unbounded<void>()
      let heardOwn = 0
      yield* Effect.forkScoped(Stream.runForEach(other.arrivals, () => Queue.offer(heard, undefined)))
      yield* Effect.forkScoped(Stream.runForEach(one.arrivals, () => Effect.sync(() => void heardOwn++)))
      // When they begin to listen, since something may have come before.
      yield* Queue.take(heard)
      yield* Effect.repeat(
        Effect.sync(() => heardOwn),
        { until: (times) => times === 1, schedule: Schedule.spaced("5 millis") }
      )

      const first = yield* one.next
      assert.isTrue(first.isTold)
      yield* sql`SELECT ${one.notify}::text AS told`
      yield* Queue.take(heard)

      // Two that follow each other at once.
      const second = yield* one.next
      second.committed()
      const third = yield* one.next
      assert.isFalse(third.isTold)
      third.committed()
      yield* Queue.take(heard)
      assert.strictEqual(heardOwn, 1)
    })
  )
})
