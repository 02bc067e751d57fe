/**
 * `penstock purge`: deletes the accounting points that nobody has needed for a stated time, and the end users that nothing
 * refers to any more.
 *
 * How long is always said, never assumed. Works beside a running service, in small steps; shows counts, never whose they are.
 */
import { Duration, Effect, Option, Schema } from "effect"
import { Command, Flag } from "effect/cli"
import { PgRetention } from "../../layers/sync/PgRetention.ts"
import { Settings } from "../../layers/Settings.ts"
import { purge as purgeAll, type Purged, Retention } from "../../src/sync/Retention.ts"
import { answer } from "./output.ts"
import { ProgressBar } from "./ProgressBar.ts"
import { withDatabase } from "./withDatabase.ts"

/** Rows that are locked at a time: a step takes some 130 ms. */
const step = 1_000

/** PostgreSQL counts back from today; before the year 1 it has no use for. */
const longest = Duration.days(365 * 1_000)

/** As settings are read. */
const duration = (text: string) =>
  Schema.decodeOption(Schema.DurationFromString)(text).pipe(
    Option.filter(Duration.between({ minimum: Duration.zero, maximum: longest }))
  )

const flags = {
  notRelevantFor: Flag.String("not-relevant-for").pipe(
    Flag.withDescription("How long ago the last lookup and the last living controllable unit must be"),
    Flag.withMetavar("duration"),
    Flag.filterMap(duration, () => 'a duration, such as "30 days"')
  ),
  dryRun: Flag.Boolean("dry-run").pipe(Flag.withDescription("Only count what would go"), Flag.withDefault(false))
}

const of = (count: number, one: string, many: string) => `${count} ${count === 1 ? one : many}`

const told = ({ accountingPoints, controllableUnits, endUsers, lookups }: Purged): string => {
  const units = of(controllableUnits, "terminated controllable unit", "terminated controllable units")
  const audit = of(lookups, "entry of the audit trail", "entries of the audit trail")
  return `${of(accountingPoints, "accounting point", "accounting points")}, with ${units} and ${audit}, and ${of(endUsers, "end user", "end users")}`
}

export const purge = Command.make(
  "purge",
  flags,
  Effect.fnUntraced(
    function* ({ dryRun, notRelevantFor }) {
      const rule = {
        notRelevantFor: Duration.toSeconds(notRelevantFor),
        deadAfter: Duration.toSeconds(yield* Settings.SYNC_DEAD_AFTER.config)
      }
      const { show } = yield* ProgressBar
      if (dryRun) {
        yield* show({ what: "Counts what would go" })
        const going = yield* Retention.use((retention) => retention.count(rule))
        return yield* answer([`Would delete ${told(going)}.`], { dryRun, ...going })
      }
      yield* show({ what: "Counts what goes" })
      const { accountingPoints: of } = yield* Retention.use((retention) => retention.count(rule))
      const onStep = (done: number) =>
        show(done < of ? { what: "Deletes accounting points", done, of } : { what: "Deletes end users" })
      const purged = yield* purgeAll(rule, step, onStep)
      yield* answer([`Deleted ${told(purged)}.`], { dryRun, ...purged })
    },
    (command) => withDatabase(Effect.provide(command, PgRetention))
  )
).pipe(
  Command.withDescription(
    "Delete accounting points without a living controllable unit or a lookup for a stated time, and end users nothing refers to"
  ),
  Command.withExamples([
    { command: 'penstock purge --not-relevant-for "90 days" --dry-run', description: "What would go" },
    { command: 'penstock purge --not-relevant-for "90 days"', description: "Let it go" }
  ])
)
