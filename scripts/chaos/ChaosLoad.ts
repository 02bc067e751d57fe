/**
 * What happens to the service while its network fails: lookups, reads and events over HTTP, changes at the sources, and
 * an operator who makes requests of the Hilltop queue due.
 *
 * Requests come at their times whether or not earlier ones were answered, as those of strangers do. Events are kept and
 * posted again until they are taken, which is what makes "accepted" mean something.
 */
import { Clock, Effect, Schedule } from "effect"
import { HttpClientRequest } from "effect/http"
import { SqlClient } from "effect/sql"
import { randomUUID } from "node:crypto"
import { AdapterSimulator } from "../simulators/AdapterSimulator.ts"
import type { ChangeOrder } from "../simulators/adapter/ForcedChange.ts"
import { HilltopSimulator } from "../simulators/HilltopSimulator.ts"
import { seeded, type SeedKey } from "../simulators/SeededRandom.ts"
import type { ChaosInstance } from "./ChaosInstance.ts"
import type { ChaosLedger } from "./ChaosLedger.ts"
import type { ChaosNetwork } from "./ChaosNetwork.ts"
import { councilBudget, keys } from "./chaosSettings.ts"
import type { Stalls } from "./Stalls.ts"

/** Accounting points; the first of them never change, so that an answer about them is always 200. */
export const points = 60
export const steady = 4

export interface LoadParts {
  readonly seed: SeedKey
  /** All of them. */
  readonly instances: ReadonlyArray<ChaosInstance>
  readonly ledger: ChaosLedger
  readonly stalls: Stalls
}

/** Looks up the point with this index at an instance, for the end user it has now. */
export const lookUp = Effect.fnUntraced(function* (
  { ledger }: LoadParts,
  { number, url }: ChaosInstance,
  index: number,
  fresh: boolean
) {
  const { gsrn, lookupEndUser = "010180" } = yield* (yield* AdapterSimulator).point(index)
  const request = HttpClientRequest.post(`${url}/controllable_unit/lookup`).pipe(
    HttpClientRequest.bearerToken(keys.lookup),
    HttpClientRequest.bodyJsonUnsafe({ end_user: lookupEndUser, accounting_point: gsrn })
  )
  return yield* ledger.ask(
    "lookup",
    number,
    fresh ? HttpClientRequest.setHeader(request, "cache-control", "no-cache") : request
  )
})

/** Two of three points have a controllable unit. The others are relevant because they are looked up. */
const hasUnit = (index: number) => index % 3 !== 2

/** The units, and with them the copies of their points. */
export const registerUnits = Effect.fnUntraced(function* ({ instances, ledger }: LoadParts) {
  const adapter = yield* AdapterSimulator
  const [{ number, url } = { number: 0, url: "" }] = instances
  for (let index = 0; index < points; index++) {
    if (!hasUnit(index)) continue
    const { gsrn } = yield* adapter.point(index)
    const request = HttpClientRequest.put(`${url}/controllable_unit/${randomUUID()}`).pipe(
      HttpClientRequest.bearerToken(keys.admin),
      HttpClientRequest.bodyJsonUnsafe({ accounting_point: gsrn, name: `Unit ${index}`, technical_resources: [] })
    )
    yield* ledger.ask("register", number, request)
  }
})

export const addHilltopSources = Effect.fnUntraced(function* (network: ChaosNetwork) {
  const sql = yield* SqlClient.SqlClient
  for (const { councilId, htsUrl, measurementNames } of (yield* HilltopSimulator).sources) {
    const configuration = JSON.stringify({ measurementNames, ...councilBudget })
    yield* sql`
      INSERT INTO hilltop_sources (council_id, hts_url, configuration)
      VALUES (${councilId}, ${network.throughProxy(htsUrl)}, ${configuration})`
  }
})

const kindsOfChange: ReadonlyArray<ChangeOrder["kind"]> = [
  "switch",
  "switch",
  "switch",
  "merge",
  "turn",
  "relocate",
  "relocate",
  "move",
  "revert",
  "postpone"
]

interface Change {
  readonly gsrn: string
  readonly occurred_at: string
}

export interface ChaosLoad {
  /** Changes at the adapter, and those of their events that were taken. */
  readonly changes: () => { readonly ordered: number; readonly told: number }
  /** All of it, until interrupted. */
  readonly run: Effect.Effect<never>
  /** Ends when all events there are were taken. */
  readonly told: Effect.Effect<void>
}

