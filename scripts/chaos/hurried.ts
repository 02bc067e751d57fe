/**
 * What takes an hour or a day otherwise takes seconds in the instances of a run, or it would not be met: the packing of years that
 * are over. Settings do not allow it, for good reasons.
 */
import { type Edit, editsOf } from "./sourceEdits.ts"

/** After the end of a year, and after the last news of it. */
export const packAfter = "8 seconds"

export const hurries: ReadonlyArray<Edit> = [
  {
    file: "layers/Settings.ts",
    from: 'config: durationOf(name, "1 hour")',
    to: 'config: durationOf(name, "1 second")'
  },
  {
    file: "layers/observations/PgObservationPacking.ts",
    from: `swept_at < now() - interval '1 day' AS "isDue"`,
    to: `swept_at < now() - interval '1 second' AS "isDue"`
  },
  {
    file: "src/stream/ObservationPacking.ts",
    from: "const betweenRounds = Duration.minutes(1)",
    to: "const betweenRounds = Duration.seconds(2)"
  }
]

export const hurried = editsOf(hurries, "a run in a hurry")
