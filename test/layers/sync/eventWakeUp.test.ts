/**
 * Several instances on one PostgreSQL: of an event only as many hear as there is work for, each has its turn, and one that
 * died costs at most a second.
 */
import { assert, it } from "@effect/vitest"
import { PgClient } from "@effect/sql-pg"
import { ConfigProvider, Context, Duration, Effect, Exit, Layer, Schedule, Scope, Stream } from "effect"
import { SqlClient } from "effect/sql"
import { PgAccountingPointStore } from "../../../layers/sync/PgAccountingPointStore.ts"
import { PgEventInbox } from "../../../layers/sync/PgEventInbox.ts"
import { PgInstances } from "../../../layers/sync/PgInstances.ts"
import { PgLockStore } from "../../../layers/sync/PgLockStore.ts"
import type { Gsrn } from "../../../src/domain/Identifiers.ts"
import { Loops } from "../../../src/running/Loop.ts"
import { AdapterClient } from "../../../src/sync/AdapterClient.ts"
import { EventInbox } from "../../../src/sync/EventInbox.ts"
import { Instances } from "../../../src/sync/Instances.ts"
import { LockStore } from "../../../src/sync/LockStore.ts"
import { SyncScheduler } from "../../../src/sync/SyncScheduler.ts"
import { gsrnOf } from "../../support/gsrns.ts"
import { TestDatabase } from "../../support/TestDatabase.ts"

const concurrency = 2
/** What one instance takes at a time. */
const share = concurrency * 8
const points = share * 4
const gsrns = Array.from({ length: points }, (_, index) => gsrnOf(index))

const adapter = Layer.succeed(
  AdapterClient,
  AdapterClient.of({
    configured: true,
    fetch: (gsrn) =>
      Effect.succeed({
        gsrn,
        timelines: { end_user: [], energy_supplier: [], metering_grid_area: [], energy_direction: [] },
        entityTypes: new Map(),
        location: undefined
      })
  })
)

/** What an instance did, counted where it does it. */
interface Tally {
  heard: number
  claims: number
  claimed: number
}

/** An instance with connections of its own, until the scope closes. */
const startInstance = Effect.fnUntraced(function* (eventPoll: Duration.Duration, batchSize = 0) {
  const { url } = yield* TestDatabase
  const tally: Tally = { heard: 0, claims: 0, claimed: 0 }
  const locks = Layer.effect(
    LockStore,
    Effect.map(LockStore, (live) =>
      LockStore.of({
        ...live,
        claim: (request) =>
          Effect.tap(live.claim(request), (claims) =>
            Effect.sync(() => {
              tally.claims += 1
              tally.claimed += claims.length
            })
          )
      })
    )
  ).pipe(Layer.provide(PgLockStore))
  const inbox = Layer.effect(
    EventInbox,
    Effect.map(EventInbox, (live) =>
      EventInbox.of({ ...live, arrivals: Stream.tap(live.arrivals, () => Effect.sync(() => tally.heard++)) })
    )
  ).pipe(Layer.provide(PgEventInbox))
  const options = {
    interval: Duration.hours(1),
    within: Duration.hours(24),
    deadAfter: Duration.minutes(10),
    // Of none: only events claim anything.
    batchSize,
    eventPoll,
    concurrency,
    lookupRetention: Duration.days(30)
  }
  const layer = SyncScheduler.layerLoops(options).pipe(
    Layer.provide(SyncScheduler.layer(options)),
    Layer.provideMerge(Layer.mergeAll(locks, inbox, PgInstances, PgAccountingPointStore, adapter)),
    Layer.provide(Loops.layer),
    Layer.provide(PgClient.layer({ url, applicationName: "instance" })),
    Layer.provide(ConfigProvider.layer(ConfigProvider.fromEnvRecord({ PENSTOCK_ROLES: "sync" })))
  )
  const context = yield* Layer.build(Layer.fresh(layer))
  return { tally, countSyncing: Context.get(context, Instances).countSyncing }
})

const soon = Schedule.upTo(Schedule.spaced("5 millis"), { duration: "10 seconds" })
const until = <E>(condition: Effect.Effect<boolean, E>, what: string) =>
  condition.pipe(
    Effect.flatMap((met) => (met ? Effect.void : Effect.fail(`not so within 10 s: ${what}`))),
    Effect.retry(soon)
  )

const layer = Layer.provideMerge(PgEventInbox, TestDatabase.layer)

