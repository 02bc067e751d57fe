/**
 * The real service as a process, over a real database behind a network that can be cut, with simulated neighbours: what the page is
 * shown of, and what its numbers are compared with.
 */
import { NodeHttpClient } from "@effect/platform-node"
import { Context, Effect, Exit, Layer, Redacted, Schedule, Scope } from "effect"
import { HttpClient, HttpClientRequest } from "effect/http"
import { SqlClient } from "effect/sql"
import { randomUUID } from "node:crypto"
import { freePort } from "../../layers/embedded/freePort.ts"
import { AdapterSimulator } from "../../scripts/simulators/AdapterSimulator.ts"
import { HilltopSimulator } from "../../scripts/simulators/HilltopSimulator.ts"
import { type TcpProxy, tcpProxy } from "../../scripts/simulators/TcpProxy.ts"
import { type RunningPenstock, runPenstock } from "../support/runPenstock.ts"
import { TestDatabase } from "../support/TestDatabase.ts"
import { HeadlessBrowser } from "./withBrowser.ts"

export const keys = {
  lookup: "lookup-key-of-the-page-tests",
  read: "read-key-of-the-page-tests-01",
  admin: "admin-key-of-the-page-tests-1"
}
export const allKeys: ReadonlyArray<string> = Object.values(keys)

export interface Settings {
  readonly [name: string]: string
}

export class PageWorld extends Context.Service<
  PageWorld,
  {
    readonly url: string
    /** Between the service and its database. */
    readonly network: TcpProxy
    /** Starts the service at `url` until the scope closes. */
    readonly start: (settings?: Settings) => Effect.Effect<RunningPenstock, unknown, Scope.Scope>
    readonly send: (method: "POST" | "PUT", path: string, body?: unknown) => Effect.Effect<unknown>
  }
>()("penstock/test/web/PageWorld") {
  static readonly layer = Layer.effect(
    PageWorld,
    Effect.gen(function* () {
      const database = new URL(Redacted.value((yield* TestDatabase).url))
      const network = yield* tcpProxy({ host: database.hostname, port: Number(database.port) })
      database.host = `127.0.0.1:${network.port}`
      const adapter = yield* AdapterSimulator
      const client = yield* HttpClient.HttpClient
      const port = yield* freePort
      const url = `http://127.0.0.1:${port}`
      const send = (method: "POST" | "PUT", path: string, body?: unknown) => {
        const request = HttpClientRequest.make(method)(`${url}${path}`).pipe(HttpClientRequest.bearerToken(keys.admin))
        return client.execute(body === undefined ? request : HttpClientRequest.bodyJsonUnsafe(request, body)).pipe(
          Effect.flatMap((response) =>
            response.status < 300 ? response.text : Effect.flatMap(response.text, (text) => Effect.die(text))
          ),
          Effect.map((text): unknown => (text === "" ? undefined : JSON.parse(text))),
          Effect.orDie,
          Effect.scoped
        )
      }
      return PageWorld.of({
        url,
        network,
        send,
        start: (settings = {}) =>
          runPenstock({
            DATABASE_URL: database.href,
            HTTP_PORT: String(port),
            LOOKUP_API_KEYS: `test:${keys.lookup}`,
            READ_API_KEYS: `test:${keys.read}`,
            ADMIN_API_KEYS: `test:${keys.admin}`,
            ADAPTER_URL: adapter.url,
            ADAPTER_API_KEY: adapter.apiKey,
            SYNC_INTERVAL: "1 second",
            CRAWL_ALLOW_PRIVATE: "true",
            ...settings
          }).pipe(Effect.provideService(HttpClient.HttpClient, client))
      })
    })
  ).pipe(Layer.provide(NodeHttpClient.layerUndici))
}

/** The service, started once for all tests of a file. */
export class RunningService extends Context.Service<RunningService, RunningPenstock>()(
  "penstock/test/web/RunningService"
) {
  static readonly layer = Layer.effect(
    RunningService,
    Effect.flatMap(PageWorld, ({ start }) => start())
  )
}

/** What was started, and how to stop it before the scope closes. */
export const stoppable = Effect.fnUntraced(function* <A, E, R>(start: Effect.Effect<A, E, R>) {
  const scope = yield* Effect.acquireRelease(Scope.make(), (made, exit) => Scope.close(made, exit))
  const started = yield* Scope.provide(start, scope)
  return { started, stop: Scope.close(scope, Exit.void) }
})

/** Neighbours whose world stands still, so that numbers do too. */
const neighbours = Layer.merge(
  AdapterSimulator.layer({ points: 40, seed: 3 }),
  HilltopSimulator.layer({ seed: 3, councils: 1, sites: 6, historyDays: 40, speed: 0 })
)

/** Neighbours, database, network and browser; the service is started by the tests. */
export const world = Layer.merge(PageWorld.layer, HeadlessBrowser.layer).pipe(
  Layer.provideMerge(Layer.mergeAll(neighbours, TestDatabase.layer, NodeHttpClient.layerUndici))
)
/** With the service. */
export const runningWorld = RunningService.layer.pipe(Layer.provideMerge(world))

/** Registers a unit on each of so many accounting points, and waits until all are synced. */
export const syncPoints = Effect.fnUntraced(function* (count: number) {
  const { send } = yield* PageWorld
  const adapter = yield* AdapterSimulator
  yield* Effect.forEach(
    Array.from({ length: count }, (_, index) => index),
    Effect.fnUntraced(function* (index) {
      const { gsrn } = yield* adapter.point(index)
      yield* send("PUT", `/controllable_unit/${randomUUID()}`, { accounting_point: gsrn, name: `Unit ${index}` })
    }),
    { concurrency: 4, discard: true }
  )
  yield* until(
    "all accounting points are synced",
    (sql) => sql`SELECT count(*) FILTER (WHERE last_synced_at IS NULL) = 0 AS yes FROM flex.accounting_point_sync`
  )
})

/** Adds the simulated council as a source, and waits until nothing of it is due. */
export const crawlSource = Effect.gen(function* () {
  const { send } = yield* PageWorld
  const [source] = (yield* HilltopSimulator).sources
  if (source === undefined) return yield* Effect.die("no council is simulated")
  yield* send("POST", "/hilltop/source", {
    council_id: source.councilId,
    hts_url: source.htsUrl,
    configuration: { measurementNames: source.measurementNames, requestsPerSecond: 200, maxConcurrent: 8 }
  })
  yield* until(
    "everything is crawled",
    (sql) =>
      sql`SELECT count(*) > 20 AND count(*) FILTER (WHERE next_fetch_at <= now() AND set_aside_at IS NULL) = 0 AS yes FROM hilltop_fetch_tasks`
  )
  yield* until(
    "everything is stored",
    (sql) => sql`
    SELECT count(*) > 0 AND bool_and(g.next_offset = p.next_offset) AS yes
    FROM topic_groups g JOIN topic_partitions p USING (topic, partition)`
  )
})

/** Waits for a condition in the database. */
export const until = (
  what: string,
  statement: (sql: SqlClient.SqlClient) => Effect.Effect<ReadonlyArray<object>, unknown>
) =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    yield* statement(sql).pipe(
      Effect.flatMap(([row]) =>
        (row as { readonly yes?: boolean } | undefined)?.yes === true ? Effect.void : Effect.fail("not yet" as const)
      ),
      Effect.retry(Schedule.upTo(Schedule.spaced("100 millis"), { duration: "45 seconds" })),
      Effect.mapError((cause) => new Error(`it never came to pass that ${what}: ${String(cause)}`)),
      Effect.orDie
    )
  })
