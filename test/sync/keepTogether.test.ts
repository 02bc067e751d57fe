/** What is fetched for many claims is kept together, and yet each has a fate of its own. */
import { assert, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import type { AccountingPointAnswer } from "../../src/domain/AccountingPoint.ts"
import { StoreUnavailable } from "../../src/domain/StoreUnavailable.ts"
import { AccountingPointStore } from "../../src/sync/AccountingPointStore.ts"
import { keepTogether } from "../../src/sync/keepTogether.ts"
import { LockStore } from "../../src/sync/LockStore.ts"
import { MemoryAccountingPoints } from "../../src/sync/MemoryAccountingPoints.ts"
import { gsrnOf } from "../support/gsrns.ts"

const supplier = "7080005010000"

const answers = Effect.gen(function* () {
  const store = yield* AccountingPointStore
  const locks = yield* LockStore
  const { points } = yield* MemoryAccountingPoints
  for (let index = 0; index < 20; index++) {
    yield* store.ensure(gsrnOf(index))
    points.get(gsrnOf(index))!.relevant = true
  }
  const claims = yield* locks.claim({ limit: 20, lanes: "all", failing: 0, deadAfter: 60 })
  const energy_supplier = [{ value: supplier, from: 0, to: undefined }]
  return claims.map((claim) => ({
    claim,
    ticket: claim,
    asked: 0,
    answer: {
      gsrn: claim.gsrn,
      timelines: { end_user: [], energy_supplier, metering_grid_area: [], energy_direction: [] },
      entityTypes: new Map(),
      location: undefined
    } satisfies AccountingPointAnswer
  }))
})

const fails: Effect.Effect<never, StoreUnavailable> = Effect.fail(new StoreUnavailable({ cause: "broken" }))

/** The stores, and how often each statement was made; that which writes many ends as `broken` says, where it does. */
const counted = (
  tally: { reads: number; writes: number; alone: number },
  broken?: Effect.Effect<never, StoreUnavailable>
) =>
  Layer.mergeAll(
    Layer.effect(
      AccountingPointStore,
      Effect.map(AccountingPointStore, (store) =>
        AccountingPointStore.of({
          ...store,
          readAll: (ids) => Effect.suspend(() => (tally.reads++, store.readAll(ids)))
        })
      )
    ),
    Layer.effect(
      LockStore,
      Effect.map(LockStore, (locks) =>
        LockStore.of({
          ...locks,
          update: (id, update) => Effect.suspend(() => (tally.alone++, locks.update(id, update))),
          updateFree: (updates) =>
            Effect.suspend(() => {
              tally.writes++
              return broken ?? locks.updateFree(updates)
            })
        })
      )
    )
  ).pipe(Layer.provideMerge(MemoryAccountingPoints.layer))

const keepAll = Effect.gen(function* () {
  const keep = yield* keepTogether
  return yield* Effect.forEach(yield* answers, keep, { concurrency: "unbounded" })
})

it.effect("keeps what comes at the same time by one read and one write", () => {
  const tally = { reads: 0, writes: 0, alone: 0 }
  return Effect.gen(function* () {
    assert.deepStrictEqual(new Set(yield* keepAll), new Set(["changed"]))
    assert.deepStrictEqual(tally, { reads: 1, writes: 1, alone: 0 })
    const { points } = yield* MemoryAccountingPoints
    assert.isTrue([...points.values()].every(({ timelines }) => timelines.energy_supplier[0]?.value === supplier))
  }).pipe(Effect.provide(counted(tally)))
})

it.effect.each([
  ["fails", fails],
  ["ends in a defect", Effect.die(new Error("one of them cannot be written"))]
] as const)("writes each by itself where the write for all %s", ([, broken]) => {
  const tally = { reads: 0, writes: 0, alone: 0 }
  return Effect.gen(function* () {
    assert.deepStrictEqual(new Set(yield* keepAll), new Set(["changed"]))
    assert.deepStrictEqual(tally, { reads: 1, writes: 1, alone: 20 })
  }).pipe(Effect.provide(counted(tally, broken)))
})

it.effect("lets the second answer for an accounting point find out what the first has made of it", () => {
  const tally = { reads: 0, writes: 0, alone: 0 }
  return Effect.gen(function* () {
    const keep = yield* keepTogether
    const [first] = yield* answers
    const ends = yield* Effect.forEach([first!, first!], keep, { concurrency: "unbounded" })
    assert.deepStrictEqual(ends, ["changed", "superseded"])
    assert.deepStrictEqual(tally, { reads: 1, writes: 1, alone: 0 })
  }).pipe(Effect.provide(counted(tally)))
})

it.effect("writes nothing over a copy that was written since its claim, and keeps the others", () =>
  Effect.gen(function* () {
    const keep = yield* keepTogether
    const [first, ...others] = yield* answers
    const { claim, ticket } = first!
    const locks = yield* LockStore
    yield* locks.update(claim.accountingPointId, { version: claim.version, ticket, change: undefined })
    const ends = yield* Effect.forEach([first!, ...others], keep, { concurrency: "unbounded" })
    assert.deepStrictEqual(ends, ["superseded", ...others.map(() => "changed" as const)])
    const { points } = yield* MemoryAccountingPoints
    assert.deepStrictEqual(points.get(claim.gsrn)?.timelines.energy_supplier, [])
  }).pipe(Effect.provide(MemoryAccountingPoints.layer))
)
