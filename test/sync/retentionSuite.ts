/**
 * What every implementation of `Retention` must do. Run over memory and over PostgreSQL, on the real clock; each test purges
 * what it made and leaves nothing behind that another one would find due.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, type Layer, Scope } from "effect"
import type { Gsrn } from "../../src/domain/Identifiers.ts"
import { AccountingPointStore } from "../../src/sync/AccountingPointStore.ts"
import { LockStore } from "../../src/sync/LockStore.ts"
import { purge, Retention } from "../../src/sync/Retention.ts"
import { gsrnOf } from "../support/gsrns.ts"

type Stores = LockStore | AccountingPointStore | Retention

export interface ArrangeRetention {
  /** Pretends that the accounting point came here, or lost its last living unit, so many days ago. */
  readonly unneededFor: (gsrn: Gsrn, days: number) => Effect.Effect<unknown, unknown>
  readonly lookedUp: (gsrn: Gsrn, daysAgo: number) => Effect.Effect<unknown, unknown>
  readonly makeRelevant: (gsrn: Gsrn, relevant: boolean) => Effect.Effect<unknown, unknown>
  /** A terminated controllable unit and an entry of the audit trail. */
  readonly addPast: (gsrn: Gsrn) => Effect.Effect<unknown, unknown>
  /** Pretends that a sync began so many seconds ago. */
  readonly beginSync: (gsrn: Gsrn, secondsAgo: number) => Effect.Effect<unknown, unknown>
  /** Holds the update lock until the scope closes. */
  readonly holdLock: (gsrn: Gsrn) => Effect.Effect<void, unknown, Scope.Scope>
}

const day = 86_400
export const rule = { notRelevantFor: 30 * day, deadAfter: 600 }
const nothing = { accountingPoints: 0, controllableUnits: 0, lookups: 0, endUsers: 0 }

export const isKept = (gsrn: Gsrn) =>
  LockStore.use((locks) => Effect.map(locks.ticket(gsrn), ({ accountingPointId }) => accountingPointId !== undefined))

/** Keeps the accounting points with an end user each. */
export const keepPoints = (points: ReadonlyArray<readonly [gsrn: Gsrn, endUser: string]>) =>
  Effect.forEach(
    points,
    Effect.fnUntraced(function* ([gsrn, endUser]) {
      const locks = yield* LockStore
      const id = yield* AccountingPointStore.use((store) => store.ensure(gsrn))
      const ticket = yield* locks.ticket(gsrn)
      const insert = [{ value: endUser, from: 0, to: undefined }]
      const change = {
        timelines: { end_user: { remove: [], update: [], insert } },
        location: undefined,
        entityTypes: new Map()
      }
      assert.isTrue(yield* locks.update(id, { version: ticket.version, ticket, change }))
    }),
    { discard: true }
  )

