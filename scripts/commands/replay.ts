/**
 * `penstock topic replay`: rebuilds the observations from the raw documents, beside a running service, and puts the result
 * in the place of what is there.
 *
 * For when a fault of ours was mended, and what it did to the tables is to go. Stopped half-way it changes nothing; begun
 * again it goes on from there.
 */
import { Console, Duration, Effect, Layer } from "effect"
import { Command, Flag } from "effect/cli"
import { ChosenTopics } from "../../layers/topics/ChosenTopics.ts"
import { PgObservationRebuild } from "../../layers/observations/PgObservationRebuild.ts"
import { SaxesXmlScanner } from "../../layers/hilltop/SaxesXmlScanner.ts"
import { Settings } from "../../layers/Settings.ts"
import { rebuildObservations, type RebuildProgress } from "../../src/stream/rebuildObservations.ts"
import { print } from "./output.ts"
import { CommandFailed, withDatabase } from "./withDatabase.ts"

const Needs = Layer.mergeAll(ChosenTopics, PgObservationRebuild, SaxesXmlScanner)

/** Progress is told every so many seconds. */
const everySeconds = 10

const told = ({ left, read, secondsLeft }: RebuildProgress): string => {
  const share = read + left === 0 ? 100 : Math.floor((100 * read) / (read + left))
  const time =
    secondsLeft === undefined ? "" : `, about ${Duration.format(Duration.seconds(Math.ceil(secondsLeft)))} left`
  return `${read} of ${read + left} documents read (${share} %)${time}`
}

export const replay = Command.make(
  "replay",
  {
    fresh: Flag.Boolean("fresh").pipe(
      Flag.withDescription("Begin anew instead of going on with a replay that was stopped"),
      Flag.withDefault(false)
    ),
    dropMissing: Flag.Boolean("drop-missing").pipe(
      Flag.withDescription("Let go of the months that no raw document leads to any more"),
      Flag.withDefault(false)
    )
  },
  Effect.fnUntraced(
    function* ({ dropMissing, fresh }) {
      const rawTopic = yield* Settings.HILLTOP_RAW_TOPIC.config
      let seconds = 0
      const { read } = yield* rebuildObservations({
        rawTopic,
        fresh,
        dropMissing,
        onBegin: ({ resumed }) =>
          Console.error(
            resumed ? "Goes on with the replay that was stopped." : `Reads ${rawTopic} from its beginning.`
          ),
        onProgress: (progress) => (seconds++ % everySeconds === 0 ? Console.error(told(progress)) : Effect.void)
      })
      yield* print(`Rebuilt the observations: ${read} documents read.`)
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
