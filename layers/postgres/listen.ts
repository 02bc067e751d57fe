/**
 * A PostgreSQL channel as a stream that never fails: a lost connection is logged, once, and listened for again.
 *
 * It emits once whenever it begins to listen, since something may have been notified before; its readers also poll.
 * Notifications that came while it was not read come as one chunk.
 */
import { Cause, Effect, Queue, Schedule, Stream } from "effect"
import type { PgClient, PgConnection } from "@effect/sql-pg"
import type { SqlError } from "effect/sql"
import { connectionFailure } from "./PgSession.ts"

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
          Stream.fromEffectRepeat(takeAll(queue)).pipe(
            Stream.flattenIterable,
            Stream.map(({ payload }) => payload)
          )
        )
      )
    ).pipe(Stream.tapError(noteLoss), Stream.retry(Schedule.spaced("1 second")), Stream.orDie)
  })

/**
 * What was notified. The client interrupts whoever takes from a channel when it closes the connection; that connection may be
 * another's to give up, and is opened again here. Nobody hears this who was interrupted himself.
 */
const takeAll = (queue: Queue.Dequeue<PgConnection.Notification, SqlError.SqlError>) =>
  Effect.catchCause(Queue.takeAll(queue), (cause) =>
    Cause.hasInterruptsOnly(cause) ? connectionFailure("the connection was closed") : Effect.failCause(cause)
  )

/** That something was notified. */
export const listen = (sql: PgClient.PgClient, channel: string): Stream.Stream<void> =>
  Stream.map(listenForPayloads(sql, channel), () => undefined)
