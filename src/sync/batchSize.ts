/** How many accounting points the background sync takes each round, unless SYNC_BATCH_SIZE fixes it. */
import { Duration } from "effect"

/** `ceil(count / ((within / interval) × instances))`: what each instance must take so that all get their turn in time. */
export const batchSize = (
  relevant: number,
  options: { readonly interval: Duration.Duration; readonly within: Duration.Duration },
  instances: number
): number => {
  const rounds = Duration.toMillis(options.within) / Duration.toMillis(options.interval)
  return Math.ceil(relevant / (rounds * Math.max(1, instances)))
}
