/**
 * `penstock topic replay`: rebuilds the observations from the raw documents, beside a running service, and puts the result
 * in the place of what is there.
 *
 * For when a fault of ours was mended, and what it did to the tables is to go. Stopped half-way it changes nothing; begun
 * again it goes on from there.
 */
import { Duration, Effect, Layer } from "effect"
import { Command, Flag } from "effect/cli"
import { readExpired } from "../../layers/topics/readTopic.ts"
import { PgObservationRebuild } from "../../layers/observations/PgObservationRebuild.ts"
import { SaxesXmlScanner } from "../../layers/hilltop/SaxesXmlScanner.ts"
import { Settings } from "../../layers/Settings.ts"
import { rebuildObservations, type RebuildProgress } from "../../src/stream/rebuildObservations.ts"
import { answer } from "./output.ts"
import { ProgressBar } from "./ProgressBar.ts"
import { CommandFailed } from "./told.ts"
import { withDatabase } from "./withDatabase.ts"

/** What the values were once is in the documents that are gone, and in the tables that a replay would put away. */
const refuseLoss = Effect.fnUntraced(function* (rawTopic: string) {
  if ((yield* Settings.KAFKA_BROKERS.config) !== undefined) return
  const expired = yield* readExpired(rawTopic)
  if (expired === 0) return
  return yield* new CommandFailed({
    message:
      `Nothing was changed: ${expired} documents of ${rawTopic} were let go of by age (HILLTOP_RAW_RETENTION), and what only they said ` +
      "would be lost. With --drop-missing it is."
  })
})

/** With the client of Kafka, which is loaded for this alone. */
const Topics = Layer.unwrap(
  Effect.map(
    Effect.promise(() => import("../../layers/topics/ChosenTopics.ts")),
    ({ ChosenTopics }) => ChosenTopics
  )
)
const Needs = Layer.mergeAll(Topics, PgObservationRebuild, SaxesXmlScanner)

/** Where there is no terminal for a bar, progress is told every so many seconds. */
const everySeconds = 10

const timeLeft = ({ secondsLeft }: RebuildProgress): string | undefined =>
  secondsLeft === undefined ? undefined : `about ${Duration.format(Duration.seconds(Math.ceil(secondsLeft)))} left`

const told = (progress: RebuildProgress): string => {
  const { left, read } = progress
  const share = read + left === 0 ? 100 : Math.floor((100 * read) / (read + left))
  const time = timeLeft(progress)
  return `${read} of ${read + left} documents read (${share} %)${time === undefined ? "" : `, ${time}`}`
}

export const replay = Command.make(
  "replay",
  {
    fresh: Flag.Boolean("fresh").pipe(
      Flag.withDescription("Begin anew instead of going on with a replay that was stopped"),
      Flag.withDefault(false)
    ),
    dropMissing: Flag.Boolean("drop-missing").pipe(
      Flag.withDescription("Let go of what no raw document says any more, such as months and former values"),
      Flag.withDefault(false)
    )
  },
  Effect.fnUntraced(
    function* ({ dropMissing, fresh }) {
      const rawTopic = yield* Settings.HILLTOP_RAW_TOPIC.config
      if (!dropMissing) yield* refuseLoss(rawTopic)
      const { line, show } = yield* ProgressBar
      let seconds = 0
      const { read } = yield* rebuildObservations({
        rawTopic,
        fresh,
        dropMissing,
        onBegin: ({ resumed }) =>
          line(resumed ? "Goes on with the replay that was stopped." : `Reads ${rawTopic} from its beginning.`),
        onProgress: (progress) =>
          process.stderr.isTTY
            ? show({
                what: "Rebuilds the observations",
                done: progress.read,
                of: progress.read + progress.left,
                note: timeLeft(progress)
              })
            : seconds++ % everySeconds === 0
              ? line(told(progress))
              : Effect.void
      })
      yield* answer([`Rebuilt the observations: ${read} documents read.`], { documents: read })
    },
    Effect.catchTags({
      StoreUnavailable: () =>
        Effect.fail(
          new CommandFailed({ message: "PostgreSQL cannot be used; what was rebuilt is kept for the next try." })
        ),
      RebuildUnderWay: () =>
        Effect.fail(new CommandFailed({ message: "Another replay is under way; there can be one at a time." })),
      RebuildLacksMonths: ({ months, series }) =>
        Effect.fail(
          new CommandFailed({
            message:
              `Nothing was changed: no raw document leads to ${months} months of ${series} series that are there now. They came ` +
              "from another topic, or their documents are no longer kept. With --drop-missing those months go."
          })
        ),
      RebuildOvertaken: () =>
        Effect.fail(
          new CommandFailed({
            message:
              "Documents came faster than they could be read again; what was rebuilt is kept. Try again when less comes."
          })
        ),
      ReaderUnavailable: () =>
        Effect.fail(
          new CommandFailed({ message: "The topic cannot be read; what was rebuilt is kept for the next try." })
        )
    }),
    (command) => withDatabase(Effect.provide(command, Needs))
  )
).pipe(
  Command.withDescription(
    "Rebuild the observations from the raw documents beside a running service, and put them in the place of the old"
  ),
  Command.withExamples([
    { command: "penstock topic replay", description: "Ctrl-C stops it; once more, and it goes on" }
  ])
)
