/**
 * The service as a document says to start it, for the other blocks of the page: at an address of its own, with keys, until the
 * scope closes.
 */
import { Effect, Schedule } from "effect"
import { HttpClient } from "effect/http"
import { freePort } from "../../layers/embedded/freePort.ts"
import { BlockFailed, runBlock, startBlock } from "./runBlock.ts"

export const blockKeys = {
  LOOKUP_KEY: "lookup-key-of-the-documents",
  EVENT_KEY: "event-key-of-the-documents",
  READ_KEY: "read-key-of-the-documents",
  ADMIN_KEY: "admin-key-of-the-documents"
}

const keySettings = {
  LOOKUP_API_KEYS: `documents:${blockKeys.LOOKUP_KEY}`,
  EVENT_API_KEYS: `documents:${blockKeys.EVENT_KEY}`,
  READ_API_KEYS: `documents:${blockKeys.READ_KEY}`,
  ADMIN_API_KEYS: `documents:${blockKeys.ADMIN_KEY}`
}

export const untilReady = (url: string, output: () => string) =>
  HttpClient.get(`${url}/health/ready`).pipe(
    Effect.filterOrFail(({ status }) => status === 200),
    Effect.scoped,
    Effect.retry(Schedule.upTo(Schedule.spaced("50 millis"), { duration: "90 seconds" })),
    Effect.mapError(() => new BlockFailed({ message: `the service did not get ready:\n${output()}` }))
  )

/** Starts it by the block, and waits until it is ready. */
export const serviceBlock = Effect.fnUntraced(function* (
  cwd: string,
  start: string,
  settings: Readonly<Record<string, string>>
) {
  const port = String(yield* freePort)
  const url = `http://127.0.0.1:${port}`
  const env = { HTTP_HOST: "127.0.0.1", HTTP_PORT: port, ...keySettings, ...settings }
  const started = yield* startBlock({ cwd, env }, start)
  yield* untilReady(url, started.output)
  return {
    url,
    output: started.output,
    /** Runs another block of the page beside it, the address and what else is printed replaced by what is here. */
    run: (block: string, replaced: Readonly<Record<string, string>> = {}) =>
      runBlock(
        { cwd, env: { ...env, ...blockKeys } },
        Object.entries({ "http://localhost:8080": url, ...replaced }).reduce(
          (text, [printed, here]) => text.replaceAll(printed, here),
          block
        )
      )
  }
})
