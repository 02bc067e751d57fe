/**
 * A PostgreSQL channel as a stream that never fails: a lost connection is logged, once, and listened for again.
 *
 * It emits once whenever it begins to listen, since something may have been notified before; whoever reads it also polls.
 * What was notified while nobody read comes as one chunk.
 */
import { Effect, Queue, Schedule, Stream } from "effect"
import type { PgClient } from "@effect/sql-pg"
import type { SqlError } from "effect/sql"

/** Each payload; `undefined` when it begins to listen. */
export const listenForPayloads = (sql: PgClient.PgClient, channel: string): Stream.Stream<string | undefined> =>
  Stream.suspend(() => {
    let lost = false
    const begun = Effect.suspend(() => {
      if (!lost) return Effect.void
      lost = false
      return Effect.logInfo(`${channel}: the notification channel is back`)
    })
    const noteLoss = (error: SqlError.SqlError) =>
      Effect.suspend(() => {
        if (lost) return Effect.void
        lost = true
        return Effect.logWarning(`${channel}: the notification channel was lost`, error.reason._tag)
      })
    return Stream.unwrap(
      Effect.map(Effect.tap(sql.listen(channel), begun), (queue) =>
        Stream.concat(
          Stream.make(undefined),
          Stream.fromEffectRepeat(Queue.takeAll(queue)).pipe(
            Stream.flattenIterable,
            Stream.map(({ payload }) => payload)
          )
        )
      )
    ).pipe(Stream.tapError(noteLoss), Stream.retry(Schedule.spaced("1 second")), Stream.orDie)
  })

/** That something was notified. */
export const listen = (sql: PgClient.PgClient, channel: string): Stream.Stream<void> =>
  Stream.map(listenForPayloads(sql, channel), () => undefined)
