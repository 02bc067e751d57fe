/**
 * `penstock topic tail`: the records of a topic as they are appended, in PostgreSQL or in Kafka (`kafkaTail.ts`).
 *
 * Partitions are merged by the time of their records, each in the order of its offsets. One statement per look reads all
 * of them by primary key; nothing is read ahead of what is shown, and no group's position moves.
 */
import { PgTypes } from "@effect/sql-pg"
import { Console, Effect, Option, Result, Schedule, Schema } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { SqlClient, SqlSchema } from "effect/sql"
import { checkSettings, Settings } from "../../layers/Settings.ts"
import { formatInstant } from "../../src/domain/Instant.ts"
import { type TailOptions, tailKafka } from "./kafkaTail.ts"
import { fit, oneLine, print, printJson, terminalColumns } from "./output.ts"
import { replay } from "./replay.ts"
import { CommandFailed, withDatabase } from "./withDatabase.ts"

const RecordRow = Schema.Struct({
  partition: Schema.Int,
  offset: Schema.Finite,
  key: Schema.String,
  value: Schema.String,
  headers: Schema.Json,
  at: Schema.Finite
})
type RecordRow = typeof RecordRow.Type

/** Where to read on, by partition. */
type Positions = ReadonlyMap<number, number>

const int4Array = (values: ReadonlyArray<number>) => Result.getOrThrow(PgTypes.array(values, PgTypes.OID.int4))
const textArray = (values: ReadonlyArray<string>) => Result.getOrThrow(PgTypes.array(values, PgTypes.OID.text))

const Look = Schema.Struct({
  topic: Schema.String,
  positions: Schema.Array(Schema.Tuple([Schema.Int, Schema.Finite])),
  limit: Schema.Int,
  /** Of a value; a document may have 10 MB. */
  characters: Schema.UndefinedOr(Schema.Int)
})

/**
 * The next records, oldest first. `reached` never goes back within a partition, whatever the clocks of its writers said, so
 * the limit takes the beginning of each. Values are cut after the choice: those not chosen are never unpacked.
 *
 * Over 64 partitions, each by its primary key, a look that finds nothing takes 0.4 ms; the first 200 of 100,000, 50 ms.
 */
const readRecords = Effect.fnUntraced(function* (look: typeof Look.Type) {
  const sql = yield* SqlClient.SqlClient
  const find = SqlSchema.findAll({
    Request: Look,
    Result: RecordRow,
    execute: ({ characters, limit, positions, topic }) => sql`
      WITH chosen AS MATERIALIZED (
        SELECT record.*, max(created_at) OVER (PARTITION BY record.partition ORDER BY record."offset") AS reached
        FROM unnest(${int4Array(positions.map(([partition]) => partition))},
          ${textArray(positions.map(([, position]) => String(position)))}::int8[]) AS wanted (partition, position)
        CROSS JOIN LATERAL (
          SELECT partition, "offset", key, value, headers, created_at FROM topic_records
          WHERE topic = ${topic} AND partition = wanted.partition AND "offset" >= wanted.position
          ORDER BY "offset" LIMIT ${limit}) AS record
        ORDER BY reached, record.partition, record."offset" LIMIT ${limit}
      )
      SELECT partition, "offset"::float8 AS "offset", key, headers, floor(1000 * extract(epoch FROM created_at))::float8 AS at,
        ${characters === undefined ? sql.literal("value") : sql`left(value, ${characters}) AS value`}
      FROM chosen ORDER BY reached, partition, "offset"`
  })
  return yield* find(look).pipe(Effect.catchTag("SchemaError", Effect.die))
})

/** Where the topic ends now, or begins; fails with what there is instead. */
const startingPositions = Effect.fnUntraced(function* (
  topic: string,
  partition: number | undefined,
  from: "earliest" | "latest"
) {
  const sql = yield* SqlClient.SqlClient
  const ends = yield* sql<{ partition: number; next: number }>`
    SELECT partition, next_offset::float8 AS next FROM topic_partitions WHERE topic = ${topic} ORDER BY partition`
  if (ends.length === 0) {
    const rows = yield* sql<{ topic: string }>`SELECT DISTINCT topic FROM topic_partitions ORDER BY topic`
    const there = rows.length === 0 ? "none yet" : rows.map((row) => row.topic).join(", ")
    return yield* new CommandFailed({ message: `There is no topic ${oneLine(topic)}. Embedded topics: ${there}.` })
  }
  const wanted = ends.filter((end) => partition === undefined || end.partition === partition)
  if (wanted.length === 0) {
    return yield* new CommandFailed({ message: `The partitions of ${topic} are 0 to ${ends.length - 1}.` })
  }
  return new Map(wanted.map((end) => [end.partition, from === "latest" ? end.next : 0]))
})

