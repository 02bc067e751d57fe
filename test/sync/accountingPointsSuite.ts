/**
 * What every implementation of `LockStore`, `AccountingPointStore` and `EventInbox` must do. Run over memory and over
 * PostgreSQL, on the real clock; each test uses accounting points of its own.
 */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, type Layer, type Scope } from "effect"
import type { AccountingPointChange } from "../../src/domain/AccountingPoint.ts"
import type { Gsrn } from "../../src/domain/Identifiers.ts"
import { AccountingPointStore } from "../../src/sync/AccountingPointStore.ts"
import { EventInbox } from "../../src/sync/EventInbox.ts"
import { LockStore } from "../../src/sync/LockStore.ts"
import { gsrnOf } from "../support/gsrns.ts"

type Stores = LockStore | AccountingPointStore | EventInbox

export interface Arrange {
  /** Makes the accounting point one that the background sync keeps fresh. */
  readonly makeRelevant: (gsrn: Gsrn) => Effect.Effect<void, unknown>
  /** Holds the update lock until the scope closes. */
  readonly holdLock: (gsrn: Gsrn) => Effect.Effect<void, unknown, Scope.Scope>
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
        const locks = yield* LockStore
        const id = yield* store.ensure(gsrn)
        const write = Effect.fnUntraced(function* (
          timelines: AccountingPointChange["timelines"],
          location?: AccountingPointChange["location"]
        ) {
          const ticket = yield* locks.ticket(gsrn)
          const change = { timelines, location, entityTypes: new Map() }
          return yield* locks.update(id, { version: ticket.version, ticket, change })
        })
        return { gsrn, id, store, locks, write }
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
          const { gsrn, id, store, write } = yield* fresh(3)
          assert.isTrue(
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
          )
          const before = yield* store.read(id)
          assert.strictEqual(before.version, 1)
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
          assert.deepStrictEqual((yield* store.read(id)).timelines.energy_supplier, [{ ...a!, to: undefined }])
          // A postponed switch to a supplier that is known by now.
          yield* write({
            energy_supplier: {
              remove: [],
              update: [{ ...a!, to: 20 * day }],
              insert: [{ value: supplierB, from: 20 * day, to: undefined }]
            }
          })
          // Both rows change places and values.
          const [first, second] = (yield* store.read(id)).timelines.energy_supplier
          yield* write({
            energy_supplier: {
              remove: [],
              update: [
                { ...first!, value: supplierB, from: 20 * day, to: undefined },
                { ...second!, value: supplierA, from: 0, to: 20 * day }
              ],
              insert: []
            }
          })
          const after = yield* store.read(id)
          assert.deepStrictEqual(
            after.timelines.energy_supplier.map(({ from, value }) => ({ value, from })),
            [
              { value: supplierA, from: 0 },
              { value: supplierB, from: 20 * day }
            ]
          )
          assert.strictEqual((yield* (yield* LockStore).ticket(gsrn)).version, 4)
        })
      )

      it.effect("keeps, moves and clears a location", () =>
        Effect.gen(function* () {
          const { id, store, write } = yield* fresh(4)
          const set = (location: { latitude: number; longitude: number } | null | undefined) =>
            Effect.andThen(write({}, location), store.read(id))
          assert.deepStrictEqual((yield* set({ latitude: 59.9, longitude: 10.7 })).location, {
            latitude: 59.9,
            longitude: 10.7
          })
          assert.isDefined((yield* set(undefined)).location)
          assert.isUndefined((yield* set(null)).location)
        })
      )

      it.effect("writes nothing when the version has moved", () =>
        Effect.gen(function* () {
          const { gsrn, id, locks, store } = yield* fresh(5)
          const ticket = yield* locks.ticket(gsrn)
          const insert = { remove: [], update: [], insert: [{ value: supplierA, from: 0, to: undefined }] }
          const change = { timelines: { energy_supplier: insert }, location: undefined, entityTypes: new Map() }
          assert.isTrue(yield* locks.update(id, { version: 0, ticket, change: undefined }))
          assert.isFalse(yield* locks.update(id, { version: 0, ticket, change }))
          const copy = yield* store.read(id)
          assert.deepStrictEqual(copy.timelines.energy_supplier, [])
          assert.strictEqual(copy.version, 1)
          assert.strictEqual(copy.fetchedAt, ticket.startedAt)
        })
      )

      it.effect("fails with LockTimeout after a second when another holds the update lock", () =>
        Effect.gen(function* () {
          const { holdLock } = yield* arrange
          const { gsrn, id, locks } = yield* fresh(6)
          const ticket = yield* locks.ticket(gsrn)
          const update = locks.update(id, { version: 0, ticket, change: undefined })
          const [took, error] = yield* holdLock(gsrn).pipe(
            Effect.andThen(Effect.timed(Effect.flip(update))),
            Effect.scoped
          )
          assert.strictEqual(error._tag, "LockTimeout")
          assert.isAtLeast(Duration.toMillis(took), 900)
          assert.isBelow(Duration.toMillis(took), 3_000)
          assert.isTrue(yield* update)
        })
      )

      it.effect("claims relevant rows once, and again when released, failed and due, or finalised", () =>
        Effect.gen(function* () {
          const { makeRelevant } = yield* arrange
          const { gsrn, id, locks } = yield* fresh(7)
          const claimMine = Effect.map(
            locks.claim({ limit: 100, lanes: "all", failing: 100, deadAfter: 60 }),
            (claims) => claims.filter((claim) => claim.gsrn === gsrn)
          )
          assert.deepStrictEqual(yield* claimMine, [])
          yield* makeRelevant(gsrn)
          const [claim] = yield* claimMine
          assert.strictEqual(claim?.accountingPointId, id)
          assert.isFalse(claim?.hasEvent)
          assert.deepStrictEqual(yield* claimMine, [])
          yield* locks.release([claim!])
          const [again] = yield* claimMine
          yield* locks.fail(again!, "unavailable", 3600)
          assert.deepStrictEqual(yield* claimMine, [])
          yield* locks.update(id, { version: 0, ticket: again!, change: undefined })
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
            Effect.map(locks.claim({ limit: 100, lanes: "all", failing: 100, deadAfter }), (claims) =>
              claims.filter((claim) => claim.gsrn === gsrn)
            )
          assert.strictEqual((yield* claimMine(60)).length, 1)
          assert.strictEqual((yield* claimMine(60)).length, 0)
          const taken = yield* claimMine(-1)
          assert.strictEqual(taken.length, 1)
          yield* locks.release(taken)
        })
      )

      it.effect("gives back and fails only what nobody has taken over", () =>
        Effect.gen(function* () {
          const { makeRelevant } = yield* arrange
          const { gsrn, locks } = yield* fresh(10)
          yield* makeRelevant(gsrn)
          const claimMine = (deadAfter: number) =>
            Effect.map(locks.claim({ limit: 100, lanes: "all", failing: 100, deadAfter }), (claims) =>
              claims.filter((claim) => claim.gsrn === gsrn)
            )
          const [dead] = yield* claimMine(60)
          yield* Effect.sleep("2 millis")
          const [taken] = yield* claimMine(-1)
          assert.isAbove(taken!.startedAt, dead!.startedAt)
          yield* locks.release([dead!])
          yield* locks.fail(dead!, "deadline", 3600)
          assert.deepStrictEqual(yield* claimMine(60), [])
          yield* locks.release([taken!])
          const [again] = yield* claimMine(60)
          assert.strictEqual(again?.failures, 0)
          yield* locks.release([again!])
        })
      )

      it.effect("puts pending events first, and keeps one that arrives during the fetch pending", () =>
        Effect.gen(function* () {
          const { makeRelevant } = yield* arrange
          const inbox = yield* EventInbox
          const { gsrn, id, locks } = yield* fresh(9)
          yield* makeRelevant(gsrn)
          const at = Date.UTC(2026, 0, 1)
          const claimEvents = Effect.map(
            locks.claim({ limit: 100, lanes: "events", failing: 0, deadAfter: 60 }),
            (claims) => claims.filter((claim) => claim.gsrn === gsrn)
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
          assert.isTrue(claim?.hasEvent)
          yield* inbox.record([{ gsrn, occurredAt: at + 1 }])
          yield* locks.update(id, { version: 0, ticket: claim!, change: undefined })
          const [second] = yield* claimEvents
          assert.strictEqual(second?.version, 1)
          yield* locks.update(id, { version: 1, ticket: second!, change: undefined })
          assert.deepStrictEqual(yield* claimEvents, [])
        })
      )
    })
  })
