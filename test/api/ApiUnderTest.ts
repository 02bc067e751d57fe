/**
 * The whole API as a fetch handler over a real PostgreSQL and an adapter in memory whose answers the tests write.
 *
 * Everything that is logged, at any level, is kept as JSON lines, so that tests can look for what must not be there.
 */
import type { PgClient } from "@effect/sql-pg"
import { assert } from "@effect/vitest"
import { Context, Duration, Effect, Latch, Layer, Logger, Redacted, Ref, References, Schema } from "effect"
import { SqlClient } from "effect/sql"
import { digestApiKeys } from "../../layers/api/DigestApiKeys.ts"
import { fetchHandler } from "../../layers/api/FetchHandler.ts"
import { PgAccountingPointCopies } from "../../layers/lookup/PgAccountingPointCopies.ts"
import { PgAccountingPointStore } from "../../layers/sync/PgAccountingPointStore.ts"
import { PgControllableUnits } from "../../layers/lookup/PgControllableUnits.ts"
import { KnownTopicReadings } from "../../layers/api/KnownTopicReadings.ts"
import { PgDeadLetterMarks } from "../../layers/api/PgDeadLetterMarks.ts"
import { PgOverview } from "../../layers/api/PgOverview.ts"
import { EmbeddedTopics } from "../../layers/topics/EmbeddedTopics.ts"
import { OverviewFeed } from "../../src/api/OverviewFeed.ts"
import { PgDueWork } from "../../layers/api/PgDueWork.ts"
import { PgEventInbox } from "../../layers/sync/PgEventInbox.ts"
import { PgHilltopAdministration } from "../../layers/api/PgHilltopAdministration.ts"
import { PgLockStore } from "../../layers/sync/PgLockStore.ts"
import { PgLookupStore } from "../../layers/lookup/PgLookupStore.ts"
import { PgObservationArchive } from "../../layers/observations/PgObservationArchive.ts"
import { PgObservationViews } from "../../layers/observations/PgObservationViews.ts"
import { PgReadiness } from "../../layers/api/PgReadiness.ts"
import { WebFiles } from "../../layers/page/WebFiles.ts"
import { PgTaskSearch } from "../../layers/api/PgTaskSearch.ts"
import { PgRedirectBudget } from "../../layers/crawl/PgRedirectBudget.ts"
import { PgTrialBudget } from "../../layers/crawl/PgTrialBudget.ts"
import { SaxesXmlScanner } from "../../layers/hilltop/SaxesXmlScanner.ts"
import { UndiciHilltopClient } from "../../layers/hilltop/UndiciHilltopClient.ts"
import { ApiKeys, type GrantedKey, type Scope, scopes } from "../../src/api/ApiKeys.ts"
import { Draining } from "../../src/api/Health.ts"
import { Lookup } from "../../src/lookup/Lookup.ts"
import { Progress } from "../../src/api/Progress.ts"
import { Routes } from "../../src/api/Routes.ts"
import { SharedRefresh } from "../../src/lookup/SharedRefresh.ts"
import { type AccountingPointAnswer, entityTypeOf } from "../../src/domain/AccountingPoint.ts"
import { AdapterWatch } from "../../src/sync/AdapterWatch.ts"
import { Loops } from "../../src/running/Loop.ts"
import { AdapterClient, type AdapterError } from "../../src/sync/AdapterClient.ts"
import { ServicePool } from "../support/stranger.ts"
import type { KafkaSink } from "../../src/stream/KafkaSink.ts"
import type { TopicBrowser } from "../../src/stream/TopicBrowser.ts"
import type { TopicReader } from "../../src/stream/TopicReader.ts"
import { TestDatabase } from "../support/TestDatabase.ts"

/** What the tests decide of the adapter, and what they learn of it. */
export class AdapterSwitches extends Context.Service<
  AdapterSwitches,
  {
    readonly answers: Ref.Ref<ReadonlyMap<string, AccountingPointAnswer>>
    readonly failWith: Ref.Ref<AdapterError | undefined>
    /** How often each GSRN was asked for. */
    readonly calls: Ref.Ref<ReadonlyMap<string, number>>
    /** While it is closed, the adapter does not answer. */
    readonly gate: Latch.Latch
  }
>()("penstock/test/api/AdapterSwitches") {
  static readonly layer = Layer.effect(
    AdapterSwitches,
    Effect.gen(function* () {
      return AdapterSwitches.of({
        answers: yield* Ref.make<ReadonlyMap<string, AccountingPointAnswer>>(new Map()),
        failWith: yield* Ref.make<AdapterError | undefined>(undefined),
        calls: yield* Ref.make<ReadonlyMap<string, number>>(new Map()),
        gate: yield* Latch.make(true)
      })
    })
  )
}

