/**
 * What every implementation of `LockStore`, `AccountingPointStore` and `EventInbox` must do. Run over memory and over
 * PostgreSQL, on the real clock; each test uses accounting points of its own.
 */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Duration, Effect, Fiber, type Layer } from "effect"
import type { Gsrn } from "../../src/domain/Identifiers.ts"
import { AccountingPointStore } from "../../src/sync/AccountingPointStore.ts"
import { EventInbox } from "../../src/sync/EventInbox.ts"
import { LockStore } from "../../src/sync/LockStore.ts"
import { gsrnOf } from "../support/gsrns.ts"

type Stores = LockStore | AccountingPointStore | EventInbox

export interface Arrange {
  /** Makes the accounting point one that the background sync keeps fresh. */
  readonly makeRelevant: (gsrn: Gsrn) => Effect.Effect<void, unknown, never>
}

const day = 86_400_000
const supplierA = "7080005010000"
const supplierB = "7080005020009"
export const accountingPointsSuite = <R, E>(
  name: string,
  layer: Layer.Layer<Stores | R, E>,
  arrange: Effect.Effect<Arrange, never, R>
) =>
  describe(name, () => {
    it.layer(layer, { excludeTestServices: true })((it) => {
      const fresh = Effect.fnUntraced(function* (index: number) {
        const gsrn = gsrnOf(index)
        const store = yield* AccountingPointStore
        return { gsrn, id: yield* store.ensure(gsrn), store, locks: yield* LockStore }
      })

      it.effect("gives an accounting point the same id each time, with a sync row at version 0", () =>
        Effect.gen(function* () {
          const { gsrn, id, locks, store } = yield* fresh(1)
          assert.strictEqual(yield* store.ensure(gsrn), id)
          const ticket = yield* locks.ticket(gsrn)
          assert.strictEqual(ticket.accountingPointId, id)
          assert.strictEqual(ticket.version, 0)
          assert.isUndefined(ticket.seenEventAt)
        })
      )

      it.effect("gives a ticket for an accounting point that is not kept", () =>
        Effect.gen(function* () {
          const locks = yield* LockStore
          assert.isUndefined((yield* locks.ticket(gsrnOf(2))).accountingPointId)
        })
      )

      it.effect("reads back what was written, whatever the order of rows, and keeps identities", () =>
        Effect.gen(function* () {
          const { gsrn, id, locks, store } = yield* fresh(3)
          const write = (change: Parameters<typeof store.write>[1]["timelines"]) =>
            locks.withUpdateLock(id, () =>
              store.write(id, { timelines: change, location: undefined, entityTypes: new Map() })
            )
          const read = locks.withUpdateLock(id, () => store.read(id))
          yield* write({
            energy_supplier: {
              remove: [],
              update: [],
              insert: [
                { value: supplierA, from: 0, to: 10 * day },
                { value: supplierB, from: 10 * day, to: undefined }
              ]
            },
            energy_direction: {
              remove: [],
              update: [],
              insert: [
                { value: "production", from: 0, to: undefined },
                { value: "consumption", from: 0, to: undefined }
              ]
            }
          })
          const before = yield* read
          assert.deepStrictEqual(
            before.timelines.energy_supplier.map(({ from, to, value }) => ({ value, from, to })),
            [
              { value: supplierA, from: 0, to: 10 * day },
              { value: supplierB, from: 10 * day, to: undefined }
            ]
          )
          assert.strictEqual(before.timelines.energy_direction.length, 2)
          const [a, b] = before.timelines.energy_supplier
          // A reverted switch: the first row grows over the one that goes, in an order that overlaps on the way.
          yield* write({ energy_supplier: { remove: [b!.id], update: [{ ...a!, to: undefined }], insert: [] } })
          const after = yield* read
          assert.deepStrictEqual(after.timelines.energy_supplier, [{ ...a!, to: undefined }])
          // A postponed switch: rows move over each other.
          yield* write({
            energy_supplier: {
              remove: [],
              update: [{ ...a!, to: 20 * day }],
              insert: [{ value: supplierB, from: 20 * day, to: undefined }]
            }
          })
          assert.strictEqual((yield* read).timelines.energy_supplier.length, 2)
          assert.strictEqual((yield* locks.ticket(gsrn)).version, 0)
        })
      )

      it.effect("keeps, moves and clears a location", () =>
        Effect.gen(function* () {
          const { id, locks, store } = yield* fresh(4)
          const set = (location: { latitude: number; longitude: number } | null | undefined) =>
            locks.withUpdateLock(id, () =>
              Effect.andThen(store.write(id, { timelines: {}, location, entityTypes: new Map() }), store.read(id))
            )
          assert.deepStrictEqual((yield* set({ latitude: 59.9, longitude: 10.7 })).location, {
            latitude: 59.9,
            longitude: 10.7
          })
          assert.isDefined((yield* set(undefined)).location)
          assert.isUndefined((yield* set(null)).location)
        })
      )

      it.effect("undoes what a failing program wrote under the update lock", () =>
        Effect.gen(function* () {
          const { id, locks, store } = yield* fresh(5)
          const insert = { remove: [], update: [], insert: [{ value: supplierA, from: 0, to: undefined }] }
          const error = yield* locks
            .withUpdateLock(id, () =>
              Effect.andThen(
                store.write(id, {
                  timelines: { energy_supplier: insert },
                  location: undefined,
                  entityTypes: new Map()
                }),
                Effect.fail("no")
              )
            )
            .pipe(Effect.flip)
          assert.strictEqual(error, "no")
          assert.deepStrictEqual((yield* locks.withUpdateLock(id, () => store.read(id))).timelines.energy_supplier, [])
        })
      )

      it.effect("fails with LockTimeout after a second when another holds the update lock", () =>
        Effect.gen(function* () {
          const { id, locks } = yield* fresh(6)
          const held = yield* Deferred.make<void>()
          const done = yield* Deferred.make<void>()
          const holder = yield* locks
            .withUpdateLock(id, () => Effect.andThen(Deferred.succeed(held, undefined), Deferred.await(done)))
            .pipe(Effect.forkChild)
          yield* Deferred.await(held)
          const [took, error] = yield* Effect.timed(Effect.flip(locks.withUpdateLock(id, () => Effect.void)))
          assert.strictEqual(error._tag, "LockTimeout")
          assert.isAtLeast(Duration.toMillis(took), 900)
          assert.isBelow(Duration.toMillis(took), 3_000)
          yield* Deferred.succeed(done, undefined)
          yield* Fiber.join(holder)
          yield* locks.withUpdateLock(id, () => Effect.void)
        })
      )

      it.effect("claims relevant rows once, and again when released, failed and due, or finalised", () =>
        Effect.gen(function* () {
          const { makeRelevant } = yield* arrange
          const { gsrn, id, locks } = yield* fresh(7)
          const claimMine = Effect.map(locks.claim({ limit: 100, lanes: "all", deadAfter: 60 }), (claims) =>
            claims.filter((claim) => claim.gsrn === gsrn)
          )
          assert.deepStrictEqual(yield* claimMine, [])
          yield* makeRelevant(gsrn)
          const [claim] = yield* claimMine
          assert.strictEqual(claim?.accountingPointId, id)
          assert.deepStrictEqual(yield* claimMine, [])
          yield* locks.release([claim!])
          const [again] = yield* claimMine
          yield* locks.fail(again!, "unavailable", 3600)
          assert.deepStrictEqual(yield* claimMine, [])
          yield* locks.withUpdateLock(id, () => locks.finalise(id, again!))
          const [third] = yield* claimMine
          assert.strictEqual(third?.version, 1)
          assert.strictEqual(third?.failures, 0)
          yield* locks.release([third!])
        })
      )

      it.effect("takes over a sync that began too long ago", () =>
        Effect.gen(function* () {
          const { makeRelevant } = yield* arrange
          const { gsrn, locks } = yield* fresh(8)
          yield* makeRelevant(gsrn)
          const claimMine = (deadAfter: number) =>
            Effect.map(locks.claim({ limit: 100, lanes: "all", deadAfter }), (claims) =>
              claims.filter((claim) => claim.gsrn === gsrn)
            )
          assert.strictEqual((yield* claimMine(60)).length, 1)
          assert.strictEqual((yield* claimMine(60)).length, 0)
          const taken = yield* claimMine(-1)
          assert.strictEqual(taken.length, 1)
          yield* locks.release(taken)
        })
      )

      it.effect("puts pending events first, and keeps one that arrives during the fetch pending", () =>
        Effect.gen(function* () {
          const { makeRelevant } = yield* arrange
          const inbox = yield* EventInbox
          const { gsrn, id, locks } = yield* fresh(9)
          yield* makeRelevant(gsrn)
          const at = Date.UTC(2026, 0, 1)
          const claimEvents = Effect.map(locks.claim({ limit: 100, lanes: "events", deadAfter: 60 }), (claims) =>
            claims.filter((claim) => claim.gsrn === gsrn)
          )
          assert.deepStrictEqual(yield* claimEvents, [])
          const known = { gsrn, occurredAt: at }
          assert.deepStrictEqual(
            yield* inbox.record([known, { ...known, occurredAt: at - day }, { gsrn: gsrnOf(999), occurredAt: at }]),
            { received: 3, recorded: 1, stale: 1, unknown: 1 }
          )
          assert.deepStrictEqual(yield* inbox.record([known]), { received: 1, recorded: 0, stale: 1, unknown: 0 })
          const [claim] = yield* claimEvents
          assert.strictEqual(claim?.gsrn, gsrn)
          yield* inbox.record([{ gsrn, occurredAt: at + 1 }])
          yield* locks.withUpdateLock(id, () => locks.finalise(id, claim!))
          const [second] = yield* claimEvents
          assert.strictEqual(second?.version, 1)
          yield* locks.withUpdateLock(id, () => locks.finalise(id, second!))
          assert.deepStrictEqual(yield* claimEvents, [])
        })
      )
    })
  })
