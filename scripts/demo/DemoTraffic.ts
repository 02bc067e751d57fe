/**
 * What happens to Penstock in a demo, all of it over HTTP as its users would: units registered, sources added, lookups by
 * service providers, events by the adapter.
 */
import { Data, Effect, Random, Schedule } from "effect"
import { HttpClient, HttpClientRequest } from "effect/http"
import { createHash } from "node:crypto"
import { exampleGsrn, examplePerson, exampleUnit } from "../../src/domain/ExampleNumbers.ts"
import { AdapterSimulator } from "../simulators/AdapterSimulator.ts"
import { HilltopSimulator } from "../simulators/HilltopSimulator.ts"
import { type DemoKeys, registeredUnits } from "./DemoSettings.ts"

/** The demo's own service did not do what it was asked. */
export class DemoFailed extends Data.TaggedError("DemoFailed")<{
  readonly message: string
  readonly status?: number
}> {}

const call = Effect.fnUntraced(function* (
  request: HttpClientRequest.HttpClientRequest,
  key: string,
  expected: ReadonlyArray<number>
) {
  const response = yield* HttpClient.execute(HttpClientRequest.bearerToken(request, key)).pipe(
    Effect.mapError(() => new DemoFailed({ message: `${request.method} ${request.url}: no answer` }))
  )
  if (!expected.includes(response.status)) {
    return yield* new DemoFailed({
      message: `${request.method} ${request.url} answered ${response.status}`,
      status: response.status
    })
  }
  return response
}, Effect.scoped)

/** 503 means "in a second": someone else holds what is needed. */
const whenBusy = { while: ({ status }: DemoFailed) => status === 503, schedule: Schedule.spaced("1 second"), times: 20 }

/** Waits until the service says it is ready, at most 15 s; then the failure tells what it said instead. */
export const untilReady = (url: string) =>
  HttpClient.get(`${url}/health/ready`).pipe(
    Effect.flatMap((response) =>
      response.status === 200
        ? Effect.void
        : Effect.flatMap(response.text, (text) => Effect.fail(new DemoFailed({ message: `not ready: ${text}` })))
    ),
    Effect.scoped,
    Effect.catchTag("HttpClientError", () => Effect.fail(new DemoFailed({ message: "the service does not answer" }))),
    Effect.retry(Schedule.upTo(Schedule.spaced("50 millis"), { duration: "15 seconds" }))
  )

type ListedSource = { readonly id: number; readonly council_id: number; readonly paused: boolean }

/**
 * One source for each council: that of an earlier demo on the same data, led to where its server listens now, or a new one. Any
 * other is paused: its server is gone.
 */
export const addSources = Effect.fnUntraced(function* (url: string, keys: DemoKeys) {
  const world = yield* HilltopSimulator
  const listed = yield* call(HttpClientRequest.get(`${url}/hilltop/source`), keys.admin, [200])
  const { items } = (yield* Effect.orDie(listed.json)) as { items: ReadonlyArray<ListedSource> }
  const known = new Map<number, number>()
  for (const { council_id, id, paused } of items) {
    if (!known.has(council_id) && world.sources.some(({ councilId }) => councilId === council_id))
      known.set(council_id, id)
    else if (!paused) yield* call(HttpClientRequest.delete(`${url}/hilltop/source/${id}`), keys.admin, [204])
  }
  for (const { councilId, htsUrl, measurementNames } of world.sources) {
    const body = {
      council_id: councilId,
      hts_url: htsUrl,
      configuration: { measurementNames, requestsPerSecond: 8, maxConcurrent: 4 }
    }
    const id = known.get(councilId)
    const request =
      id === undefined
        ? HttpClientRequest.post(`${url}/hilltop/source`)
        : HttpClientRequest.put(`${url}/hilltop/source/${id}`)
    yield* call(HttpClientRequest.bodyJsonUnsafe(request, body), keys.admin, [200, 201])
  }
})

/** A version 4 UUID in form, and the same in every demo, so that the next one on the same data finds its units. */
const unitId = (index: number): string => {
  if (index === 0) return exampleUnit
  const hex = createHash("sha256").update(`penstock demo unit ${index}`).digest("hex")
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`
}

/** Registers a controllable unit on each of the first accounting points. */
export const registerUnits = Effect.fnUntraced(function* (url: string, keys: DemoKeys) {
  const world = yield* AdapterSimulator
  const register = Effect.fnUntraced(function* (index: number) {
    const { gsrn } = yield* world.point(index)
    const body = {
      accounting_point: gsrn,
      name: `Demo unit ${index + 1}`,
      technical_resources: [{ name: "Heat pump" }]
    }
    const request = HttpClientRequest.put(`${url}/controllable_unit/${unitId(index)}`)
    yield* call(HttpClientRequest.bodyJsonUnsafe(request, body), keys.admin, [200, 201]).pipe(Effect.retry(whenBusy))
  })
  yield* Effect.forEach(
    Array.from({ length: registeredUnits }, (_, i) => i),
    register,
    { concurrency: 8, discard: true }
  )
})

/** Lets the end user of the examples live at the first accounting point. */
export const makeExampleTrue = Effect.gen(function* () {
  const world = yield* AdapterSimulator
  yield* world.change(exampleGsrn, { kind: "move", value: examplePerson })
}).pipe(Effect.orDie)

/** Changes a registered accounting point at the source: a switch of supplier, a move; two a second, for ever. */
export const keepChanging = Effect.gen(function* () {
  const world = yield* AdapterSimulator
  const change = Effect.gen(function* () {
    // The first one stays as the examples have it.
    const { gsrn } = yield* world.point(yield* Random.nextIntBetween(1, registeredUnits - 1))
    yield* world.change(gsrn, { kind: (yield* Random.nextBoolean) ? "switch" : "move" })
  })
  return yield* change.pipe(Effect.ignore, Effect.repeat(Schedule.spaced("500 millis")))
})

/** Looks up an accounting point, now and then for the wrong end user; two a second, for ever. */
export const keepLookingUp = Effect.fnUntraced(function* (url: string, keys: DemoKeys, points: number) {
  const world = yield* AdapterSimulator
  const lookUp = Effect.gen(function* () {
    const { gsrn, lookupEndUser } = yield* world.point(yield* Random.nextIntBetween(0, points - 1))
    if (lookupEndUser === undefined) return
    const wrong = (yield* Random.next) < 0.05
    const body = { accounting_point: gsrn, end_user: wrong ? "987654321" : lookupEndUser }
    const request = HttpClientRequest.post(`${url}/controllable_unit/lookup`)
    yield* call(HttpClientRequest.bodyJsonUnsafe(request, body), keys.lookup, [200, 403, 429, 503])
  })
  return yield* lookUp.pipe(
    Effect.catchTag("DemoFailed", (failure) => Effect.logWarning(failure.message)),
    Effect.repeat(Schedule.spaced("500 millis"))
  )
})