/** What comes next is asked for this often once all that is there was shown. */
const pause = "500 millis"

/** A server that is started again is away for a moment. */
const patient = { schedule: Schedule.spaced(pause), times: 20 }

const follow = Effect.fnUntraced(function* <R>(options: {
  readonly topic: string
  readonly start: Positions
  readonly limit: number
  readonly atOnce: number
  readonly characters: number | undefined
  readonly show: (records: ReadonlyArray<RecordRow>) => Effect.Effect<void, never, R>
}) {
  const { atOnce, characters, show, topic } = options
  const positions = new Map(options.start)
  let left = options.limit
  while (left > 0) {
    const look = { topic, positions: [...positions], limit: Math.min(left, atOnce), characters }
    const records = yield* Effect.retry(readRecords(look), patient)
    yield* show(records)
    for (const { offset, partition } of records) positions.set(partition, offset + 1)
    left -= records.length
    if (records.length === 0) yield* Effect.sleep(pause)
  }
})

const lineOf = (record: RecordRow, columns: number): string => {
  const { at, key, offset, partition, value } = record
  return fit(`${formatInstant(at)} ${`${partition}:${offset}`.padEnd(9)} ${oneLine(key)} ${oneLine(value)}`, columns)
}

const flags = {
  topic: Argument.String("topic").pipe(Argument.withDescription("Name of the topic, such as hilltop_raw")),
  partition: Flag.Int("partition").pipe(Flag.withDescription("Only this partition"), Flag.optional),
  from: Flag.Literals("from", ["earliest", "latest"]).pipe(
    Flag.withDescription("Begin with all that is there, or with what comes next"),
    Flag.withDefault("latest")
  ),
  limit: Flag.Int("limit").pipe(
    Flag.withDescription("Stop after so many records"),
    Flag.filter(
      (limit) => limit >= 1,
      () => "a number of at least 1"
    ),
    Flag.optional
  ),
  json: Flag.Boolean("json").pipe(
    Flag.withDescription("One JSON object per line, with the whole value and the headers"),
    Flag.withDefault(false)
  )
}

const showAs = (topic: string, json: boolean, columns: number) => (records: ReadonlyArray<RecordRow>) =>
  json
    ? printJson(records.map(({ at, ...record }) => ({ topic, ...record, created_at: formatInstant(at) })))
    : print(...records.map((record) => lineOf(record, columns)))

const sayWaiting = ({ from, topic }: TailOptions) =>
  from === "latest" ? Console.error(`Waiting for new records of ${topic}. Ctrl-C ends.`) : Effect.void

const tailEmbedded = Effect.fnUntraced(function* (options: TailOptions) {
  const { from, json, limit, partition, topic } = options
  const start = yield* startingPositions(topic, partition, from)
  const columns = (yield* terminalColumns) ?? 200
  yield* sayWaiting(options)
  yield* follow({
    topic,
    start,
    limit,
    atOnce: json ? 10 : 200,
    characters: json ? undefined : columns,
    show: showAs(topic, json, columns)
  })
})

const tail = Command.make(
  "tail",
  flags,
  Effect.fnUntraced(function* ({ limit, partition, ...rest }) {
    yield* checkSettings
    const brokers = yield* Settings.KAFKA_BROKERS.config
    const options: TailOptions = {
      ...rest,
      partition: Option.getOrUndefined(partition),
      limit: Option.getOrElse(limit, () => Number.POSITIVE_INFINITY)
    }
    if (brokers === undefined) return yield* withDatabase(tailEmbedded(options))
    const columns = (yield* terminalColumns) ?? 200
    yield* tailKafka(brokers, options, sayWaiting(options), showAs(options.topic, options.json, columns))
  })
).pipe(
  Command.withDescription("Show the records of a topic (time, partition:offset, key, value) and follow new ones"),
  Command.withExamples([
    { command: "penstock topic tail observations --from earliest --limit 10", description: "The first ten" },
    {
      command: "penstock topic tail hilltop_raw --json | jq -r '.value | fromjson | .xml'",
      description: "Documents as they come"
    }
  ])
)

export const topic = Command.make("topic").pipe(
  Command.withDescription("Topics: watch one, or rebuild the observations from the documents"),
  Command.withSubcommands([tail, replay])
)
