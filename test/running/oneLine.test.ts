/** The log has one line when something begins and one when it is over, none for each repetition. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Ref } from "effect"
import { TestClock } from "effect/testing"
import { Loops, repeatPass } from "../../src/running/Loop.ts"
import { stuckLoops } from "../../src/running/stuckLoops.ts"
import { sayOnce } from "../../src/running/sayOnce.ts"
import { makeServerNews } from "../../src/crawl/ServerNews.ts"
import type { ServerTrouble } from "../../src/crawl/ServerBudget.ts"
import { AdapterClient, AdapterFailure } from "../../src/sync/AdapterClient.ts"
import { AdapterWatch } from "../../src/sync/AdapterWatch.ts"
import { gsrnOf } from "../support/gsrns.ts"
import { linesOf } from "../support/linesOf.ts"

describe("a loop", () => {
  it.effect(
    "that fails for ten minutes has a line for each kind of failure and one for the end, and is stuck meanwhile",
    () =>
      Effect.gen(function* () {
        const failure = yield* Ref.make<string | undefined>("StoreUnavailable")
        const lines = yield* linesOf(
          Effect.gen(function* () {
            const pass = Effect.flatMap(Ref.get(failure), (_tag) =>
              _tag === undefined ? Effect.void : Effect.fail({ _tag })
            )
            const loop = yield* Effect.forkChild(
              repeatPass({ name: "one", pauses: "5 seconds" }, pass, () => Effect.sleep("5 seconds"))
            )
            yield* TestClock.adjust("110 seconds")
            assert.deepStrictEqual(yield* stuckLoops, [])
            yield* TestClock.adjust("8 minutes")
            assert.deepStrictEqual(yield* stuckLoops, ["one"])
            yield* Ref.set(failure, "LockTimeout")
            yield* TestClock.adjust("2 minutes")
            yield* Ref.set(failure, undefined)
            yield* TestClock.adjust("2 minutes")
            assert.deepStrictEqual(yield* stuckLoops, [])
            yield* Fiber.interrupt(loop)
          })
        )
        assert.lengthOf(lines, 3)
        assert.deepStrictEqual(lines.slice(0, 2), [
          "WARN one: a pass failed and is tried again until one succeeds StoreUnavailable",
          "WARN one: a pass failed and is tried again until one succeeds LockTimeout"
        ])
        assert.match(lines[2] ?? "", /^INFO one: gets on again, after \d+ s$/)
      }).pipe(Effect.provide(Loops.layer))
  )
})

it.effect("A trouble without an end is told again only after a minute without it", () =>
  Effect.gen(function* () {
    const lines = yield* linesOf(
      Effect.gen(function* () {
        const trouble = sayOnce("trouble of the test", Effect.logWarning("trouble"))
        for (let n = 0; n < 100; n++) yield* Effect.andThen(trouble, TestClock.adjust("10 seconds"))
        yield* TestClock.adjust("2 minutes")
        yield* trouble
      })
    )
    assert.deepStrictEqual(lines, ["WARN trouble", "WARN trouble"])
  })
)

describe("servers", () => {
  const server = (origin: string, state: ServerTrouble["state"], pace = 1): ServerTrouble => ({
    origin,
    state,
    pace,
    uselessSeconds: 0
  })

  it.effect("have a line when they are left alone, slowed or back, whatever happens in between", () =>
    Effect.gen(function* () {
      const news = makeServerNews()
      const lines = yield* linesOf(
        Effect.gen(function* () {
          for (let n = 0; n < 50; n++)
            yield* news.look([server("http://a.nz", "open", 0.05), server("http://b.nz", "slowed", 0.8)])
          assert.strictEqual(news.stateOf("http://a.nz"), "open")
          // It recovers step by step, and its pace goes up and down a little.
          for (const pace of [0.1, 0.4, 0.6, 0.5, 0.9]) yield* news.look([server("http://a.nz", "slowed", pace)])
          yield* news.look([server("http://a.nz", "slowed", 0.99)])
          yield* news.look([server("http://c.nz", "cooling", 1)])
          yield* news.look([])
        })
      )
      assert.deepStrictEqual(lines, [
        "WARN crawl: http://a.nz is left alone, since it has failed many times in a row",
        "WARN crawl: http://a.nz is asked more slowly, since it fails or is slow",
        "INFO crawl: http://a.nz is back, and asked as its limits allow",
        "WARN crawl: http://c.nz is left alone for a while, since it asked for that",
        "INFO crawl: http://c.nz is back, and asked as its limits allow"
      ])
    })
  )

  it.effect("that fail all together have a bounded number of lines", () =>
    Effect.gen(function* () {
      const news = makeServerNews()
      const all = Array.from({ length: 1_000 }, (_, n) => server(`http://${n}.nz`, "open", 0.05))
      const lines = yield* linesOf(Effect.andThen(news.look(all), Effect.andThen(news.look(all), news.look([]))))
      assert.lengthOf(lines, 42)
      assert.strictEqual(lines[20], 'WARN crawl: more servers have changed {"worse":980,"back":0}')
    })
  )
})

describe("an adapter", () => {
  const failing = new AdapterFailure({ kind: "unavailable", detail: "scripted" })
  const useful = { timelines: {}, entityTypes: new Map(), location: undefined } as never

  it.effect("that answers nothing useful has a line when that begins and one when it is over, whoever asks", () =>
    Effect.gen(function* () {
      const failure = yield* Ref.make<AdapterFailure | undefined>(undefined)
      const { uselessFor, watched } = yield* AdapterWatch
      const client = watched(
        AdapterClient.of({
          configured: true,
          fetch: () =>
            Effect.flatMap(Ref.get(failure), (now) => (now === undefined ? Effect.succeed(useful) : Effect.fail(now)))
        })
      )
      const ask = (n: number) => Effect.ignore(client.fetch(gsrnOf(n), 0))
      const lines = yield* linesOf(
        Effect.gen(function* () {
          yield* ask(1)
          assert.strictEqual(yield* uselessFor, 0)
          yield* Ref.set(failure, failing)
          for (let n = 0; n < 100; n++) yield* Effect.andThen(ask(n % 7), TestClock.adjust("10 seconds"))
          assert.strictEqual(yield* uselessFor, 1_000_000)
          yield* Ref.set(failure, undefined)
          yield* Effect.andThen(ask(1), ask(2))
          assert.strictEqual(yield* uselessFor, 0)
        })
      )
      assert.deepStrictEqual(lines, [
        "WARN adapter: answers nothing useful",
        "INFO adapter: gives useful answers again, after 1000 s"
      ])
    }).pipe(Effect.provide(AdapterWatch.layer))
  )

  it.effect("of which one accounting point fails, or that is not asked any more, is not called useless", () =>
    Effect.gen(function* () {
      const { uselessFor, watched } = yield* AdapterWatch
      const client = watched(
        AdapterClient.of({
          configured: true,
          fetch: (gsrn) => (gsrn === gsrnOf(1) ? Effect.fail(failing) : Effect.succeed(useful))
        })
      )
      const ask = (n: number) => Effect.ignore(client.fetch(gsrnOf(n), 0))
      const lines = yield* linesOf(
        Effect.gen(function* () {
          for (let n = 0; n < 60; n++)
            yield* Effect.andThen(Effect.andThen(ask(1), ask(2)), TestClock.adjust("1 minute"))
          assert.strictEqual(yield* uselessFor, 0)
          yield* Effect.andThen(ask(1), ask(1))
          yield* TestClock.adjust("10 minutes")
          assert.strictEqual(yield* uselessFor, 600_000)
          yield* TestClock.adjust("1 hour")
          assert.strictEqual(yield* uselessFor, 0)
        })
      )
      assert.deepStrictEqual(lines, [])
    }).pipe(Effect.provide(AdapterWatch.layer))
  )
})
