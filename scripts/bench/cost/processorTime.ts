/**
 * Processor time of other programs, as Linux tells it: of a server with all the processes that it has started, those that have
 * ended among them. Elsewhere nothing is known of it.
 */
import { Effect, FileSystem } from "effect"
import { SqlClient } from "effect/sql"

/** Of `/proc`: a hundredth of a second, on every machine. */
const tick = 10

interface ProcessTimes {
  readonly pid: number
  readonly parent: number
  /** Milliseconds, its own. */
  readonly own: number
  /** Of children that it has waited for. */
  readonly ofEnded: number
}

const timesIn = (stat: string): ProcessTimes => {
  // The program's name stands in brackets, and may hold anything.
  const fields = stat
    .slice(stat.lastIndexOf(")") + 2)
    .split(" ")
    .map(Number)
  const [user = 0, system = 0, childUser = 0, childSystem = 0] = fields.slice(11, 15)
  return {
    pid: Number.parseInt(stat, 10),
    parent: fields[1] ?? 0,
    own: (user + system) * tick,
    ofEnded: (childUser + childSystem) * tick
  }
}

const allProcesses = Effect.gen(function* () {
  const fs = yield* FileSystem.FileSystem
  const pids = (yield* fs.readDirectory("/proc")).filter((name) => /^\d+$/.test(name))
  const read = (pid: string) =>
    fs.readFileString(`/proc/${pid}/stat`).pipe(
      Effect.map((stat): ReadonlyArray<ProcessTimes> => [timesIn(stat)]),
      Effect.orElseSucceed((): ReadonlyArray<ProcessTimes> => [])
    )
  return (yield* Effect.forEach(pids, read)).flat()
})

/** In milliseconds, of the process and of its children. */
export const processorTime = Effect.fnUntraced(function* (pid: number) {
  const all = yield* allProcesses
  return all
    .filter((one) => one.pid === pid || one.parent === pid)
    .reduce((sum, { ofEnded, own, pid: of }) => sum + own + (of === pid ? ofEnded : 0), 0)
})

/** In milliseconds, of those threads of the process and of its children that have this name and have not ended; names end after 15 letters. */
export const threadTime = Effect.fnUntraced(function* (pid: number, name: RegExp) {
  const fs = yield* FileSystem.FileSystem
  const processes = (yield* allProcesses).filter((one) => one.pid === pid || one.parent === pid)
  // What has ended meanwhile is left out.
  const filesOf = (process: number) =>
    fs.readDirectory(`/proc/${process}/task`).pipe(
      Effect.map((threads) => threads.map((thread) => `/proc/${process}/task/${thread}/stat`)),
      Effect.orElseSucceed((): ReadonlyArray<string> => [])
    )
  const files = (yield* Effect.forEach(processes, (one) => filesOf(one.pid))).flat()
  const stats = yield* Effect.forEach(files, (file) => Effect.orElseSucceed(fs.readFileString(file), () => ""))
  return stats
    .filter((stat) => name.test(stat.slice(stat.indexOf("(") + 1, stat.lastIndexOf(")"))))
    .reduce((sum, stat) => sum + timesIn(stat).own, 0)
})

/** The parent of a process. */
export const parentOf = Effect.fnUntraced(function* (pid: number) {
  return (yield* allProcesses).find((one) => one.pid === pid)?.parent
})

/** The process whose command line has this word in it. */
export const processWith = Effect.fnUntraced(function* (word: string) {
  const fs = yield* FileSystem.FileSystem
  for (const { pid } of yield* allProcesses) {
    const line = yield* fs.readFileString(`/proc/${pid}/cmdline`).pipe(Effect.orElseSucceed(() => ""))
    if (line.split("\0").includes(word)) return pid
  }
  return undefined
})

/** The server of the database, if it runs here. */
export const serverOf = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const [backend] = yield* sql<{ pid: number }>`SELECT pg_backend_pid() AS pid`
  return yield* parentOf(backend?.pid ?? 0).pipe(Effect.orElseSucceed(() => undefined))
})
