/**
 * How long this process wanted a processor and had none: what a machine does besides, as far as it tells. The run and the instances have
 * the same lot, so a recovery that took long while this is large says more of the machine than of the service.
 */
import { Effect, FileSystem } from "effect"

/** In milliseconds since it began; 0 where the system does not tell (it is Linux that does). */
export const processorWait = FileSystem.FileSystem.use((fs) => fs.readFileString("/proc/self/schedstat")).pipe(
  Effect.map((text) => Number(text.split(" ")[1] ?? 0) / 1_000_000),
  Effect.orElseSucceed(() => 0)
)
