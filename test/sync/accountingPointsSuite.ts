/**
 * What every implementation of `LockStore`, `AccountingPointStore` and `EventInbox` must do. Run over memory and over
 * PostgreSQL, on the real clock; each test uses accounting points of its own.
 */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, type Layer, Option, type Scope } from "effect"
import type { AccountingPointChange } from "../../src/domain/AccountingPoint.ts"
import type { Gsrn } from "../../src/domain/Identifiers.ts"
import { parsePreciseInstant } from "../../src/domain/Instant.ts"
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

      /** Whether an event is to be followed; takes nothing for longer than that. */
      const isPending = Effect.fnUntraced(function* (gsrn: Gsrn) {
        const locks = yield* LockStore
        yield* (yield* arrange).makeRelevant(gsrn)
        const claims = yield* locks.claim({ limit: 100, lanes: "events", failing: 0, deadAfter: 60 })
        yield* locks.release(claims)
        return claims.some((claim) => claim.gsrn === gsrn)
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

      it.effect("reads and writes many at once, passing over one that is held and one whose version has moved", () =>
        Effect.gen(function* () {
          const { holdLock } = yield* arrange
          const points = yield* Effect.forEach([40, 41, 42, 43], fresh)
          const { locks, store } = points[0]!
          const [first, second, held, moved] = points.map(({ id }) => id) as [number, number, number, number]
          const tickets = yield* Effect.forEach(points, ({ gsrn }) => locks.ticket(gsrn))
          assert.isTrue(yield* locks.update(moved, { version: 0, ticket: tickets[3]!, change: undefined }))
          const updates = points.map(({ id }, place) => {
            const insert = [{ value: place === 0 ? supplierA : supplierB, from: place * day, to: undefined }]
            const energy_supplier = { remove: [], update: [], insert }
            const location = id === first ? { latitude: 60.5, longitude: 10.25 } : null
            const change = { timelines: { energy_supplier }, location, entityTypes: new Map() }
            return [id, { version: 0, ticket: tickets[place]!, change: id === second ? undefined : change }] as const
          })
          const written = yield* holdLock(points[2]!.gsrn).pipe(
            Effect.andThen(locks.updateFree(updates)),
            Effect.scoped
          )
          assert.deepStrictEqual(written, new Set([first, second]))
          const copies = yield* store.readAll([first, second, held, moved, 2_000_000_000])
          assert.deepStrictEqual(
            [first, second, held, moved].map((id) => copies.get(id)?.version),
            [1, 1, 0, 1]
          )
          assert.deepStrictEqual(
            [first, second, held, moved].map((id) =>
              copies.get(id)?.timelines.energy_supplier.map(({ value }) => value)
            ),
            [[supplierA], [], [], []]
          )
          assert.deepStrictEqual(copies.get(first)?.location, { latitude: 60.5, longitude: 10.25 })
          assert.strictEqual(copies.get(second)?.fetchedAt, tickets[1]!.startedAt)
          assert.strictEqual(copies.size, 4)
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

      it.effect("takes two events within a millisecond for two", () =>
        Effect.gen(function* () {
          const inbox = yield* EventInbox
          const { gsrn } = yield* fresh(20)
          const events = ["2026-01-01T00:00:00.123456Z", "2026-01-01T00:00:00.123999Z"].map((text) => ({
            gsrn,
            occurredAt: Option.getOrThrow(parsePreciseInstant(text))
          }))
          for (const event of events) assert.strictEqual((yield* inbox.record([event])).recorded, 1)
          for (const event of events) assert.strictEqual((yield* inbox.record([event])).stale, 1)
          const { seenEventAt } = yield* (yield* LockStore).ticket(gsrn)
          assert.strictEqual(seenEventAt, Date.UTC(2026, 0, 1) * 1000 + 123_999)
        })
      )

      it.effect("follows once more an event that is older than the last one by less than clocks differ, but once", () =>
        Effect.gen(function* () {
          const inbox = yield* EventInbox
          const { gsrn, id, locks } = yield* fresh(21)
          const at = Date.UTC(2026, 0, 1) + 500
          const tell = (offset: number) => inbox.record([{ gsrn, occurredAt: at + offset }])
          const pending = isPending(gsrn)
          const follow = Effect.gen(function* () {
            const ticket = yield* locks.ticket(gsrn)
            yield* locks.update(id, { version: ticket.version, ticket, change: undefined })
          })
          assert.strictEqual((yield* tell(0)).recorded, 1)
          yield* Effect.sleep("2 millis")
          yield* follow
          assert.isFalse(yield* pending)
          for (const offset of [-4_999, -1, -0.001]) {
            assert.strictEqual((yield* tell(offset)).recorded, 1, `${offset} ms`)
            assert.isTrue(yield* pending)
            assert.strictEqual((yield* locks.ticket(gsrn)).seenEventAt, at * 1000, "the last one stays the last one")
            yield* Effect.sleep("2 millis")
            yield* follow
            assert.isFalse(yield* pending)
          }
          // Delivered again, and older than clocks differ.
          for (const offset of [0, -4_999, -1, -0.001, -5_000, -60_000]) {
            assert.deepInclude(yield* tell(offset), { recorded: 0, stale: 1 }, `${offset} ms`)
          }
          assert.isFalse(yield* pending)
        })
      )

      it.effect("keeps an accounting point pending that is told of during its fetch, whatever the event's time", () =>
        Effect.gen(function* () {
          const inbox = yield* EventInbox
          const { gsrn, id, locks } = yield* fresh(22)
          const at = Date.UTC(2026, 0, 1)
          yield* inbox.record([{ gsrn, occurredAt: at }])
          yield* Effect.sleep("2 millis")
          const ticket = yield* locks.ticket(gsrn)
          yield* Effect.sleep("2 millis")
          assert.strictEqual((yield* inbox.record([{ gsrn, occurredAt: at - 1_000 }])).recorded, 1)
          yield* locks.update(id, { version: ticket.version, ticket, change: undefined })
          assert.isTrue(yield* isPending(gsrn))
        })
      )

      it.effect("keeps an accounting point pending that is told of while it is asked about for the first time", () =>
        Effect.gen(function* () {
          const [inbox, locks, store] = [yield* EventInbox, yield* LockStore, yield* AccountingPointStore]
          const [awaited, other] = [gsrnOf(61), gsrnOf(62)]
          const ticket = yield* locks.ticket(awaited)
          yield* Effect.sleep("2 millis")
          const events = [awaited, other].map((gsrn) => ({ gsrn, occurredAt: Date.UTC(2026, 0, 1) }))
          assert.deepStrictEqual(yield* inbox.record(events), { received: 2, recorded: 1, stale: 0, unknown: 1 })
          for (const gsrn of [awaited, other]) {
            const id = yield* store.ensure(gsrn)
            yield* locks.update(id, { version: 0, ticket: { ...ticket, gsrn }, change: undefined })
          }
          assert.isTrue(yield* isPending(awaited))
          assert.isFalse(yield* isPending(other))
          const again = yield* locks.ticket(awaited)
          yield* locks.update(again.accountingPointId!, { version: 1, ticket: again, change: undefined })
          assert.isFalse(yield* isPending(awaited))
        })
      )

      it.effect("takes an event for covered that came before its accounting point was asked about again", () =>
        Effect.gen(function* () {
          const [inbox, locks, store] = [yield* EventInbox, yield* LockStore, yield* AccountingPointStore]
          const gsrn = gsrnOf(63)
          yield* locks.ticket(gsrn)
          yield* Effect.sleep("2 millis")
          assert.strictEqual((yield* inbox.record([{ gsrn, occurredAt: Date.UTC(2026, 0, 1) }])).recorded, 1)
          yield* Effect.sleep("2 millis")
          const ticket = yield* locks.ticket(gsrn)
          const id = yield* store.ensure(gsrn)
          yield* locks.update(id, { version: 0, ticket, change: undefined })
          assert.isFalse(yield* isPending(gsrn))
        })
      )

      it.effect("takes the same whole second for another event while that second is young, once it was followed", () =>
        Effect.gen(function* () {
          const inbox = yield* EventInbox
          const { gsrn, id, locks } = yield* fresh(23)
          const second = Math.floor(Date.now() / 1_000) * 1_000
          const tell = (occurredAt: number) => inbox.record([{ gsrn, occurredAt }])
          assert.strictEqual((yield* tell(second)).recorded, 1)
          assert.strictEqual((yield* tell(second)).stale, 1, "it is about to be followed")
          yield* Effect.sleep("2 millis")
          const ticket = yield* locks.ticket(gsrn)
          yield* locks.update(id, { version: ticket.version, ticket, change: undefined })
          assert.strictEqual((yield* tell(second)).recorded, 1)
          assert.isTrue(yield* isPending(gsrn))
        })
      )

      it.effect("refuses a batch that tells of the future by the store's clock, and says where", () =>
        Effect.gen(function* () {
          const inbox = yield* EventInbox
          const { gsrn, locks } = yield* fresh(24)
          const now = Date.now()
          const error = yield* Effect.flip(
            inbox.record([0, 6 * 60_000, 4 * 60_000, 7 * 60_000].map((ahead) => ({ gsrn, occurredAt: now + ahead })))
          )
          assert.deepInclude(error, { _tag: "EventsInFuture", places: [1, 3] })
          assert.isUndefined((yield* locks.ticket(gsrn)).seenEventAt)
        })
      )

      it.effect("lets an event bring forward an attempt that waits after a failure, as soon as was allowed", () =>
        Effect.gen(function* () {
          const { makeRelevant } = yield* arrange
          const inbox = yield* EventInbox
          const { gsrn, locks } = yield* fresh(25)
          yield* makeRelevant(gsrn)
          const claimMine = Effect.map(
            locks.claim({ limit: 100, lanes: "events", failing: 100, deadAfter: 60 }),
            (claims) => claims.filter((claim) => claim.gsrn === gsrn)
          )
          const at = Date.UTC(2026, 0, 1)
          const tell = (offset: number) => inbox.record([{ gsrn, occurredAt: at + offset }])
          yield* tell(0)
          const [first] = yield* claimMine
          yield* locks.fail(first!, "unavailable", 3600)
          assert.deepStrictEqual(yield* claimMine, [])
          yield* Effect.sleep("2 millis")
          yield* tell(1)
          yield* Effect.sleep("2 millis")
          const [second] = yield* claimMine
          assert.strictEqual(second?.failures, 1)
          // One that comes during the attempt counts as well; and now the adapter wants to be left alone for longer.
          yield* Effect.sleep("2 millis")
          yield* tell(2)
          yield* locks.fail(second!, "unavailable", 3600, 0)
          yield* Effect.sleep("2 millis")
          const [third] = yield* claimMine
          yield* Effect.sleep("2 millis")
          yield* locks.fail(third!, "unavailable", 3600, 1800)
          yield* Effect.sleep("2 millis")
          yield* tell(3)
          yield* Effect.sleep("2 millis")
          assert.deepStrictEqual(yield* claimMine, [])
        })
      )

      it.effect(
        "gives some rows to find out with: of those that succeeded, of those never tried, and of those that fail",
        () =>
          Effect.gen(function* () {
            const { makeRelevant } = yield* arrange
            const locks = yield* LockStore
            const claimAll = locks.claim({ limit: 1_000, lanes: "all", failing: 1_000, deadAfter: 3_600 })
            // Those of other tests are out of the way meanwhile.
            const others = yield* claimAll
            const some = yield* Effect.forEach([30, 31, 32, 33, 34, 35, 36, 37, 38], fresh)
            for (const { gsrn } of some) yield* makeRelevant(gsrn)
            const claimed = yield* claimAll
            const of = (index: number) => claimed.find((claim) => claim.gsrn === gsrnOf(index))!
            yield* locks.fail(of(30), "unavailable", 3600)
            yield* locks.fail(of(31), "unavailable", 7200)
            yield* locks.fail(of(32), "unavailable", 1800, 1800)
            const probe = Effect.gen(function* () {
              yield* Effect.sleep("2 millis")
              const claims = yield* locks.claimProbes({ proven: 3, untried: 2 })
              yield* locks.release(claims)
              return claims.map(({ gsrn }) => gsrn).sort()
            })
            assert.deepStrictEqual(
              yield* probe,
              [30, 31].map(gsrnOf).sort(),
              "where nothing else is left, not due or not"
            )
            yield* locks.release([of(33), of(34), of(35)])
            const untried = yield* probe
            assert.include(untried, gsrnOf(30))
            assert.notInclude(untried, gsrnOf(31))
            assert.isAtLeast(untried.length, 2)
            assert.isAtMost(untried.length, 3)
            for (const index of [36, 37, 38]) {
              const claim = of(index)
              yield* locks.update(claim.accountingPointId, { version: 0, ticket: claim, change: undefined })
              yield* Effect.sleep("2 millis")
            }
            const proven = yield* probe
            assert.include(proven, gsrnOf(38), "the last that was synced")
            assert.include(proven, gsrnOf(30))
            const due = Effect.gen(function* () {
              const claims = yield* locks.claim({ limit: 0, lanes: "events", failing: 10, deadAfter: 60 })
              yield* locks.release(claims)
              return claims.map(({ gsrn }) => gsrn)
            })
            assert.deepStrictEqual(yield* due, [])
            yield* locks.hasten(1)
            assert.deepStrictEqual(yield* due, [gsrnOf(30)])
            yield* locks.hasten(10)
            assert.sameMembers(yield* due, [30, 31].map(gsrnOf))
            yield* locks.release(others)
          })
      )
    })
  })
