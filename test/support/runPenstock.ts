/**
 * The real service as a process of its own, on a free port of loopback, until the scope closes.
 */
import { Data, Effect, Schedule } from "effect"
import { HttpClient } from "effect/http"
import { type ChildProcess, spawn } from "node:child_process"
import { resolve } from "node:path"
import { freePort } from "../../layers/embedded/freePort.ts"
import { bareEnvironment } from "./runCommand.ts"

const root = resolve(import.meta.dirname, "../..")

export class NotReady extends Data.TaggedError("NotReady")<{ readonly message: string }> {}

export interface RunningPenstock {
  readonly url: string
  readonly process: ChildProcess
  /** What it has written so far, to both streams. */
  readonly output: () => string
}

const ended = (child: ChildProcess) =>
  Effect.callback<void>((resume) => {
    if (child.exitCode !== null || child.signalCode !== null) return resume(Effect.void)
    child.once("close", () => resume(Effect.void))
  })

/** Starts the service with these settings, on a port of theirs or a free one, and waits until it is ready. It is stopped with SIGTERM. */
export const runPenstock = Effect.fnUntraced(function* (settings: Readonly<Record<string, string>>) {
  const port = settings["HTTP_PORT"] ?? String(yield* freePort)
  const url = `http://127.0.0.1:${port}`
  let output = ""
  const child = yield* Effect.acquireRelease(
    Effect.sync(() => {
      const started = spawn(process.execPath, ["scripts/penstock.ts", "start"], {
        cwd: root,
        env: {
          ...bareEnvironment,
          HTTP_HOST: "127.0.0.1",
          HTTP_PORT: port,
          LOG_FORMAT: "json",
          // How busy a machine is that runs tests says nothing about what a test is about.
          PENSTOCK_PROCESSES: "1",
          ...settings
        }
      })
      for (const stream of [started.stdout, started.stderr]) {
        stream.on("data", (piece: Buffer) => {
          output += piece.toString()
        })
      }
      return started
    }),
    (started) =>
      Effect.andThen(
        Effect.sync(() => started.kill("SIGTERM")),
        ended(started)
      )
  )
  yield* HttpClient.get(`${url}/health/ready`).pipe(
    Effect.flatMap(({ status }) =>
      status === 200 ? Effect.void : Effect.fail(new NotReady({ message: `not ready: ${status}` }))
    ),
    Effect.scoped,
    Effect.retry(Schedule.upTo(Schedule.spaced("50 millis"), { duration: "120 seconds" })),
    Effect.mapError(() => new NotReady({ message: `the service did not get ready:\n${output}` }))
  )
  return { url, process: child, output: () => output } satisfies RunningPenstock
})
