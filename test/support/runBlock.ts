/**
 * A block of shell commands of a document, run as a reader would who pastes it: by bash, in a directory, with the settings that
 * the document's text takes for granted, and nothing else of our own environment.
 */
import { Data, Effect, Stream } from "effect"
import { ChildProcess } from "effect/process"
import { spawn } from "node:child_process"
import { dirname } from "node:path"
import { bareEnvironment } from "./runCommand.ts"

export interface BlockPlace {
  readonly cwd: string
  readonly env: Readonly<Record<string, string>>
  /** `npx penstock` is npm's own, and not the quicker one that stands in for it (bin/npx). */
  readonly isNpmsNpx?: boolean
}

/** A block that did not do what its document says. */
export class BlockFailed extends Data.TaggedError("BlockFailed")<{ readonly message: string }> {}

const ours = {
  ...bareEnvironment,
  // `node` is the one that runs the tests.
  PATH: `${dirname(process.execPath)}:${process.env["PATH"]}`,
  HOME: process.env["HOME"],
  npm_config_update_notifier: "false"
}

const environmentOf = ({ env, isNpmsNpx }: BlockPlace) => {
  const all = { ...ours, ...env }
  return isNpmsNpx === true ? all : { ...all, PATH: `${import.meta.dirname}/bin:${all.PATH}` }
}

/** The first line that fails ends it. Where its input is a socket, bash would read somebody's start files. */
const asBash = (text: string) => ["--norc", "--noprofile", "-euo", "pipefail", "-c", text]

const text = <E, R>(bytes: Stream.Stream<Uint8Array, E, R>) => Stream.mkString(Stream.decodeText(bytes))

/** Runs it to its end, with what it printed; fails with all that it said where a command of it does. */
export const runBlock = Effect.fnUntraced(function* (place: BlockPlace, block: string) {
  const env = environmentOf(place)
  const child = yield* ChildProcess.make("bash", asBash(block), { cwd: place.cwd, env, stdin: "ignore" })
  const [out, err, code] = yield* Effect.all([text(child.stdout), text(child.stderr), child.exitCode], {
    concurrency: "unbounded"
  })
  if (Number(code) !== 0) return yield* new BlockFailed({ message: `${block}\nended with ${code}:\n${err}\n${out}` })
  return { out, err }
}, Effect.scoped)

/** Starts what goes on until it is told to stop, as Ctrl-C does, at the end of the scope. */
export const startBlock = (place: BlockPlace, block: string) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      let output = ""
      // A process group of its own, as a shell gives one to each line: Ctrl-C reaches all of it.
      const child = spawn("bash", asBash(block), {
        cwd: place.cwd,
        env: environmentOf(place),
        detached: true,
        stdio: ["ignore", "pipe", "pipe"]
      })
      for (const stream of [child.stdout, child.stderr]) {
        stream.on("data", (piece: Buffer) => {
          output += piece.toString()
        })
      }
      const ended = new Promise<number | null>((resolve) => {
        child.once("close", (code) => resolve(code))
      })
      return { output: () => output, ended, pid: child.pid ?? 0, isOver: () => child.exitCode !== null }
    }),
    ({ ended, isOver, pid }) =>
      Effect.promise(() => {
        if (!isOver()) process.kill(-pid, "SIGINT")
        return ended
      })
  )

/** The variables that a block sets before its command: `A=1 B=2 npm start`. */
export const settingsOfBlock = (block: string): Readonly<Record<string, string>> =>
  Object.fromEntries([...block.matchAll(/(?<=^|\s)([A-Z_]+)=(\S+)/g)].map(([, name = "", value = ""]) => [name, value]))