export const makeLoad = Effect.fnUntraced(function* (parts: LoadParts) {
  const { instances, ledger, seed } = parts
  const adapter = yield* AdapterSimulator
  const sql = yield* SqlClient.SqlClient
  const random = seeded(seed, "load")
  const answering = instances.filter(({ roles }) => roles.has("api"))
  const untold: Array<Change> = []
  let ordered = 0
  let told = 0

  const change = Effect.gen(function* () {
    const index = random.int(steady, points - 1)
    const { gsrn } = yield* adapter.point(index)
    lastChanged = index
    yield* adapter.change(gsrn, { kind: random.pick(kindsOfChange), event: false })
    ordered++
    untold.push({ gsrn, occurred_at: new Date(yield* Clock.currentTimeMillis).toISOString() })
  }).pipe(Effect.ignore)

  const tell = Effect.gen(function* () {
    const batch = untold.slice(0, 100)
    if (batch.length === 0) return
    const { number, url } = random.pick(answering)
    const request = HttpClientRequest.post(`${url}/accounting_point/event`).pipe(
      HttpClientRequest.bearerToken(keys.event),
      HttpClientRequest.bodyJsonUnsafe(batch)
    )
    const { status } = yield* ledger.ask("event", number, request)
    if (status !== 200) return
    told += batch.length
    untold.splice(0, batch.length)
  })

  // Whoever has heard of a change looks it up: that is when a lookup and a background sync meet.
  let lastChanged = steady
  const lookUpSome = Effect.suspend(() =>
    lookUp(
      parts,
      random.pick(answering),
      random.chance(0.3) ? lastChanged : random.int(0, points - 1),
      random.chance(0.3)
    )
  ).pipe(Effect.provideService(AdapterSimulator, adapter))

  const read = Effect.gen(function* () {
    const { number, url } = random.pick(answering)
    const { gsrn } = yield* adapter.point(3 * random.int(0, points / 3 - 1))
    const path = random.pick([`/accounting_point/${gsrn}`, "/observation/site?limit=5"])
    yield* ledger.ask("read", number, HttpClientRequest.bearerToken(HttpClientRequest.get(url + path), keys.read))
  })

  // Where an instance answers changes with a deploy.
  const health = Effect.suspend(() =>
    Effect.forEach(
      instances.flatMap(({ number, url }) =>
        (["live", "ready", "progress"] as const).map((kind) =>
          ledger.ask(kind, number, HttpClientRequest.get(`${url}/health/${kind}`))
        )
      ),
      (asking) => asking,
      { concurrency: "unbounded", discard: true }
    )
  )

  // As an operator would: the rates of refresh are those of a day.
  const makeDue = sql`
    UPDATE hilltop_fetch_tasks SET next_fetch_at = now() WHERE id IN (
      SELECT id FROM hilltop_fetch_tasks t WHERE set_aside_at IS NULL AND next_fetch_at > now()
        AND NOT EXISTS (SELECT FROM hilltop_fetch_leases l WHERE l.task_id = t.id)
      ORDER BY random() LIMIT 10 FOR UPDATE SKIP LOCKED)`.pipe(Effect.ignore)

  /** At its times, whether earlier ones have ended or not. */
  const every = (millis: number, what: Effect.Effect<unknown>) =>
    Effect.forkChild(what).pipe(Effect.repeat(Schedule.spaced(millis)), Effect.andThen(Effect.never))
  const oneByOne = (millis: number, what: Effect.Effect<unknown>) =>
    what.pipe(Effect.repeat(Schedule.spaced(millis)), Effect.andThen(Effect.never))

  const load: ChaosLoad = {
    changes: () => ({ ordered, told }),
    told: Effect.repeat(tell, { until: () => untold.length === 0, schedule: Schedule.spaced("200 millis") }).pipe(
      Effect.asVoid
    ),
    run: Effect.all(
      [
        oneByOne(400, change),
        oneByOne(250, tell),
        every(125, lookUpSome),
        every(500, read),
        every(500, health),
        oneByOne(2_000, makeDue)
      ],
      { concurrency: "unbounded" }
    ).pipe(Effect.andThen(Effect.never))
  }
  return load
})
