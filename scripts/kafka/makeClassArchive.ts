/**
 * Makes the archive of classes (classArchive.ts) where there is none: a node starts in a directory of its own, is told to stop, and
 * Java writes down what it has loaded. That takes a dozen seconds, once.
 *
 * Whoever starts several nodes has it made before. It becomes visible in one step, by a rename, like the jars.
 */
import { Effect, FileSystem, Path } from "effect"
import { freePort } from "../../layers/embedded/freePort.ts"
import { classArchive } from "./classArchive.ts"
import { hasDocker } from "./dockerKafka.ts"
import { findJava, startOnJava } from "./javaKafka.ts"
import { kafkaJars } from "./kafkaJars.ts"

/** Where it cannot be made, nodes start without: nothing fails, and the next one who asks tries again. */
export const makeClassArchive = Effect.fnUntraced(
  function* (cache: string) {
    const fs = yield* FileSystem.FileSystem
    const path = yield* Path.Path
    if (yield* hasDocker) return
    const { said } = yield* findJava
    const jars = yield* kafkaJars(path.resolve(cache))
    const archive = yield* classArchive(said, jars)
    if (yield* fs.exists(archive)) return
    const directory = yield* fs.makeTempDirectoryScoped({ directory: path.resolve(cache), prefix: "archive-" })
    const made = `${directory}/classes.jsa`
    // Asked to stop, and gone when the scope ends: only then Java writes.
    yield* Effect.scoped(
      startOnJava({
        id: 1,
        directory: `${directory}/node`,
        cache: path.resolve(cache),
        port: yield* freePort,
        archiveTo: made
      })
    )
    yield* fs.rename(made, archive)
  },
  Effect.scoped,
  (making) => Effect.ignore(making)
)
