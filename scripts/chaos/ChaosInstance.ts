/**
 * The service as a process, with a number, its log in a file. It ends with the scope: asked first, killed after 30 s.
 */
import { Clock, Data, Effect, Schedule } from "effect"
import { HttpClient } from "effect/http"
import { spawn } from "node:child_process"
import { closeSync, openSync } from "node:fs"
import { environment } from "../../layers/embedded/SystemProcess.ts"
import { root } from "../bench/BenchProcess.ts"
import { freePort } from "../../layers/embedded/freePort.ts"

export class InstanceFailed extends Data.TaggedError("InstanceFailed")<{ readonly message: string }> {}

export interface ChaosInstance {
  /** From 1. */
  readonly number: number
  readonly url: string
  readonly log: string
  /** Asks it to end, and says how many milliseconds that took; killed after 30 s. */
  readonly stop: Effect.Effect<number>
}

const killAfter = "30 seconds"

/** Starts it with these settings and waits until it is ready. */
export const startInstance = Effect.fnUntraced(function* (
  number: number,
  log: string,
  settings: Readonly<Record<string, string>>
) {
  const port = yield* freePort
  const url = `http://127.0.0.1:${port}`
  const launch = Effect.sync(() => {
    const file = openSync(log, "a", 0o600)
    const child = spawn(process.execPath, ["--max-semi-space-size=16", "scripts/penstock.ts", "start"], {
      cwd: root,
      stdio: ["ignore", file, file],
      env: { ...environment(), HTTP_HOST: "127.0.0.1", HTTP_PORT: String(port), LOG_FORMAT: "json", ...settings }
    })
    closeSync(file)
    return child
  })
  const stopOf = Effect.fnUntraced(function* (child: ReturnType<typeof spawn>) {
    if (child.exitCode !== null || child.signalCode !== null) return 0
    const from = yield* Clock.currentTimeMillis
    const ended = Effect.callback<void>((resume) => {
      if (child.exitCode !== null || child.signalCode !== null) return resume(Effect.void)
      child.once("exit", () => resume(Effect.void))
    })
    child.kill("SIGTERM")
    yield* Effect.timeoutOrElse(ended, {
      duration: killAfter,
      orElse: () =>
        Effect.andThen(
          Effect.sync(() => child.kill("SIGKILL")),
          ended
        )
    })
    return (yield* Clock.currentTimeMillis) - from
  })
  const child = yield* Effect.acquireRelease(launch, stopOf)
  yield* HttpClient.get(`${url}/health/ready`).pipe(
    Effect.flatMap(({ status }) => (status === 200 ? Effect.void : Effect.fail(status))),
    Effect.scoped,
    Effect.retry(Schedule.upTo(Schedule.spaced("100 millis"), { duration: "60 seconds" })),
    Effect.mapError(() => new InstanceFailed({ message: `instance ${number} did not get ready; see ${log}` }))
  )
  const instance: ChaosInstance = { number, url, log, stop: stopOf(child) }
  return instance
})
