/**
 * Topics kept in PostgreSQL: KafkaSink and TopicReader where there is no Kafka.
 *
 * A reader takes a partition under a lease with a fence and holds neither a transaction nor a connection while its
 * handler runs; what the handler returned and the new offset are then written in one transaction, if the fence still
 * fits. An append locks the rows of its partitions in a fixed order, so offsets appear in order, and what is let go of later (see
 * PgTopicRetention) is all that leaves gaps.
 */
import { Cause, Context, Duration, Effect, Layer, Option, Predicate, Schedule, Schema, Stream } from "effect"
import { PgClient } from "@effect/sql-pg"
import { type SqlError, SqlSchema } from "effect/sql"
import { describe } from "../../src/running/describe.ts"
import { KafkaSink, type OutgoingRecord, refuseTooLarge, SinkUnavailable } from "../../src/stream/KafkaSink.ts"
import { makeArrivals, takeTurns } from "../../src/stream/partitionTurns.ts"
import { isMomentary, makeRests } from "../../src/stream/restingPartitions.ts"
import { type ConsumeOptions, maxBatchBytes, ReaderUnavailable, TopicReader } from "../../src/stream/TopicReader.ts"
import { millisOf } from "../postgres/epochNumbers.ts"
import { isOfHeldRow, untilFree, waitFor } from "../postgres/heldRows.ts"
import { mapSqlFailure } from "../postgres/sqlFailures.ts"
import { byteas, int4s, texts } from "../postgres/statementArrays.ts"
import { writableMillis } from "../postgres/writableValues.ts"
import { type ClaimedPartition, partitionClaim } from "./partitionClaim.ts"
import { makeRecordNews } from "./recordNews.ts"

export interface PgTopicsOptions {
  /** Topics that are made when they are not there, with their numbers of partitions. */
  readonly topics: Readonly<Record<string, number>>
  /** How long a partition stays with an instance that died; 30 seconds, which a living one extends every 10. */
  readonly lease?: Duration.Input
  /** Partitions that one reader works on at once: 2, since each needs a connection at both ends of its work. */
  readonly partitionsAtOnce?: number
}

type Claim = ClaimedPartition & { readonly topic: string; readonly group: string }

const RecordRow = Schema.Struct({
  offset: Schema.Finite,
  key: Schema.String,
  value: Schema.String,
  headers: Schema.Unknown,
  at: Schema.Finite
})
/** Those that are texts: whatever else somebody has written by hand is no header, and not worth the record. */
const headersOf = (value: unknown): Readonly<Record<string, string>> =>
  Predicate.isObject(value)
    ? Object.fromEntries(
        Object.entries(value).filter((entry): entry is [string, string] => Predicate.isString(entry[1]))
      )
    : {}

/** Where a partition rests, doubling. */
const [shortestPause, longestPause] = [50, 500]

/** Values are sent as bytes: of a text of 200 kB the driver makes 1.3 MB of buffers, of its bytes half as much in 0.7 times the time. */
const encoder = new TextEncoder()

/** Our own appends to a partition take turns, each some milliseconds, a large batch 100; in milliseconds. */
const longestWait = 500

/** jsonb takes neither NUL nor half a surrogate pair, and a header is not worth a record that can never be appended. */
const headersJson = (headers: OutgoingRecord["headers"] = {}) =>
  JSON.stringify(headers, (_, value: unknown) =>
    typeof value === "string" ? value.replaceAll("\0", "").toWellFormed() : value
  )

/** The handler's store, or a row of the topics themselves. */
const isHeldUp = (cause: Cause.Cause<unknown>): boolean =>
  isMomentary(cause) || (Option.exists(Cause.findErrorOption(cause), isOfHeldRow) && !Cause.hasInterrupts(cause))

const stillHeld = (rows: ReadonlyArray<unknown>) => rows.length > 0

/** A connection that hangs must not hold a partition for ever while the heartbeat goes on beside it. */
const inTime = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E | ReaderUnavailable, R> =>
  Effect.timeoutOrElse(Effect.interruptible(effect), {
    duration: "30 seconds",
    orElse: () => Effect.fail(new ReaderUnavailable({ cause: new Error("the database does not answer") }))
  })

const sinkFailure = mapSqlFailure((cause) => new SinkUnavailable({ cause }))
const readerFailure = mapSqlFailure((cause) => new ReaderUnavailable({ cause }))