const adapter = Layer.unwrap(
  Effect.gen(function* () {
    const switches = yield* AdapterSwitches
    const counted = Effect.map(AdapterClient, (memory) =>
      AdapterClient.of({
        configured: true,
        fetch: (gsrn, validFrom) =>
          Ref.update(switches.calls, (calls) => new Map(calls).set(gsrn, (calls.get(gsrn) ?? 0) + 1)).pipe(
            Effect.andThen(switches.gate.await),
            Effect.andThen(memory.fetch(gsrn, validFrom))
          )
      })
    )
    return Layer.effect(AdapterClient, counted).pipe(Layer.provide(AdapterClient.layerMemory(switches)))
  })
)

export const progressOptions = {
  interval: Duration.minutes(5),
  within: Duration.hours(24),
  deadAfter: Duration.minutes(10),
  useless: Duration.minutes(10)
}
export const lookupOptions = { maxAge: Duration.hours(2), staleWithin: Duration.hours(24) }

/** One key of each scope, named after it, and a second one of the lookup scope under the same name. */
export const keys: ReadonlyArray<GrantedKey> = [
  ...scopes.map((scope) => ({ scope, name: `${scope}-caller`, key: Redacted.make(`${scope}-key-0001`) })),
  { scope: "lookup", name: "lookup-caller", key: Redacted.make("lookup-key-0002") },
  ...["guesser", "burst", "other"].map((name) => ({
    scope: "lookup" as const,
    name,
    key: Redacted.make(`lookup-key-${name}`)
  }))
]
export const keyOf = (scope: Scope): string => `${scope}-key-0001`

export type TopicServices = KafkaSink | TopicReader | TopicBrowser
const storesWith = <E, R>(topics: Layer.Layer<TopicServices, E, R>) =>
  Layer.mergeAll(
    PgAccountingPointStore,
    PgAccountingPointCopies,
    PgControllableUnits,
    PgDeadLetterMarks,
    PgDueWork,
    PgEventInbox,
    PgHilltopAdministration,
    PgLockStore,
    PgLookupStore,
    PgObservationArchive,
    PgObservationViews,
    PgReadiness,
    PgTaskSearch,
    PgTrialBudget,
    UndiciHilltopClient.pipe(Layer.provide(PgRedirectBudget)),
    SaxesXmlScanner,
    topics,
    KnownTopicReadings,
    PgOverview
  )

const servicesOver = <E, R>(client: Layer.Layer<AdapterClient, E, R>) => servicesWith(client, EmbeddedTopics)
const servicesWith = <E, R, E2, R2>(
  client: Layer.Layer<AdapterClient, E, R>,
  topics: Layer.Layer<TopicServices, E2, R2>
) =>
  Layer.mergeAll(
    Lookup.layer(lookupOptions),
    Progress.layer(progressOptions),
    OverviewFeed.layer(progressOptions)
  ).pipe(
    Layer.provideMerge(SharedRefresh.layer),
    Layer.provideMerge(
      Layer.mergeAll(
        storesWith(topics),
        client,
        WebFiles,
        Loops.layer,
        AdapterWatch.layer,
        Draining.layer,
        Layer.succeed(ApiKeys, digestApiKeys(keys))
      )
    )
  )

/** Everything the routes need, with the adapter in memory. */
export const ApiServices = servicesOver(adapter).pipe(
  Layer.provideMerge(Layer.merge(TestDatabase.layer, AdapterSwitches.layer))
)
/** The same on the pool of the service, with its settings. */
const ApiServicesOnPool = servicesOver(adapter).pipe(
  Layer.provideMerge(Layer.merge(ServicePool, AdapterSwitches.layer))
)
/** The same without an adapter. */
export const ApiServicesAlone = servicesOver(AdapterClient.layerNone).pipe(Layer.provideMerge(TestDatabase.layer))

export interface Asked {
  readonly method?: string
  readonly key?: string | undefined
  readonly headers?: Readonly<Record<string, string>>
  /** Sent as JSON, unless it is text or bytes already. */
  readonly body?: unknown
}

export interface Answered {
  readonly status: number
  readonly headers: Headers
  readonly text: string
  readonly json: unknown
}

/** The API behind its keys, and what it logged. */
export class ApiUnderTest extends Context.Service<
  ApiUnderTest,
  {
    readonly ask: (path: string, asked?: Asked) => Effect.Effect<Answered>
    readonly fetch: (request: Request) => Promise<Response>
    readonly logged: ReadonlyArray<string>
  }
>()("penstock/test/api/ApiUnderTest") {}

const isRaw = (body: unknown): body is string | Uint8Array<ArrayBuffer> | ReadableStream =>
  typeof body === "string" || body instanceof Uint8Array || body instanceof ReadableStream

export const requestOf = (origin: string, path: string, { body, headers, key, method }: Asked): Request =>
  new Request(`${origin}${path}`, {
    method: method ?? (body === undefined ? "GET" : "POST"),
    headers: {
      ...(key === undefined ? {} : { authorization: `Bearer ${key}` }),
      ...(body === undefined ? {} : { "content-type": "application/json" }),
      ...headers
    },
    ...(body === undefined ? {} : { body: isRaw(body) ? body : JSON.stringify(body), duplex: "half" })
  } as RequestInit)

