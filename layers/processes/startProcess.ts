/**
 * Another process of this instance: started, heard, and ended with its scope, as the instance itself is ended: SIGTERM, and SIGKILL
 * to one that takes too long.
 *
 * It writes to the same standard output. Ctrl-C interrupts the terminal's whole process group; `detached` puts it into one of its
 * own, so that the first process decides when it ends.
 */
import { Data, Deferred, Effect, Exit, Queue } from "effect"
import { type ChildProcess, fork } from "node:child_process"
import { processesEndWithin } from "../../src/running/stopping.ts"
import type { FromFirst } from "./processMessages.ts"

/** It ended, and nobody had asked it to; the reason is a signal or an exit code. */
export class ProcessEnded extends Data.TaggedError("ProcessEnded")<{ readonly reason: { readonly _tag: string } }> {}

export interface StartedProcess {
  readonly pid: number
  /** Whatever it sends, undecoded. */
  readonly messages: Queue.Dequeue<unknown>
  /** To one that is gone nothing is sent. */
  readonly send: (message: typeof FromFirst.Type) => Effect.Effect<void>
  /** Fails when it has ended. */
  readonly ended: Effect.Effect<never, ProcessEnded>
  readonly kill: Effect.Effect<void>
}

const spawnProcess = (entry: string, args: ReadonlyArray<string>, env: NodeJS.ProcessEnv) =>
  Effect.gen(function* () {
    const messages = yield* Queue.unbounded<unknown>()
    const ended = Deferred.makeUnsafe<never, ProcessEnded>()
    const end = (how: string) => Deferred.doneUnsafe(ended, Exit.fail(new ProcessEnded({ reason: { _tag: how } })))
    const child = fork(entry, args, {
      env,
      detached: true,
      serialization: "advanced",
      stdio: ["ignore", "inherit", "inherit", "ipc"]
    })
    child.on("message", (message) => Queue.offerUnsafe(messages, message))
    child.once("exit", (code, signal) => end(signal ?? `exit code ${code}`))
    child.on("error", (error) => {
      // It says so of messages that did not arrive, too.
      if (child.pid === undefined) end("code" in error ? String(error.code) : error.name)
    })
    return { child, messages, ended: Deferred.await(ended) }
  })

const endOf = ({
  child,
  ended
}: {
  readonly child: ChildProcess
  readonly ended: Effect.Effect<never, ProcessEnded>
}) =>
  Effect.suspend(() => {
    child.kill("SIGTERM")
    return Effect.interruptible(Effect.exit(ended)).pipe(
      Effect.timeoutOrElse({
        duration: processesEndWithin,
        orElse: () =>
          Effect.andThen(
            Effect.logWarning("a process of this instance did not end in time, and is killed"),
            Effect.andThen(
              Effect.sync(() => child.kill("SIGKILL")),
              Effect.exit(ended)
            )
          )
      })
    )
  })

/** Runs the program with these arguments and this environment, on the Node.js of this process and with its flags. */
export const startProcess = Effect.fnUntraced(function* (
  entry: string,
  args: ReadonlyArray<string>,
  env: NodeJS.ProcessEnv
) {
  const started = yield* Effect.acquireRelease(spawnProcess(entry, args, env), endOf)
  const { child, ended, messages } = started
  return {
    pid: child.pid ?? (yield* ended),
    messages,
    ended,
    send: (message) => Effect.sync(() => void (child.connected && child.send(message, () => {}))),
    kill: Effect.sync(() => void child.kill("SIGKILL"))
  } satisfies StartedProcess
})