export const PgTopics = (
  options: PgTopicsOptions
): Layer.Layer<KafkaSink | TopicReader, SqlError.SqlError, PgClient.PgClient> =>
  Layer.effectContext(
    Effect.gen(function* () {
      const sql = yield* PgClient.PgClient
      const news = yield* makeRecordNews(sql)
      const lease = Duration.toMillis(Duration.fromInputUnsafe(options.lease ?? "30 seconds"))
      const leaseEnd = sql`clock_timestamp() + ${lease}::float8 * interval '1 millisecond'`
      /**
       * How long a reader waits that hears of nothing: 2 of 30 seconds. Then it sees leases that ran out, partitions of a process that
       * has stopped, and records of one that does not tell.
       */
      const longestWaiting = lease / 15
      const arrivals = makeArrivals()
      /** From the first reader on: whoever only writes needs no connection that listens. */
      const hearing = yield* Effect.cached(
        Effect.forkIn(
          Stream.runForEach(news.arrivals, () => Effect.sync(arrivals.signalAll)),
          yield* Effect.scope
        )
      )

      yield* sql`
        INSERT INTO topic_partitions (topic, partition)
        SELECT topic, generate_series(0, partitions - 1)
        FROM unnest(${texts(Object.keys(options.topics))}, ${int4s(Object.values(options.topics))}) AS t (topic, partitions)
        ON CONFLICT DO NOTHING`

      /**
       * Appends in one statement. The partitions' rows are locked in order and stay locked until the commit; nothing is
       * appended when one of them is not there. 0.5 ms for a small record, 6 ms for 0.4 MB, which is mostly compression.
       */
      const appendRows = (records: ReadonlyArray<OutgoingRecord>, isTold: boolean) => sql<{ appended: number }>`
        WITH limits AS MATERIALIZED (SELECT ${sql.literal(waitFor(longestWait))}
        ), incoming AS (
          SELECT topic, partition, key, convert_from(value, 'UTF8') AS value, headers::jsonb AS headers, ordinal
          FROM limits, unnest(${texts(records.map((record) => record.topic))}, ${int4s(records.map((record) => record.partition))},
            ${texts(records.map((record) => record.key))}, ${byteas(records.map((record) => encoder.encode(record.value)))},
            ${texts(records.map((record) => headersJson(record.headers)))})
            WITH ORDINALITY AS record (topic, partition, key, value, headers, ordinal)
        ), wanted AS (
          SELECT topic, partition, count(*) AS records FROM incoming GROUP BY topic, partition
        ), held AS (
          SELECT p.topic, p.partition FROM topic_partitions p JOIN wanted w USING (topic, partition)
          ORDER BY p.topic, p.partition FOR UPDATE OF p
        ), moved AS (
          UPDATE topic_partitions p SET next_offset = p.next_offset + w.records
          FROM held JOIN wanted w USING (topic, partition)
          WHERE p.topic = held.topic AND p.partition = held.partition
            AND (SELECT count(*) FROM held) = (SELECT count(*) FROM wanted)
          RETURNING p.topic, p.partition, p.next_offset - w.records AS first
        ), appended AS (
          INSERT INTO topic_records (topic, partition, "offset", key, value, headers, created_at)
          SELECT i.topic, i.partition,
            m.first + row_number() OVER (PARTITION BY i.topic, i.partition ORDER BY i.ordinal) - 1,
            i.key, i.value, i.headers, clock_timestamp()
          FROM incoming i JOIN moved m USING (topic, partition)
          RETURNING 1
        )
        SELECT count(*)::int4 AS appended, CASE WHEN ${isTold}::boolean THEN ${news.notify}::text END AS told FROM appended`

      const append = Effect.fnUntraced(function* (records: ReadonlyArray<OutgoingRecord>) {
        if (records.length === 0) return
        const { committed, isTold } = yield* news.next
        const [row] = yield* appendRows(records, isTold)
        if (row?.appended !== records.length) {
          const names = [...new Set(records.map(({ topic, partition }) => `${topic}/${partition}`))].join(", ")
          return yield* Effect.die(new Error(`there is no such topic or partition among ${names}`))
        }
        yield* sql.afterCommit(
          Effect.sync(() => {
            committed()
            new Set(records.map(({ topic }) => topic)).forEach(arrivals.signal)
          })
        )
      })

      const joinGroup = ({ topic, group }: ConsumeOptions) => sql<{ partitions: number }>`
        WITH joined AS (
          INSERT INTO topic_groups (group_name, topic, partition)
          SELECT ${group}, topic, partition FROM topic_partitions WHERE topic = ${topic} ORDER BY partition
          ON CONFLICT DO NOTHING
        )
        SELECT count(*)::int4 AS partitions FROM topic_partitions WHERE topic = ${topic}`

      const claimRow = partitionClaim(sql, leaseEnd)

      /** Past what was let go of. Sizes are known without reading the values, so a batch that is cut short costs nothing extra. */
      const recordRows = SqlSchema.findAll({
        Request: Schema.Struct({
          topic: Schema.String,
          partition: Schema.Int,
          next: Schema.Finite,
          maxRecords: Schema.Int,
          maxBytes: Schema.Finite
        }),
        Result: RecordRow,
        execute: ({ topic, partition, next, maxRecords, maxBytes }) => sql`
          SELECT "offset"::float8 AS "offset", key, coalesce(value, 'null') AS value, headers,
            floor(${sql.literal(writableMillis("created_at"))})::float8 AS at
          FROM (
            SELECT "offset", key, value, headers, created_at, sum(octet_length(value)) OVER upto AS bytes,
              row_number() OVER upto AS place
            FROM (SELECT "offset", key, value, headers, created_at FROM topic_records
              WHERE topic = ${topic} AND partition = ${partition} AND "offset" >= ${next}::bigint
              ORDER BY "offset" LIMIT ${maxRecords}::bigint) AS next
            WINDOW upto AS (ORDER BY "offset")
          ) AS record
          WHERE coalesce(bytes, 0) <= ${maxBytes}::bigint OR place = 1
          ORDER BY record."offset"`
      })

      /** Where reading goes on when there is no record left from `next` to before `end`: past those that were let go of. */
      const goneUntil = ({ topic, partition, next, end }: Claim) =>
        sql<{ until: number }>`
          SELECT least(removed_to, ${end}::bigint)::float8 AS until FROM topic_retention
          WHERE topic = ${topic} AND partition = ${partition} AND removed_to > ${next}::bigint`.pipe(
          Effect.map(([row]) => row?.until),
          readerFailure,
          inTime
        )

      /** The claim's row, if the claim still holds. */
      const ofClaim = ({ topic, group, partition, fence }: Claim) =>
        sql`group_name = ${group} AND topic = ${topic} AND partition = ${partition} AND fence = ${fence}::bigint`

      const extend = (claim: Claim) =>
        sql`UPDATE topic_groups SET lease_until = ${leaseEnd} WHERE ${ofClaim(claim)} RETURNING 1 AS held`.pipe(
          Effect.map(stillHeld),
          readerFailure,
          Effect.retry({ schedule: Schedule.spaced(lease / 30) }),
          Effect.timeoutOrElse({
            duration: lease / 2,
            orElse: () => Effect.fail(new ReaderUnavailable({ cause: new Error("a lease could not be extended") }))
          })
        )

      /** Extends the lease until it is lost; fails when it would run out because the database is away. */
      const heartbeat = (claim: Claim) =>
        extend(claim).pipe(Effect.delay(lease / 3), Effect.repeat({ while: (isHeld) => isHeld }))

      // A lease that cannot be released now runs out by itself.
      const release = (claim: Claim) =>
        sql`UPDATE topic_groups SET lease_until = NULL WHERE ${ofClaim(claim)}`.pipe(
          inTime,
          Effect.catchCause((cause) => Effect.logDebug("a partition could not be released", describe(cause)))
        )

      /** Keeps the partition from all readers for a while. If its row cannot be written now, its lease runs out by itself. */
      const restFor = (claim: Claim, millis: number) =>
        sql`
          UPDATE topic_groups SET lease_until = clock_timestamp() + ${millis}::float8 * interval '1 millisecond'
          WHERE (group_name, topic, partition) IN (SELECT group_name, topic, partition FROM topic_groups
            WHERE ${ofClaim(claim)} FOR NO KEY UPDATE SKIP LOCKED)`.pipe(readerFailure, Effect.ignore)

      const settle = (claim: Claim, next: number, outputs: ReadonlyArray<OutgoingRecord>) =>
        Effect.gen(function* () {
          const isHeld = stillHeld(
            yield* sql`
              UPDATE topic_groups SET next_offset = ${next}::bigint, lease_until = NULL WHERE ${ofClaim(claim)}
              RETURNING 1 AS held`
          )
          if (isHeld) yield* append(outputs)
          return isHeld
        }).pipe(sql.withTransaction, readerFailure, inTime)

      const consume: TopicReader["Service"]["consume"] = (consumer, handle) => {
        const { topic, group, maxRecords, maxBytes = maxBatchBytes } = consumer
        const rests = makeRests(consumer)
        const rest = (claim: Claim, cause: Cause.Cause<unknown>) =>
          Effect.flatMap(rests.begin(claim.partition, cause), (millis) => restFor(claim, millis))

        const work = (claim: Claim) =>
          Effect.gen(function* () {
            const { partition, next } = claim
            const rows = yield* recordRows({ topic, partition, next, maxRecords, maxBytes }).pipe(
              Effect.catchTag("SchemaError", Effect.die),
              readerFailure,
              inTime
            )
            const last = rows.at(-1)
            if (last === undefined) {
              const until = yield* goneUntil(claim)
              if (until === undefined) yield* release(claim)
              else yield* settle(claim, until, [])
              return until !== undefined && until < claim.end
            }
            const records = rows.map((row) => Object.assign(row, { topic, partition, headers: headersOf(row.headers) }))
            const outputs = yield* Effect.raceFirst(
              handle({ topic, partition, records }),
              Effect.as(heartbeat(claim), undefined)
            )
            if (outputs !== undefined) yield* refuseTooLarge(outputs)
            if (outputs === undefined || !(yield* settle(claim, last.offset + 1, outputs))) {
              const { fence: _, ...where } = claim
              yield* Effect.logWarning("a batch was discarded: another instance took its partition over", where)
            }
            yield* rests.end(claim.partition)
            return last.offset + 1 < claim.end
          }).pipe(
            Effect.onError((cause) => (isHeldUp(cause) ? Effect.void : release(claim))),
            // What holds up one partition is no failure of the others.
            Effect.catchCause((cause) =>
              isHeldUp(cause) ? Effect.as(rest(claim, cause), false) : Effect.failCause(cause)
            )
          )

        return hearing.pipe(
          Effect.andThen(readerFailure(joinGroup(consumer))),
          Effect.flatMap(([row]) =>
            row === undefined || row.partitions === 0
              ? Effect.die(new Error(`there is no topic ${topic}`))
              : takeTurns({
                  atOnce: options.partitionsAtOnce ?? 2,
                  gather: consumer.gather,
                  arrivals: arrivals.subscribe(topic),
                  claim: claimRow({ topic, group }).pipe(
                    Effect.catchTag("SchemaError", Effect.die),
                    readerFailure,
                    inTime,
                    Effect.map(([row]): Claim | undefined => (row === undefined ? undefined : { topic, group, ...row }))
                  ),
                  work,
                  giveUpWaiting: (empty) =>
                    Effect.suspend(() =>
                      Effect.sleep(
                        rests.isAny()
                          ? Math.min(shortestPause * 2 ** Math.min(empty - 1, 10), longestPause)
                          : longestWaiting
                      )
                    ),
                  onIdle: Effect.andThen(rests.forgetOld, consumer.onIdle ?? Effect.void)
                })
          ),
          Effect.ensuring(rests.forgetAll)
        )
      }

      return Context.make(
        KafkaSink,
        KafkaSink.of({
          send: (records) => Effect.andThen(refuseTooLarge(records), sinkFailure(untilFree(append(records))))
        })
      ).pipe(
        Context.add(
          TopicReader,
          TopicReader.of({
            consume,
            // The oldest at the group's place of each partition: one row of the primary key for each.
            unread: ({ topic, group }) =>
              sql<{ records: number; oldest: number | null }>`
                SELECT coalesce(sum(p.next_offset - coalesce(g.next_offset, 0)), 0)::float8 AS records,
                  min(${sql.literal(millisOf("oldest.created_at"))}) AS oldest
                FROM topic_partitions p
                LEFT JOIN topic_groups g ON g.topic = p.topic AND g.partition = p.partition AND g.group_name = ${group}
                LEFT JOIN LATERAL (SELECT r.created_at FROM topic_records r
                  WHERE r.topic = p.topic AND r.partition = p.partition AND r."offset" >= coalesce(g.next_offset, 0)
                    AND p.next_offset > coalesce(g.next_offset, 0)
                  ORDER BY r."offset" LIMIT 1) oldest ON true
                WHERE p.topic = ${topic}`.pipe(
                Effect.map(([row]) => ({
                  records: row?.records ?? 0,
                  oldestAt: row !== undefined && Number.isFinite(row.oldest) ? (row.oldest ?? undefined) : undefined
                })),
                readerFailure
              ),
            lag: ({ topic, group }) =>
              sql<{ lag: number }>`
                SELECT coalesce(sum(p.next_offset - coalesce(g.next_offset, 0)), 0)::float8 AS lag
                FROM topic_partitions p
                LEFT JOIN topic_groups g ON g.topic = p.topic AND g.partition = p.partition AND g.group_name = ${group}
                WHERE p.topic = ${topic}`.pipe(
                Effect.map(([row]) => row?.lag ?? 0),
                readerFailure
              )
          })
        )
      )
    })
  )
