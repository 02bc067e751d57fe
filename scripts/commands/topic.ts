/**
 * `penstock topic tail`: the records of a topic as they are appended, in PostgreSQL or in Kafka (`kafkaTail.ts`).
 *
 * Nothing is read ahead of what is shown, and no group's position moves.
 */
import { Console, Effect, Option, Schedule } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { checkSettings, Settings } from "../../layers/Settings.ts"
import { readEnds, readRecords, readTopics, type TopicRow } from "../../layers/topics/readTopic.ts"
import { formatInstant } from "../../src/domain/Instant.ts"
import type { TailOptions } from "./kafkaTail.ts"
import { Json } from "./globalFlags.ts"
import { fit } from "./fit.ts"
import { oneLine, print, printJson, terminalColumns } from "./output.ts"
import { replay } from "./replay.ts"
import { CommandFailed } from "./told.ts"
import { withDatabase } from "./withDatabase.ts"

/** Where the topic ends now, or begins; fails with what there is instead. */
const startingPositions = Effect.fnUntraced(function* (
  topic: string,
  partition: number | undefined,
  from: "earliest" | "latest"
) {
  const ends = yield* readEnds(topic)
  if (ends.length === 0) {
    const topics = yield* readTopics
    const there = topics.length === 0 ? "none yet" : topics.map(({ topic }) => topic).join(", ")
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
  /** Where to begin, by partition. */
  readonly start: ReadonlyMap<number, number>
  readonly limit: number
  readonly atOnce: number
  readonly characters: number | undefined
  readonly show: (records: ReadonlyArray<TopicRow>) => Effect.Effect<void, never, R>
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

const lineOf = (record: TopicRow, columns: number): string => {
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
  )
}

const showAs = (topic: string, json: boolean, columns: number) => (records: ReadonlyArray<TopicRow>) =>
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
      json: yield* Json,
      partition: Option.getOrUndefined(partition),
      limit: Option.getOrElse(limit, () => Number.POSITIVE_INFINITY)
    }
    if (brokers === undefined) return yield* withDatabase(tailEmbedded(options))
    const columns = (yield* terminalColumns) ?? 200
    const { tailKafka } = yield* Effect.promise(() => import("./kafkaTail.ts"))
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
