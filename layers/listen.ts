/**
 * A PostgreSQL channel as a stream that never fails: a lost connection is logged and listened for again.
 *
 * It emits once whenever it begins to listen, since something may have been notified before; whoever reads it also polls.
 */
import { Effect, Queue, Schedule, Stream } from "effect"
import type { PgClient } from "@effect/sql-pg"

export const listen = (sql: PgClient.PgClient, channel: string): Stream.Stream<void> =>
  Stream.unwrap(
    Effect.map(sql.listen(channel), (queue) =>
      Stream.concat(Stream.make(undefined), Stream.fromEffectRepeat(Effect.asVoid(Queue.take(queue))))
    )
  ).pipe(
    Stream.tapError((error) => Effect.logWarning(`${channel}: the notification channel was lost`, error.reason._tag)),
    Stream.retry(Schedule.spaced("1 second")),
    Stream.orDie
  )
