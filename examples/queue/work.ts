/**
 * Looks at pages until it is stopped, each server within its budget over all processes that run this on one database:
 * `DATABASE_URL=… node work.ts https://example.org/a https://example.org/b`. Whatever it holds when it is killed, another takes
 * over within 18 s; when it is stopped it gives back what it holds.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Effect, Layer } from "effect"
import { FetchHttpClient } from "effect/http"
import { ServerBudget, taskWorker } from "penstock/crawl"
import { PgServerBudget } from "penstock/layers/crawl/PgServerBudget"
import { Database } from "penstock/layers/postgres/Database"
import { Loops } from "penstock/running"
import { PageQueue, sourceOf } from "./PageQueue.ts"
import { runPage } from "./runPage.ts"

/** Over all instances: so many requests a second, and so many in flight. */
const limits = { requestsPerSecond: 5, maxConcurrent: 2 }
/** In this one. */
const concurrency = 8

const enqueue = Effect.fnUntraced(function* (pages: ReadonlyArray<string>) {
  const budget = yield* ServerBudget
  const queue = yield* PageQueue
  for (const page of pages) {
    const { origin, pathname } = new URL(page)
    yield* budget.limit(origin, limits)
    const sourceId = yield* sourceOf(origin)
    yield* queue.enqueue([{ sourceId, requestType: "example.page", fetchUrl: page, details: { title: pathname } }])
  }
})

const work = Effect.gen(function* () {
  yield* enqueue(process.argv.slice(2))
  yield* taskWorker({ name: "pages", queue: yield* PageQueue, concurrency, run: runPage })
  return yield* Effect.never
}).pipe(Effect.scoped)

const services = Layer.mergeAll(PageQueue.layer, PgServerBudget, Loops.layer, FetchHttpClient.layer).pipe(
  Layer.provideMerge(Database)
)

NodeRuntime.runMain(Effect.provide(work, services))
