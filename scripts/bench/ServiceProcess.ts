/**
 * The service itself as a process, started as an operator starts it: `penstock start` with settings and nothing else.
 *
 * Ready is what `/health/ready` says; the log is not asked.
 */
import { NodeHttpClient } from "@effect/platform-node"
import { Effect, Schedule, Stream } from "effect"
import { HttpClient } from "effect/http"
import { BenchFailed, inRepository, startNode } from "./BenchProcess.ts"
import { freePort } from "../../layers/embedded/freePort.ts"

/** Of `npm start`: V8 would give the young generation 134 MB, most of them to garbage. */
export const serviceFlags = ["--max-semi-space-size=16"]

/** What `npm start` runs. */
export const serviceCommand = [...serviceFlags, inRepository("bin/penstock.js"), "start"]

/** Asked this often, so that a start is known to 10 ms. */
const askEvery = "10 millis"

/** Until the server answers 200; a server that does not listen yet is asked again. */
const untilReady = (origin: string) =>
  HttpClient.get(`${origin}/health/ready`).pipe(
    Effect.flatMap(({ status, text }) =>
      Effect.andThen(text, status === 200 ? Effect.void : Effect.fail("not ready" as const))
    ),
    Effect.retry(Schedule.spaced(askEvery)),
    Effect.timeout("30 seconds"),
    Effect.mapError(() => new BenchFailed({ message: "the service did not become ready within 30 s" })),
    Effect.provide(NodeHttpClient.layerUndici)
  )

/** Starts the service on a free port and waits until it is ready. It ends with the scope. */
export const startService = Effect.fnUntraced(function* (settings: Readonly<Record<string, string>>) {
  const port = yield* freePort
  const handle = yield* startNode(serviceCommand, {
    env: { HTTP_HOST: "127.0.0.1", HTTP_PORT: String(port), LOG_FORMAT: "json", ...settings }
  })
  // A pipe that nobody reads would stop the service as soon as it is full.
  yield* handle.stdout.pipe(Stream.runDrain, Effect.ignore, Effect.forkScoped)
  const origin = `http://127.0.0.1:${port}`
  yield* untilReady(origin)
  return { handle, origin }
})
