/** How somebody who waits is asked for: again where it can help, within one deadline, each time within the budget. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Fiber, Layer } from "effect"
import { TestClock } from "effect/testing"
import type { AccountingPointAnswer } from "../../src/domain/AccountingPoint.ts"
import { AdapterBudget, withinBudget } from "../../src/sync/AdapterBudget.ts"
import {
  AccountingPointUnknown,
  AdapterClient,
  type AdapterError,
  AdapterFailure
} from "../../src/sync/AdapterClient.ts"
import { fetchWithinDeadline } from "../../src/sync/fetchWithinDeadline.ts"
import { gsrnOf } from "../support/gsrns.ts"

const gsrn = gsrnOf(1)
const answer: AccountingPointAnswer = {
  gsrn,
  timelines: { end_user: [], energy_supplier: [], metering_grid_area: [], energy_direction: [] },
  entityTypes: new Map(),
  location: undefined
}
const failure = (kind: AdapterFailure["kind"], more: Partial<AdapterFailure> = {}) =>
  new AdapterFailure({ kind, detail: "invented", ...more })

/** An adapter that fails so one time after the other, then answers; each attempt takes `latency`. */
const adapterThat = (
  failures: ReadonlyArray<AdapterError>,
  { latency = 0, wait = 0 }: { readonly latency?: number; readonly wait?: number } = {}
) =>
  Effect.gen(function* () {
    const asked: Array<{ readonly at: number; readonly within: number | undefined }> = []
    const reserved: Array<number> = []
    const client = AdapterClient.of({
      configured: true,
      deadline: 6_000,
      fetch: Effect.fnUntraced(function* (_, __, within) {
        asked.push({ at: yield* Clock.currentTimeMillis, within })
        if (latency > 0) yield* Effect.sleep(latency)
        const error = failures[asked.length - 1]
        return error === undefined ? answer : yield* Effect.fail(error)
      })
    })
    const budget = AdapterBudget.of({
      reserve: (patience) =>
        Effect.sync(() => {
          reserved.push(patience)
          return patience < wait ? undefined : wait
        })
    })
    const adapter = yield* Effect.provide(
      withinBudget,
      Layer.merge(Layer.succeed(AdapterClient, client), Layer.succeed(AdapterBudget, budget))
    )
    return { adapter, asked, reserved }
  })

/** The end of it, with the clock moved as far as it takes. */
const ended = <A, E>(effect: Effect.Effect<A, E>) =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(Effect.result(effect))
    yield* TestClock.adjust("1 minute")
    return yield* Fiber.join(fiber)
  })

describe("somebody who waits", () => {
  it.effect("gets the answer of a later try, each of which costs budget", () =>
    Effect.gen(function* () {
      const { adapter, asked, reserved } = yield* adapterThat([failure("unavailable"), failure("unavailable")])
      assert.deepInclude(yield* ended(fetchWithinDeadline(adapter, gsrn, 0)), { _tag: "Success", success: answer })
      assert.strictEqual(asked.length, 3)
      assert.strictEqual(reserved.length, 3)
      const [first, second, third] = asked.map(({ at }) => at)
      assert.isAtLeast(second! - first!, 80)
      assert.isAtLeast(third! - second!, 160)
    })
  )

  it.effect("is told of the failure when no further try fits into the deadline", () =>
    Effect.gen(function* () {
      const { adapter, asked } = yield* adapterThat(Array.from({ length: 100 }, () => failure("unavailable")))
      const result = yield* ended(fetchWithinDeadline(adapter, gsrn, 0))
      assert.deepInclude(result, { _tag: "Failure" })
      assert.isAtLeast(asked.length, 5)
      assert.isAtMost(asked.length, 7)
      assert.isBelow(asked.at(-1)!.at, 6_000)
    })
  )

  it.effect("waits as long as the adapter asks for, if that fits into the deadline", () =>
    Effect.gen(function* () {
      const { adapter, asked } = yield* adapterThat([failure("unavailable", { retryAfter: 3 })])
      assert.deepInclude(yield* ended(fetchWithinDeadline(adapter, gsrn, 0)), { _tag: "Success" })
      assert.isAtLeast(asked[1]!.at - asked[0]!.at, 3_000)
    })
  )

  it.effect("is told at once when the adapter asks for more time than there is", () =>
    Effect.gen(function* () {
      const { adapter, asked } = yield* adapterThat([failure("unavailable", { retryAfter: 6 })])
      const error = yield* Effect.flip(fetchWithinDeadline(adapter, gsrn, 0))
      assert.deepInclude(error, { kind: "unavailable", retryAfter: 6 })
      assert.strictEqual(asked.length, 1)
    })
  )

  it.effect.each([
    new AccountingPointUnknown(),
    ...(["deadline", "invalid", "refused", "paused", "not_configured"] as const).map((kind) => failure(kind))
  ])("is told at once of what another try cannot help: $kind", (error) =>
    Effect.gen(function* () {
      const { adapter, asked } = yield* adapterThat([error])
      assert.strictEqual(yield* Effect.flip(fetchWithinDeadline(adapter, gsrn, 0)), error)
      assert.strictEqual(asked.length, 1)
    })
  )

  it.effect("has one deadline for all tries and for the waiting between them", () =>
    Effect.gen(function* () {
      const failures = Array.from({ length: 100 }, () => failure("unavailable"))
      const { adapter, asked, reserved } = yield* adapterThat(failures, { latency: 1_000, wait: 500 })
      yield* ended(fetchWithinDeadline(adapter, gsrn, 0))
      for (const { at, within } of asked) assert.closeTo(at + (within ?? 0), 6_000, 1)
      // A slot that comes too late for an answer is not waited for.
      for (const patience of reserved) assert.isAtMost(patience, 5_000)
      assert.isBelow(reserved.at(-1)!, reserved[0]!)
    })
  )
})

describe("anybody", () => {
  it.effect("is asked for once more at once, and once only, when the connection turned out to have been closed", () =>
    Effect.gen(function* () {
      const stale = failure("unavailable", { staleConnection: true })
      const once = yield* adapterThat([stale])
      assert.strictEqual(yield* once.adapter.fetch(gsrn, 0), answer)
      assert.deepStrictEqual([once.asked.length, once.reserved.length], [2, 2])
      const twice = yield* adapterThat([stale, stale])
      assert.strictEqual(yield* Effect.flip(twice.adapter.fetch(gsrn, 0)), stale)
      assert.strictEqual(twice.asked.length, 2)
    })
  )

  it.effect("is asked for just once by the background, whatever else fails", () =>
    Effect.gen(function* () {
      const { adapter, asked } = yield* adapterThat([failure("unavailable")])
      assert.deepInclude(yield* Effect.flip(adapter.fetch(gsrn, 0)), { kind: "unavailable" })
      assert.strictEqual(asked.length, 1)
    })
  )
})
