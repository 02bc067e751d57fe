/**
 * Merging on the real database: any kept timeline, any answer, in any order. The database takes it, what is read back is
 * what the pure rule says, unchanged rows keep their identity, and no more round trips are made than promised.
 */
import { assert, it } from "@effect/vitest"
import * as fc from "fast-check"
import { Effect, Layer, Ref } from "effect"
import { Statement } from "effect/sql"
import { PgAccountingPointStore } from "../../../layers/sync/PgAccountingPointStore.ts"
import { PgLockStore } from "../../../layers/sync/PgLockStore.ts"
import type { AccountingPointAnswer, Timelines } from "../../../src/domain/AccountingPoint.ts"
import { difference } from "../../../src/domain/AccountingPoint.ts"
import { applyChange, noChange, type Period } from "../../../src/domain/Timeline.ts"
import { AccountingPointStore } from "../../../src/sync/AccountingPointStore.ts"
import { AdapterClient } from "../../../src/sync/AdapterClient.ts"
import { LockStore } from "../../../src/sync/LockStore.ts"
import { refresh } from "../../../src/sync/synchronize.ts"
import { gsrnOf } from "../../support/gsrns.ts"
import { TestDatabase } from "../../support/TestDatabase.ts"

const day = 86_400_000
const start = Date.UTC(2026, 0, 1)
const suppliers = ["7080005010000", "7080005020009", "7080005030008"]
const endUsers = ["910000001", "910000002", "15059012345"]

const timeline = (values: ReadonlyArray<string>) =>
  fc.uniqueArray(fc.integer({ min: 0, max: 30 }), { maxLength: 6 }).chain((cuts) => {
    const sorted = [...cuts].sort((a, b) => a - b)
    return fc
      .array(fc.option(fc.constantFrom(...values), { nil: undefined }), {
        minLength: sorted.length,
        maxLength: sorted.length
      })
      .map((chosen) =>
        sorted.flatMap((cut, i): ReadonlyArray<Period> => {
          const value = chosen[i]
          const next = sorted[i + 1]
          return value === undefined
            ? []
            : [{ value, from: start + cut * day, to: next === undefined ? undefined : start + next * day }]
        })
      )
  })

const timelines: fc.Arbitrary<Timelines> = fc.record({
  end_user: timeline(endUsers),
  energy_supplier: timeline(suppliers),
  metering_grid_area: fc.constant([]),
  energy_direction: fc.tuple(timeline(["production"]), timeline(["consumption"])).map(([a, b]) => [...a, ...b])
})

const bare = (periods: ReadonlyArray<Period>) =>
  periods
    .map(({ from, to, value }) => ({ value, from, to }))
    .sort((a, b) => a.from - b.from || (a.value < b.value ? -1 : 1))

const stores = Layer.merge(PgLockStore, PgAccountingPointStore).pipe(Layer.provideMerge(TestDatabase.layer))

it.layer(stores, { excludeTestServices: true })("merging in PostgreSQL", (it) => {
  const answerOf = (index: number, values: Timelines): AccountingPointAnswer => ({
    gsrn: gsrnOf(index),
    timelines: values,
    entityTypes: new Map(),
    location: undefined
  })

  it.effect("agrees with the pure rule for any sequence of answers", () =>
    Effect.gen(function* () {
      const store = yield* AccountingPointStore
      const locks = yield* LockStore
      const cases = fc.sample(fc.array(fc.tuple(timelines, fc.integer({ min: 0, max: 30 })), { maxLength: 5 }), {
        numRuns: 120,
        seed: 7
      })
      for (const [index, answers] of cases.entries()) {
        const id = yield* store.ensure(gsrnOf(index))
        for (const [values, askedDay] of answers) {
          const ticket = yield* locks.ticket(gsrnOf(index))
          const before = yield* store.read(id)
          const change = difference(before, answerOf(index, values), start + askedDay * day)
          assert.isTrue(yield* locks.update(id, { version: before.version, ticket, change }))
          const after = yield* store.read(id)
          for (const name of ["end_user", "energy_supplier", "energy_direction"] as const) {
            const planned = change?.timelines[name] ?? noChange
            assert.deepStrictEqual(
              bare(after.timelines[name]),
              bare(applyChange(before.timelines[name], planned)),
              `point ${index}, ${name}`
            )
            const touched = new Set([...planned.remove, ...planned.update.map((period) => period.id)])
            for (const period of before.timelines[name].filter(({ id: kept }) => !touched.has(kept))) {
              assert.deepInclude(after.timelines[name], period)
            }
          }
        }
      }
    })
  )

  it.effect("takes two round trips after the fetch, whether anything changed or not", () =>
    Effect.gen(function* () {
      const counted = yield* Ref.make(0)
      const fetched = yield* Ref.make(false)
      const [first, second] = fc.sample(timelines, { numRuns: 2, seed: 3 })
      const current = yield* Ref.make(answerOf(900, first!))
      const adapter = AdapterClient.of({
        configured: true,
        fetch: () => Effect.andThen(Ref.set(fetched, true), Ref.get(current))
      })
      // Every statement passes here just before it is sent; none of them is part of a transaction, which would cost more.
      const counting: Statement.Transformer = (statement) =>
        Effect.as(
          Effect.flatMap(Ref.get(fetched), (after) => (after ? Ref.update(counted, (n) => n + 1) : Effect.void)),
          statement
        )
      const roundTrips = Effect.gen(function* () {
        yield* Ref.set(counted, 0)
        yield* Ref.set(fetched, false)
        const outcome = yield* refresh(gsrnOf(900)).pipe(
          Effect.provideService(AdapterClient, adapter),
          Effect.provideService(Statement.CurrentTransformer, counting)
        )
        return { outcome, trips: yield* Ref.get(counted) }
      })
      yield* roundTrips
      assert.deepStrictEqual(yield* roundTrips, { outcome: "unchanged", trips: 2 })
      yield* Ref.set(current, answerOf(900, second!))
      assert.deepStrictEqual(yield* roundTrips, { outcome: "changed", trips: 2 })
    })
  )
})