export const answeredBy = (response: Response): Effect.Effect<Answered> =>
  Effect.promise(() => response.text()).pipe(
    Effect.map((text) => ({
      status: response.status,
      headers: response.headers,
      text,
      json: text !== "" && (response.headers.get("content-type") ?? "").includes("json") ? JSON.parse(text) : undefined
    }))
  )

const Problem = Schema.Struct({
  type: Schema.String.check(Schema.isStartingWith("urn:penstock:problem:")),
  title: Schema.NonEmptyString,
  status: Schema.Int,
  detail: Schema.NonEmptyString,
  trace_id: Schema.String.check(Schema.isPattern(/^[0-9a-f]{32}$/))
})

/** The problem in an answer, which must be a whole one of the same status. */
export const problemIn = (answered: Answered): typeof Problem.Type => {
  assert.strictEqual(answered.headers.get("content-type"), "application/problem+json")
  const problem = Schema.decodeUnknownSync(Problem, { onExcessProperty: "error" })(answered.json)
  assert.strictEqual(problem.status, answered.status)
  return problem
}

/** The answer as the API's own schema reads it. */
export const bodyAs =
  <S extends Schema.ConstraintCodec<unknown, unknown, never, never>>(schema: S) =>
  (answered: Answered): S["Type"] =>
    Schema.decodeUnknownSync(Schema.toCodecJson(schema), { onExcessProperty: "error" })(answered.json)

/** Answers as the service does, except that every line at any level is kept. */
const handlerOver = (logged: Array<string>) =>
  Effect.provide(
    fetchHandler(Routes),
    Layer.merge(
      Logger.layer([Logger.map(Logger.formatJson, (line) => void logged.push(line))]),
      Layer.succeed(References.MinimumLogLevel, "Trace")
    )
  )

const api = Layer.effect(
  ApiUnderTest,
  Effect.gen(function* () {
    const logged: Array<string> = []
    const fetch = yield* handlerOver(logged)
    return ApiUnderTest.of({
      fetch,
      logged,
      ask: (path, asked = {}) =>
        Effect.flatMap(
          Effect.promise(() => fetch(requestOf("http://penstock.test", path, asked))),
          answeredBy
        )
    })
  })
)

export const layer = api.pipe(Layer.provideMerge(ApiServices))
export const layerOnPool = api.pipe(Layer.provideMerge(ApiServicesOnPool))
export const layerAlone = api.pipe(Layer.provideMerge(ApiServicesAlone))
/** The same with these topics. */
export const layerWithTopics = <E, R>(topics: Layer.Layer<TopicServices, E, R>) =>
  api.pipe(
    Layer.provideMerge(servicesWith(AdapterClient.layerNone, topics).pipe(Layer.provideMerge(TestDatabase.layer)))
  )
/** The same with this adapter. */
export const layerOver = (client: Layer.Layer<AdapterClient>) => layerOverBoth(client, TestDatabase.layer)
/** The same with this adapter and this database. */
export const layerOverBoth = <A, E, R>(
  client: Layer.Layer<AdapterClient>,
  database: Layer.Layer<A | SqlClient.SqlClient | PgClient.PgClient, E, R>
) => api.pipe(Layer.provideMerge(servicesOver(client).pipe(Layer.provideMerge(database))))

const since2020 = (value: string) => [{ value, from: Date.UTC(2020, 0, 1), to: undefined }]

/** An answer of the adapter: this end user and no other, since 2020. */
export const answerFor = (gsrn: AccountingPointAnswer["gsrn"], endUser: string): AccountingPointAnswer => ({
  gsrn,
  timelines: {
    end_user: since2020(endUser),
    energy_supplier: since2020("7080000000001"),
    metering_grid_area: since2020("42Y1234567890123"),
    energy_direction: since2020("consumption")
  },
  entityTypes: new Map([[endUser, entityTypeOf(endUser)]]),
  location: { latitude: 60.1, longitude: 10.2 }
})

/** Lets the adapter know the accounting point. */
export const adapterKnows = (answer: AccountingPointAnswer) =>
  Effect.flatMap(AdapterSwitches, ({ answers }) =>
    Ref.update(answers, (known) => new Map(known).set(answer.gsrn, answer))
  )

export const adapterFails = (error: AdapterError | undefined) =>
  Effect.flatMap(AdapterSwitches, ({ failWith }) => Ref.set(failWith, error))

export const callsFor = (gsrn: string) =>
  Effect.flatMap(AdapterSwitches, ({ calls }) => Effect.map(Ref.get(calls), (all) => all.get(gsrn) ?? 0))

/** Pretends that the copy was synced so long ago. */
export const ageCopy = (gsrn: string, age: string) =>
  Effect.flatMap(
    SqlClient.SqlClient,
    (sql) => sql`
      UPDATE flex.accounting_point_sync s SET last_synced_at = now() - ${age}::interval FROM flex.accounting_point a
      WHERE a.id = s.accounting_point_id AND a.business_id = ${gsrn}`
  )
