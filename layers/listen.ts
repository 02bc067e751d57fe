/**
 * A PostgreSQL channel as a stream that never fails: a lost connection is logged and listened for again.
 *
 * It emits once whenever it begins to listen, since something may have been notified before; whoever reads it also polls.
 * What was notified while nobody read comes as one chunk.
 */
import { Effect, Queue, Schedule, Stream } from "effect"
import type { PgClient } from "@effect/sql-pg"

/** Each payload; `undefined` when it begins to listen. */
export const listenForPayloads = (sql: PgClient.PgClient, channel: string): Stream.Stream<string | undefined> =>
  Stream.unwrap(
    Effect.map(sql.listen(channel), (queue) =>
      Stream.concat(
        Stream.make(undefined),
        Stream.fromEffectRepeat(Queue.takeAll(queue)).pipe(
          Stream.flattenIterable,
          Stream.map(({ payload }) => payload)
        )
      )
    )
  ).pipe(
    Stream.tapError((error) => Effect.logWarning(`${channel}: the notification channel was lost`, error.reason._tag)),
    Stream.retry(Schedule.spaced("1 second")),
    Stream.orDie
  )

/** That something was notified. */
export const listen = (sql: PgClient.PgClient, channel: string): Stream.Stream<void> =>
  Stream.map(listenForPayloads(sql, channel), () => undefined)
