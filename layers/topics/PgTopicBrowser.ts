/**
 * Topics kept in PostgreSQL, looked at. All by primary keys.
 */
import { Effect, Layer, Predicate, Schema } from "effect"
import { SqlClient } from "effect/sql"
import { deadLetterTopic } from "../../src/stream/DeadLetter.ts"
import { TopicBrowser } from "../../src/stream/TopicBrowser.ts"
import { ReaderUnavailable } from "../../src/stream/TopicReader.ts"
import { mapSqlFailure } from "../postgres/sqlFailures.ts"
import { rowsAs } from "../postgres/statementArrays.ts"
import { writableMillis } from "../postgres/writableValues.ts"

const plain = mapSqlFailure((cause) => new ReaderUnavailable({ cause }))

const asPositions = rowsAs(
  Schema.Struct({
    partition: Schema.Int,
    next: Schema.Finite,
    end: Schema.Finite,
    oldest_at: Schema.NullOr(Schema.Finite)
  })
)
const asRange = rowsAs(Schema.Struct({ first: Schema.NullOr(Schema.Finite), next: Schema.NullOr(Schema.Finite) }))
const letterFields = {
  partition: Schema.Int,
  offset: Schema.Finite,
  key: Schema.String,
  headers: Schema.Unknown,
  at: Schema.Finite
}
const asLetters = rowsAs(Schema.Struct({ ...letterFields, bytes: Schema.Int }))
const asRecords = rowsAs(Schema.Struct({ ...letterFields, value: Schema.String }))
const columns = `partition, "offset"::float8 AS "offset", key, headers, floor(${writableMillis("created_at")})::float8 AS at`

const headersOf = (value: unknown): Readonly<Record<string, string>> =>
  Predicate.isObject(value)
    ? Object.fromEntries(
        Object.entries(value).filter((entry): entry is [string, string] => Predicate.isString(entry[1]))
      )
    : {}

export const PgTopicBrowser = Layer.effect(
  TopicBrowser,
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    return TopicBrowser.of({
      isKafka: false,

      positions: ({ group, topic }) =>
        asPositions(sql`
          SELECT p.partition, coalesce(g.next_offset, 0)::float8 AS next, p.next_offset::float8 AS end,
            (SELECT ${sql.literal(writableMillis("r.created_at"))} FROM topic_records r
              WHERE r.topic = p.topic AND r.partition = p.partition AND r."offset" >= coalesce(g.next_offset, 0)
                AND p.next_offset > coalesce(g.next_offset, 0)
              ORDER BY r."offset" LIMIT 1) AS oldest_at
          FROM topic_partitions p LEFT JOIN topic_groups g ON g.group_name = ${group} AND g.topic = p.topic AND g.partition = p.partition
          WHERE p.topic = ${topic} ORDER BY p.partition`).pipe(
          Effect.map((rows) =>
            rows.map(({ oldest_at, ...row }) => ({
              ...row,
              behind: Math.max(0, row.end - row.next),
              isExact: true,
              oldestAt: oldest_at ?? undefined
            }))
          ),
          plain
        ),

      letterRange: (topic) =>
        asRange(sql`
          SELECT (SELECT min("offset") FROM topic_records WHERE topic = ${deadLetterTopic(topic)} AND partition = 0)::float8 AS first,
            (SELECT next_offset FROM topic_partitions WHERE topic = ${deadLetterTopic(topic)} AND partition = 0)::float8 AS next`).pipe(
          Effect.map(([row]) => {
            const next = row?.next ?? 0
            return { first: row?.first ?? next, next }
          }),
          plain
        ),

      letters: (topic, from, until) =>
        asLetters(sql`
          SELECT ${sql.literal(columns)}, coalesce(octet_length(value), 0) AS bytes FROM topic_records
          WHERE topic = ${deadLetterTopic(topic)} AND partition = 0 AND "offset" >= ${from}::int8 AND "offset" < ${until}::int8
          ORDER BY topic_records."offset"`).pipe(
          Effect.map((rows) =>
            rows.map(({ bytes, headers, ...row }) => ({
              ...row,
              topic,
              headers: headersOf(headers),
              valueBytes: bytes
            }))
          ),
          plain
        ),

      letter: (topic, offset) =>
        asRecords(sql`
          SELECT ${sql.literal(columns)}, coalesce(value, 'null') AS value FROM topic_records
          WHERE topic = ${deadLetterTopic(topic)} AND partition = 0 AND "offset" = ${offset}::int8`).pipe(
          Effect.map(([row]) => (row === undefined ? undefined : { ...row, topic, headers: headersOf(row.headers) })),
          plain
        )
    })
  })
)
