/**
 * The command line as its users meet it: `node scripts/penstock.ts …` in a process of its own, with nothing of our own
 * environment but what is given.
 */
import { Effect, type Redacted, Stream } from "effect"
import { ChildProcess } from "effect/process"
import { fileURLToPath } from "node:url"

export type Environment = Readonly<Record<string, string | Redacted.Redacted | undefined>>

export const place = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url))

/** What a process is given of ours. Compiled sources are kept, which halves what a start costs. */
export const bareEnvironment = { PATH: process.env["PATH"], NODE_COMPILE_CACHE: place("node_modules/.cache/node") }

export const startCommand = (env: Environment, ...args: ReadonlyArray<string>) =>
  ChildProcess.make(process.execPath, [place("scripts/penstock.ts"), ...args], { env: { ...bareEnvironment, ...env } })

const text = <E, R>(bytes: Stream.Stream<Uint8Array, E, R>) => Stream.mkString(Stream.decodeText(bytes))

/** Runs it to its end: what it printed, what it said on standard error, its code, and which database it said it uses. */
export const runCommand = Effect.fnUntraced(function* (env: Environment, ...args: ReadonlyArray<string>) {
  const child = yield* startCommand(env, ...args)
  const [out, said, code] = yield* Effect.all([text(child.stdout), text(child.stderr), child.exitCode], {
    concurrency: "unbounded"
  })
  const database = /^Database: (.*)\n/m.exec(said)?.[1]
  return { out, err: said.replace(/^Database: .*\n/m, ""), code: Number(code), database }
}, Effect.scoped)

export const jsonLines = (out: string): ReadonlyArray<Record<string, unknown>> =>
  out
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line))
