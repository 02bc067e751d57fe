/**
 * A PostgreSQL of the run's own, to be stopped, killed and starved; its keeper (EmbeddedPostgres.ts) starts it again.
 *
 * Where it may mount (as root, on Linux) its data lie in a file system of their own in memory, which is full when it is made as
 * small as what is in it.
 */
import { Effect, FileSystem, type Redacted, Schedule } from "effect"
import { startEmbeddedPostgres } from "../../layers/embedded/EmbeddedPostgres.ts"
import { run } from "../../layers/embedded/SystemProcess.ts"

export interface ChaosDisk {
  readonly fill: Effect.Effect<void>
  readonly free: Effect.Effect<void>
}

export interface ChaosPostgres {
  readonly url: Redacted.Redacted
  /** None where nothing may be mounted. */
  readonly disk: ChaosDisk | undefined
  /** Sends the first process a signal. */
  readonly signal: (signal: NodeJS.Signals) => Effect.Effect<void>
  /** The first process and all that it started, as they are now; the first is the first. */
  readonly processes: Effect.Effect<ReadonlyArray<number>>
  /** Done when it is another server than before, which accepts connections. */
  readonly untilAnother: (before: number) => Effect.Effect<void>
}

/** Some hundred megabytes of log files, and as much again. */
const diskSize = "1500m"

const mountDisk = Effect.fnUntraced(function* (directory: string) {
  const fs = yield* FileSystem.FileSystem
  yield* fs.makeDirectory(directory, { recursive: true })
  yield* Effect.acquireRelease(
    run("mount", ["-t", "tmpfs", "-o", `size=${diskSize},mode=711`, "penstock-chaos", directory]),
    () => Effect.ignore(run("umount", ["--lazy", directory]))
  )
  const resize = (size: string) => run("mount", ["-o", `remount,size=${size}`, directory])
  // In pages of 4 kB, of which some more may be in use by the time that it takes effect.
  const used = Effect.map(run("stat", ["--file-system", "--format=%b %f %S", directory]), (said) => {
    const [blocks = 0, free = 0, size = 4_096] = said.trim().split(" ").map(Number)
    return (blocks - free) * size
  })
  const fillOnce = Effect.flatMap(used, (bytes) => resize(String(bytes + 65_536)))
  return {
    fill: Effect.ignore(Effect.retry(fillOnce, Schedule.upTo(Schedule.spaced("10 millis"), { times: 20 }))),
    free: Effect.orDie(resize(diskSize))
  } satisfies ChaosDisk
})

/** Empty; gone with the scope. */
export const startChaosPostgres = Effect.fnUntraced(function* (home: string) {
  const fs = yield* FileSystem.FileSystem
  const disk = yield* Effect.option(mountDisk(`${home}/disk`))
  const { directory, url } = yield* startEmbeddedPostgres({ directory: `${home}/disk/postgres`, durable: true })
  const lockFile = Effect.orElseSucceed(fs.readFileString(`${directory}/postmaster.pid`), () => "").pipe(
    Effect.map((text) => text.split("\n").map((line) => line.trim()))
  )
  const first = Effect.map(lockFile, ([pid]) => Number(pid))
  const send = (pid: number, signal: NodeJS.Signals) => Effect.ignore(Effect.try(() => process.kill(pid, signal)))
  const postgres: ChaosPostgres = {
    url,
    disk: disk._tag === "Some" ? disk.value : undefined,
    signal: (signal) => Effect.flatMap(first, (pid) => (pid > 1 ? send(pid, signal) : Effect.void)),
    processes: Effect.gen(function* () {
      const pid = yield* first
      const children = yield* Effect.orElseSucceed(fs.readFileString(`/proc/${pid}/task/${pid}/children`), () => "")
      return [pid, ...children.trim().split(" ").map(Number)].filter((one) => one > 1)
    }),
    untilAnother: (before) =>
      lockFile.pipe(
        Effect.repeat({
          until: ([pid, , , , , , , status]) => Number(pid) > 1 && Number(pid) !== before && status === "ready",
          schedule: Schedule.spaced("20 millis")
        }),
        Effect.timeoutOption("60 seconds"),
        Effect.asVoid
      )
  }
  return postgres
})
