/** What is done about a cluster that changes: how often it is asked, for how long, and what is given up at once. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { type KafkaCluster, KafkaFailure } from "../../../layers/kafka/KafkajsProtocol.ts"
import { mayPass, throughMoves } from "../../../layers/kafka/kafkajsMoves.ts"

const failure = (kind: string, cause: unknown) => new KafkaFailure({ reason: { _tag: kind }, cause })
const moved = failure("NOT_LEADER_FOR_PARTITION", { retriable: true })

/** Only its metadata are asked for. */
const clusterOf = (asked: { times: number }) =>
  ({ refreshMetadata: () => Promise.resolve(void asked.times++) }) as unknown as KafkaCluster

/** Lets the clock run as far as the program sleeps, at most so many seconds. */
const running = <A, E>(program: Effect.Effect<A, E>, seconds: number) =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(Effect.exit(program))
    for (let step = 0; step < seconds * 20; step++) {
      yield* TestClock.adjust("50 millis")
      // The answer of the cluster comes in a turn of the event loop.
      yield* Effect.promise(() => new Promise(setImmediate))
    }
    return fiber
  })

describe("a cluster that changes", () => {
  it("is known from failures that kafkajs says may be tried again, also where it has given up itself", () => {
    assert.isTrue(mayPass(moved))
    assert.isTrue(mayPass(failure("LEADER_NOT_AVAILABLE", { retriable: false, cause: { retriable: true } })))
    assert.isFalse(mayPass(failure("INVALID_PRODUCER_EPOCH", { retriable: false })))
    assert.isFalse(mayPass(failure("NoAnswer", undefined)))
  })

  it.effect("is asked a few times in ten seconds, and for no longer than said", () =>
    Effect.gen(function* () {
      const asked = { times: 0 }
      const started: Array<number> = []
      const program = Effect.andThen(
        Effect.flatMap(Clock.currentTimeMillis, (now) => Effect.sync(() => started.push(now))),
        Effect.fail(moved)
      )
      const fiber = yield* running(throughMoves(clusterOf(asked), 10_000, program), 15)
      assert.strictEqual((yield* Fiber.join(fiber))._tag, "Failure")
      assert.isAtLeast(started.length, 10)
      assert.isAtMost(started.length, 25)
      assert.strictEqual(asked.times, started.length - 1)
      assert.isAtMost(started.at(-1)! - started[0]!, 12_000)
    })
  )

  it.effect("is waited for anew when all went well for a while", () =>
    Effect.gen(function* () {
      let runs = 0
      const program = Effect.andThen(
        Effect.delay(
          Effect.sync(() => runs++),
          "8 seconds"
        ),
        Effect.fail(moved)
      )
      const fiber = yield* running(throughMoves(clusterOf({ times: 0 }), 10_000, program), 60)
      assert.isAtLeast(runs, 6)
      yield* Fiber.interrupt(fiber)
    })
  )

  it.effect("is no reason for failures of another kind", () =>
    Effect.gen(function* () {
      const asked = { times: 0 }
      const fenced = failure("INVALID_PRODUCER_EPOCH", { retriable: false })
      assert.strictEqual(yield* Effect.flip(throughMoves(clusterOf(asked), 10_000, Effect.fail(fenced))), fenced)
      assert.strictEqual(yield* Effect.flip(throughMoves(clusterOf(asked), 10_000, Effect.fail("other"))), "other")
      assert.strictEqual(asked.times, 0)
    })
  )
})