it.layer(layer, { excludeTestServices: true })("several instances", (it) => {
  const keepPoints = Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    yield* sql`INSERT INTO flex.accounting_point (business_id) SELECT unnest(${gsrns}::text[]) ON CONFLICT DO NOTHING`
    yield* sql`UPDATE flex.accounting_point_sync SET relevant = true`
  })
  /** That all know of each other, and have looked for what happened before they came. */
  const start = Effect.fnUntraced(function* (count: number, eventPoll: Duration.Duration) {
    const instances = yield* Effect.forEach(Array.from({ length: count }), () => startInstance(eventPoll))
    for (const { countSyncing, tally } of instances) {
      assert.strictEqual(yield* countSyncing, 3)
      yield* until(
        Effect.sync(() => tally.claims >= 2),
        "an instance has looked twice"
      )
      Object.assign(tally, { heard: 0, claims: 0, claimed: 0 } satisfies Tally)
    }
    return instances.map(({ tally }) => tally)
  })
  let minute = 0
  const tell = Effect.fnUntraced(function* (about: ReadonlyArray<Gsrn>) {
    const occurredAt = Date.UTC(2026, 0, 1, 0, minute++)
    const { recorded } = yield* EventInbox.use((inbox) => inbox.record(about.map((gsrn) => ({ gsrn, occurredAt }))))
    assert.strictEqual(recorded, about.length)
  })
  const allFollowed = Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    yield* until(
      Effect.map(
        sql`SELECT FROM flex.accounting_point_sync WHERE last_event_at > synced_event_at LIMIT 1`,
        (pending) => pending.length === 0
      ),
      "all events are followed"
    )
  })

  it.effect("wake one at a time for single events, each in its turn", () =>
    Effect.gen(function* () {
      yield* keepPoints
      const tallies = yield* start(3, Duration.hours(1))
      const events = 40
      for (let n = 0; n < events; n++) {
        yield* tell([gsrns[n % points]!])
        yield* allFollowed
      }
      for (const tally of tallies) {
        yield* until(
          Effect.sync(() => tally.heard === events),
          "all are told of each"
        )
        assert.isAbove(tally.claimed, 0)
      }
      // One looks for each event, and once more when it has begun, for what came meanwhile: all three would be 160.
      const sum = (of: "claims" | "claimed") => tallies.reduce((total, tally) => total + tally[of], 0)
      assert.isAtMost(sum("claims"), events * 2)
      assert.strictEqual(sum("claimed"), events)
    }).pipe(Effect.scoped)
  )

  it.effect.each([
    [share, 1],
    [share + 1, 2],
    [share * 4, 3]
  ] as const)("wake for %s events: %s of three", ([events, expected]) =>
    Effect.gen(function* () {
      yield* keepPoints
      const tallies = yield* start(3, Duration.hours(1))
      yield* tell(gsrns.slice(0, events))
      yield* allFollowed
      yield* until(
        Effect.sync(() => tallies.filter(({ claims }) => claims > 0).length === expected),
        `${expected} look`
      )
      yield* until(
        Effect.sync(() => tallies.every(({ heard }) => heard === 1)),
        "all are told once"
      )
      assert.strictEqual(tallies.filter(({ claims }) => claims > 0).length, expected)
    }).pipe(Effect.scoped)
  )

  it.effect("follow what was left to one that has just died, within about a second", () =>
    Effect.gen(function* () {
      yield* keepPoints
      const dying = yield* Scope.make()
      yield* Scope.provide(startInstance(Duration.hours(1)), dying)
      // They count the one that dies, and go on to, since they ask again only after ten seconds.
      const tallies = yield* start(2, Duration.seconds(1))
      yield* Scope.close(dying, Exit.void)
      let longest = 0
      for (let n = 0; n < 12; n++) {
        const [took] = yield* Effect.timed(Effect.andThen(tell([gsrns[n]!]), allFollowed))
        longest = Math.max(longest, Duration.toMillis(took))
      }
      assert.isBelow(longest, 2_500)
      assert.isTrue(tallies.every(({ claimed }) => claimed > 0))
    }).pipe(Effect.scoped)
  )

  it.effect("follow what waits for its turn in the round of one of them", () =>
    Effect.gen(function* () {
      yield* keepPoints
      const sql = yield* SqlClient.SqlClient
      const { tally } = yield* startInstance(Duration.hours(1), points)
      yield* until(
        Effect.sync(() => tally.claimed === points),
        "the round has begun, which takes an hour"
      )
      yield* startInstance(Duration.hours(1))
      yield* until(
        Effect.sync(() => tally.heard >= 1),
        "it listens"
      )
      const about = gsrns.slice(10, 50)
      yield* tell(about)
      yield* allFollowed
      // What nobody told of waits on.
      const waiting = yield* sql`SELECT FROM flex.accounting_point_sync WHERE last_sync_start IS NOT NULL`
      assert.isAtLeast(waiting.length, points - about.length - 5)
    }).pipe(Effect.scoped)
  )
})
