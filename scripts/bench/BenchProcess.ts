/**
 * The processes of a benchmark: what is measured and what puts it under load must not share an event loop, nor compiled
 * code that one of them has made slower for the other.
 *
 * All run on the Node that runs the benchmark, with its flags: `node --cpu-prof scripts/bench/bench.ts lookups` profiles
 * each of them. They get a clean environment and end with the scope.
 */
import { Data, Deferred, Effect, FileSystem, Stream } from "effect"
import { ChildProcess } from "effect/process"
import { resolve } from "node:path"
import { fileURLToPath } from "node:url"
import { environment, run } from "../../layers/embedded/SystemProcess.ts"

/** A benchmark cannot go on, or measured something else than it meant to. */
export class BenchFailed extends Data.TaggedError("BenchFailed")<{ readonly message: string }> {}

/** Of the repository. */
export const root = fileURLToPath(new URL("../..", import.meta.url))

/** A path below the repository's root. */
export const inRepository = (path: string): string => resolve(root, path)

interface NodeOptions {
  readonly env?: Readonly<Record<string, string>>
  readonly stdin?: Stream.Stream<Uint8Array>
}

/** Starts Node; the handle's `stdout` has to be read. Ended by SIGTERM with its scope, and killed after 15 s of that. */
export const startNode = (args: ReadonlyArray<string>, { env = {}, stdin }: NodeOptions = {}) =>
  ChildProcess.make(process.execPath, [...process.execArgv, ...args], {
    cwd: root,
    env: { ...environment(), ...env },
    extendEnv: false,
    stdin: stdin ?? "ignore",
    stderr: "inherit",
    forceKillAfter: "15 seconds"
  })

/**
 * Starts Node, waits for a line on its standard output that matches, and answers its first group. The rest of the output
 * is read and forgotten.
 */
export const startUntilLine = Effect.fnUntraced(function* (
  args: ReadonlyArray<string>,
  pattern: RegExp,
  options: NodeOptions = {}
) {
  const handle = yield* startNode(args, options)
  const found = yield* Deferred.make<string, BenchFailed>()
  const failed = new BenchFailed({ message: `${args.join(" ")} ended or was silent before it was ready` })
  yield* handle.stdout.pipe(
    Stream.decodeText(),
    Stream.splitLines,
    Stream.runForEach((line) => {
      const match = pattern.exec(line)
      return match === null ? Effect.void : Deferred.succeed(found, match[1] ?? line)
    }),
    Effect.ensuring(Deferred.fail(found, failed)),
    Effect.ignoreCause,
    Effect.forkScoped
  )
  const line = yield* Deferred.await(found).pipe(
    Effect.timeoutOrElse({ duration: "30 seconds", orElse: () => Effect.fail(failed) })
  )
  return { handle, line }
})

/** What the process has in memory, in megabytes (10⁶ bytes): its own pages and the shared ones it uses. */
export const residentMemory = Effect.fnUntraced(function* (pid: number) {
  const fs = yield* FileSystem.FileSystem
  const kibibytes =
    process.platform === "linux"
      ? /VmRSS:\s*(\d+)/.exec(yield* fs.readFileString(`/proc/${pid}/status`))?.[1]
      : (yield* run("ps", ["-o", "rss=", "-p", String(pid)])).trim()
  return (Number(kibibytes) * 1024) / 1e6
})
