/**
 * What every `LookupStore`, `ControllableUnits` and `AccountingPointCopies` must do over the accounting points there are. Run
 * over memory and over PostgreSQL, on the real clock; each test uses accounting points of its own.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, type Layer, Redacted } from "effect"
import { AccountingPointCopies } from "../../src/lookup/AccountingPointCopies.ts"
import { ControllableUnits } from "../../src/lookup/ControllableUnits.ts"
import { mismatchLimit } from "../../src/lookup/guessLimit.ts"
import { LookupStore } from "../../src/lookup/LookupStore.ts"
import { ControllableUnitId, EndUserClaim, type Gsrn } from "../../src/domain/Identifiers.ts"
import { PlainDate } from "../../src/domain/OsloDay.ts"
import { AccountingPointStore } from "../../src/sync/AccountingPointStore.ts"
import { EventInbox } from "../../src/sync/EventInbox.ts"
import { LockStore } from "../../src/sync/LockStore.ts"
import { gsrnOf } from "../support/gsrns.ts"

type Stores = LookupStore | ControllableUnits | AccountingPointCopies | LockStore | AccountingPointStore | EventInbox

const person = "01019012345"
const organisation = "912345678"
const since2020 = Date.UTC(2020, 0, 1)

const unitOf = (index: number) => ControllableUnitId.make(`a0000000-0000-4000-8000-${String(index).padStart(12, "0")}`)
const claimOf = (claim: string) => EndUserClaim.make(claim)

/** An accounting point that is kept, of this end user since 2020. */
const kept = Effect.fnUntraced(function* (index: number, endUser: string = organisation) {
  const gsrn = gsrnOf(index)
  const locks = yield* LockStore
  const id = yield* (yield* AccountingPointStore).ensure(gsrn)
  const ticket = yield* locks.ticket(gsrn)
  const insert = [{ value: endUser, from: since2020, to: undefined }]
  yield* locks.update(id, {
    version: ticket.version,
    ticket,
    change: { timelines: { end_user: { remove: [], update: [], insert } }, location: undefined, entityTypes: new Map() }
  })
  return { id, gsrn }
})

const put = (index: number, gsrn: Gsrn, more: object = {}) =>
  ControllableUnits.use((units) => units.put(unitOf(index), { accounting_point: gsrn, name: `Unit ${index}`, ...more }))
const find = (gsrn: Gsrn, caller = "somebody") =>
  LookupStore.use((lookups) => lookups.find({ accountingPoint: gsrn }, caller))
const settle = (gsrn: Gsrn, caller: string, claim: string, maxAge = 3600) =>
  LookupStore.use((lookups) => lookups.find({ accountingPoint: gsrn }, caller, { claim: claimOf(claim), maxAge }))

