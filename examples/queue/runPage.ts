/**
 * One run of a task: what it returns is recorded last, so a crash before that repeats the run and loses nothing.
 *
 * `answer` is what the server's budget learns from: after 429, failures and slowness it is asked less.
 */
import { Clock, Console, DateTime, Duration, Effect } from "effect"
import { HttpClient, type HttpClientResponse } from "effect/http"
import { createHash } from "node:crypto"
import { delayAfterFailure, type Settlement } from "penstock/crawl"
import type { ClaimedTask, ServerAnswer } from "penstock/domain"
import type { PageDetails, PageKind } from "./PageQueue.ts"

const nextLook = Duration.minutes(15)

const answerOf = ({ headers, status }: HttpClientResponse.HttpClientResponse, millis: number): ServerAnswer => {
  const asked = Number(headers["retry-after"])
  if (status === 429 || status === 503) return { kind: "busy", coolDown: asked > 0 ? asked : 5 }
  return status >= 500 ? { kind: "failed" } : { kind: "answered", millis }
}

const look = Effect.fnUntraced(function* (url: string) {
  const startedAt = yield* Clock.currentTimeMillis
  const response = yield* HttpClient.get(url)
  const text = yield* response.text
  const answer = answerOf(response, (yield* Clock.currentTimeMillis) - startedAt)
  const isPage = response.status >= 200 && response.status < 300
  return { answer, hash: isPage ? createHash("sha256").update(text).digest("hex") : undefined }
}, Effect.timeout("10 seconds"))

const unanswered: Effect.Success<ReturnType<typeof look>> = { answer: { kind: "failed" }, hash: undefined }

export const runPage = Effect.fnUntraced(function* (task: ClaimedTask<PageKind, PageDetails>) {
  const at = DateTime.formatIso(yield* DateTime.now)
  const { answer, hash } = yield* Effect.orElseSucceed(look(task.fetchUrl), () => unanswered)
  const result = hash === undefined ? "FETCH_ERROR" : hash === task.previousHash ? "UNCHANGED" : "SUCCESS"
  yield* Console.log(`${task.details.title}: ${result}`)
  const delay = hash === undefined ? Duration.millis(yield* delayAfterFailure("FETCH_ERROR", task.attempts)) : nextLook
  const attempts = hash === undefined ? task.attempts + 1 : 0
  const settlement: Settlement = { task, run: { at, result, hash: hash ?? null }, delay, hash, attempts, answer }
  return settlement
})