export const retentionSuite = <R, E>(
  name: string,
  layer: Layer.Layer<Stores | R, E>,
  arrange: Effect.Effect<ArrangeRetention, never, R>
) =>
  describe(name, () => {
    it.layer(layer, { excludeTestServices: true })((it) => {
      it.effect("deletes what has had no unit and no lookup for long enough, and who was only there", () =>
        Effect.gen(function* () {
          const { addPast, lookedUp, makeRelevant, unneededFor } = yield* arrange
          const [longAgo, lookedUpLongAgo, young, lookedUpLately, relevant] = [1, 2, 3, 4, 5].map(gsrnOf) as [
            Gsrn,
            Gsrn,
            Gsrn,
            Gsrn,
            Gsrn
          ]
          yield* keepPoints([
            [longAgo, "01019000001"],
            [lookedUpLongAgo, "01019000002"],
            [young, "01019000003"],
            [lookedUpLately, "01019000002"],
            [relevant, "01019000005"]
          ])
          yield* unneededFor(longAgo, 31)
          yield* addPast(longAgo)
          yield* unneededFor(lookedUpLongAgo, 400)
          yield* lookedUp(lookedUpLongAgo, 31)
          yield* unneededFor(young, 29)
          yield* lookedUp(young, 60)
          yield* unneededFor(lookedUpLately, 60)
          yield* lookedUp(lookedUpLately, 29)
          yield* unneededFor(relevant, 60)
          yield* lookedUp(relevant, 60)
          yield* makeRelevant(relevant, true)

          const retention = yield* Retention
          // The second end user is that of another accounting point as well, which stays.
          const expected = { accountingPoints: 2, controllableUnits: 1, lookups: 1, endUsers: 1 }
          assert.deepStrictEqual(yield* retention.count(rule), expected)
          assert.isTrue(yield* isKept(longAgo))
          assert.deepStrictEqual(yield* purge(rule, 1), expected)
          const kept = yield* Effect.forEach([longAgo, lookedUpLongAgo, young, lookedUpLately, relevant], isKept)
          assert.deepStrictEqual(kept, [false, false, true, true, true])
          assert.deepStrictEqual(yield* retention.count(rule), nothing)
          assert.deepStrictEqual(yield* purge(rule, 1_000), nothing)

          yield* makeRelevant(relevant, false)
          assert.deepStrictEqual(yield* purge({ ...rule, notRelevantFor: 0 }, 1_000), {
            ...nothing,
            accountingPoints: 3,
            endUsers: 3
          })
        })
      )

      it.effect("takes the longest unneeded first, and no more than it was told", () =>
        Effect.gen(function* () {
          const { lookedUp, unneededFor } = yield* arrange
          const points = [11, 12, 13].map(gsrnOf) as [Gsrn, Gsrn, Gsrn]
          yield* keepPoints(points.map((gsrn) => [gsrn, "01019000011"] as const))
          yield* unneededFor(points[0], 50)
          yield* unneededFor(points[1], 70)
          yield* lookedUp(points[1], 40)
          yield* unneededFor(points[2], 60)
          const retention = yield* Retention
          const step = { accountingPoints: 1, controllableUnits: 0, lookups: 0 }
          assert.deepStrictEqual(yield* retention.deletePoints(rule, 1), step)
          assert.deepStrictEqual(yield* Effect.forEach(points, isKept), [true, true, false])
          assert.deepStrictEqual(yield* retention.deletePoints(rule, 1), step)
          assert.deepStrictEqual(yield* Effect.forEach(points, isKept), [false, true, false])
          assert.strictEqual(yield* retention.deleteEndUsers(10), 0)
          assert.deepStrictEqual(yield* purge(rule, 10), { ...nothing, accountingPoints: 1, endUsers: 1 })
        })
      )

      it.effect("keeps what is being synced, unless that sync is dead", () =>
        Effect.gen(function* () {
          const { beginSync, unneededFor } = yield* arrange
          const [running, dead] = [gsrnOf(21), gsrnOf(22)]
          yield* keepPoints([
            [running, "01019000021"],
            [dead, "01019000022"]
          ])
          for (const gsrn of [running, dead]) yield* unneededFor(gsrn, 31)
          yield* beginSync(running, 500)
          yield* beginSync(dead, 700)
          assert.deepStrictEqual(yield* purge(rule, 10), { ...nothing, accountingPoints: 1, endUsers: 1 })
          assert.isTrue(yield* isKept(running))
          yield* beginSync(running, 601)
          assert.deepStrictEqual(yield* purge(rule, 10), { ...nothing, accountingPoints: 1, endUsers: 1 })
        })
      )

      it.effect("passes over what somebody is writing, without waiting, and gets it the next time", () =>
        Effect.gen(function* () {
          const { holdLock, unneededFor } = yield* arrange
          const [held, free] = [gsrnOf(31), gsrnOf(32)]
          yield* keepPoints([
            [held, "01019000031"],
            [free, "01019000032"]
          ])
          for (const gsrn of [held, free]) yield* unneededFor(gsrn, 31)
          const scope = yield* Scope.make()
          yield* Scope.provide(holdLock(held), scope)
          const one = { ...nothing, accountingPoints: 1, endUsers: 1 }
          assert.deepStrictEqual(yield* Effect.timeout(purge(rule, 10), "5 seconds"), one)
          assert.isTrue(yield* isKept(held))
          yield* Scope.close(scope, Exit.void)
          assert.deepStrictEqual(yield* purge(rule, 10), one)
        })
      )

      it.effect("keeps one again that came back after it was deleted, as a new one", () =>
        Effect.gen(function* () {
          const { unneededFor } = yield* arrange
          const gsrn = gsrnOf(41)
          yield* keepPoints([[gsrn, "01019000041"]])
          const before = yield* AccountingPointStore.use((store) => store.ensure(gsrn))
          yield* unneededFor(gsrn, 31)
          yield* purge(rule, 10)
          yield* keepPoints([[gsrn, "01019000041"]])
          assert.isAbove(yield* AccountingPointStore.use((store) => store.ensure(gsrn)), before)
          assert.deepStrictEqual(yield* purge(rule, 10), nothing)
          yield* unneededFor(gsrn, 31)
          assert.deepStrictEqual(yield* purge(rule, 10), { ...nothing, accountingPoints: 1, endUsers: 1 })
        })
      )
    })
  })