export const lookupStoresSuite = <E>(name: string, layer: Layer.Layer<Stores, E>) =>
  describe(name, () => {
    it.layer(layer, { excludeTestServices: true })((it) => {
      it.effect("know nothing of an accounting point that is not here, nor of a unit that never was", () =>
        Effect.gen(function* () {
          const gsrn = gsrnOf(1)
          assert.isUndefined(yield* find(gsrn))
          assert.isUndefined(yield* (yield* LookupStore).find({ controllableUnit: unitOf(1) }, "somebody"))
          assert.isUndefined(yield* (yield* AccountingPointCopies).find(gsrn))
          assert.isUndefined(yield* put(1, gsrn))
          assert.isFalse(yield* (yield* ControllableUnits).terminate(unitOf(1)))
        })
      )

      it.effect("show the end user of this moment, the age of the copy, and the units that live", () =>
        Effect.gen(function* () {
          const { gsrn, id } = yield* kept(10)
          yield* put(10, gsrn, { technical_resources: [{ name: "Pump" }, { name: "Tank" }] })
          yield* put(11, gsrn)
          yield* put(12, gsrn)
          assert.isTrue(yield* (yield* ControllableUnits).terminate(unitOf(12)))
          const copy = (yield* find(gsrn))!
          assert.strictEqual(copy.accountingPointId, id)
          assert.isBelow(copy.age!, 60)
          assert.isFalse(copy.pendingEvent)
          assert.strictEqual(Redacted.value(copy.endUser!.number), organisation)
          assert.deepStrictEqual(
            copy.units.map((unit) => [unit.business_id, unit.name, unit.technical_resources.map((one) => one.name)]),
            [
              [unitOf(10), "Unit 10", ["Pump", "Tank"]],
              [unitOf(11), "Unit 11", []]
            ]
          )
          const byUnit = (yield* (yield* LookupStore).find({ controllableUnit: unitOf(11) }, "somebody"))!
          assert.deepStrictEqual(
            byUnit.units.map((unit) => unit.business_id),
            [unitOf(11)]
          )
          assert.isUndefined(yield* (yield* LookupStore).find({ controllableUnit: unitOf(12) }, "somebody"))
        })
      )

      it.effect("replace a unit, keep its resources unless others are given, and let a terminated one begin anew", () =>
        Effect.gen(function* () {
          const [one, other] = [yield* kept(20), yield* kept(21)]
          const first = (yield* put(20, one.gsrn, { technical_resources: [{ name: "Pump" }] }))!
          assert.isTrue(first.created)
          const moved = (yield* put(20, other.gsrn, { name: "Moved", start_date: PlainDate.make("2025-03-01") }))!
          assert.isFalse(moved.created)
          assert.deepStrictEqual(moved.unit, {
            ...first.unit,
            name: "Moved",
            start_date: "2025-03-01",
            accounting_point: { id: other.id, business_id: other.gsrn }
          })
          assert.deepStrictEqual((yield* find(one.gsrn))!.units, [])
          const ticket = yield* (yield* LockStore).ticket(other.gsrn)
          assert.strictEqual(ticket.earliestStartDate, "2025-03-01")
          assert.isTrue(yield* (yield* ControllableUnits).terminate(unitOf(20)))
          assert.isTrue(yield* (yield* ControllableUnits).terminate(unitOf(20)), "one that is terminated stays so")
          const again = (yield* put(20, other.gsrn, { technical_resources: [{ name: "Heater" }] }))!
          assert.isTrue(again.created)
          assert.strictEqual(again.unit.id, first.unit.id)
          assert.strictEqual(again.unit.status, "new")
          assert.deepStrictEqual(
            again.unit.technical_resources.map((resource) => resource.name),
            ["Heater"]
          )
        })
      )

      it.effect("keep the ids of resources whose names are given again, however many share a name", () =>
        Effect.gen(function* () {
          const { gsrn } = yield* kept(22)
          const resources = Effect.fnUntraced(function* (...names: ReadonlyArray<string>) {
            const { unit } = (yield* put(22, gsrn, { technical_resources: names.map((name) => ({ name })) }))!
            return unit.technical_resources
          })
          const first = yield* resources("Pump", "Tank", "Pump")
          assert.deepStrictEqual(yield* resources("Pump", "Tank", "Pump"), first)
          assert.deepStrictEqual(yield* resources("Tank", "Pump", "Pump"), first)
          const fewer = yield* resources("Heater", "Pump")
          assert.deepStrictEqual(fewer[0], first[0])
          assert.deepStrictEqual(
            fewer.map(({ name }) => name),
            ["Pump", "Heater"]
          )
          assert.isFalse(first.some(({ id }) => id === fewer[1]?.id))
          assert.deepStrictEqual(yield* resources(), [])
        })
      )

      it.effect("settle a question by a copy that is young, with no event pending, and by no other", () =>
        Effect.gen(function* () {
          const { gsrn } = yield* kept(30, person)
          assert.isUndefined((yield* find(gsrn))!.settled)
          assert.strictEqual((yield* settle(gsrn, "settler", "010190"))!.settled, "match")
          assert.strictEqual((yield* settle(gsrn, "settler", "020190"))!.settled, "mismatch")
          assert.strictEqual((yield* settle(gsrn, "settler", organisation))!.settled, "mismatch")
          assert.isUndefined((yield* settle(gsrn, "settler", "010190", 0))!.settled)
          yield* (yield* EventInbox).record([{ gsrn, occurredAt: Date.now() }])
          const pending = (yield* settle(gsrn, "settler", "010190"))!
          assert.isTrue(pending.pendingEvent)
          assert.isUndefined(pending.settled)
        })
      )

      it.effect("stop a caller after its mismatches about one accounting point, however they were recorded", () =>
        Effect.gen(function* () {
          const lookups = yield* LookupStore
          const { gsrn, id } = yield* kept(40, person)
          const other = yield* kept(41, person)
          const entry = { caller: "guesser", accountingPointId: id, endUserId: undefined }
          for (let i = 1; i < mismatchLimit; i++) {
            assert.isUndefined(yield* lookups.record({ ...entry, outcome: "mismatch" }))
          }
          assert.isUndefined(yield* lookups.record({ ...entry, outcome: "match" }), "a match uses up nothing")
          assert.strictEqual((yield* settle(gsrn, "guesser", "020190"))!.settled, "mismatch")
          const stopped = (yield* settle(gsrn, "guesser", "010190"))!
          assert.isUndefined(stopped.settled)
          assert.approximately(stopped.blockedFor!, 3600, 60)
          assert.approximately((yield* find(gsrn, "guesser"))!.blockedFor!, 3600, 60)
          assert.approximately((yield* lookups.record({ ...entry, outcome: "match" }))!, 3600, 60)
          assert.strictEqual((yield* settle(gsrn, "honest", "010190"))!.settled, "match")
          assert.strictEqual((yield* settle(other.gsrn, "guesser", "010190"))!.settled, "match")
        })
      )

      it.effect("tag a copy so that the tag changes with what is shown, and with nothing else", () =>
        Effect.gen(function* () {
          const copies = yield* AccountingPointCopies
          const { gsrn } = yield* kept(50, person)
          const first = (yield* copies.find(gsrn))!
          assert.match(first.etag, /^"[^"]+"$/)
          yield* settle(gsrn, "reader", "010190")
          assert.deepStrictEqual(yield* copies.find(gsrn), first)
          yield* (yield* EventInbox).record([{ gsrn, occurredAt: Date.now() }])
          const told = (yield* copies.find(gsrn))!
          assert.notStrictEqual(told.etag, first.etag)
          assert.isNotNull(told.copy.sync.last_event_at)
        })
      )

      it.effect("show a person by an internal id and nothing else, an organisation with its number", () =>
        Effect.gen(function* () {
          const copies = yield* AccountingPointCopies
          const [ofPerson, ofOrganisation] = [yield* kept(60, person), yield* kept(61)]
          const shown = (yield* copies.find(ofPerson.gsrn))!
          assert.notInclude(JSON.stringify(shown), person)
          const [endUser] = shown.copy.end_user
          assert.deepStrictEqual(
            [endUser!.type, endUser!.business_id, endUser!.valid_from, endUser!.valid_to],
            ["person", undefined, since2020, null]
          )
          assert.strictEqual((yield* copies.find(ofOrganisation.gsrn))!.copy.end_user[0]!.business_id, organisation)
        })
      )
    })
  })
