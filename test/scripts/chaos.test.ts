/**
 * `npm run chaos`, briefly: two instances under load, some faults of the network and then the worst of them, and every
 * promise asked for at the end.
 */
import { assert, it } from "@effect/vitest"
import { NodeServices } from "@effect/platform-node"
import { Effect, FileSystem, Layer } from "effect"
import type { Asked } from "../../scripts/chaos/ChaosLedger.ts"
import { chaosPlan, type Episode } from "../../scripts/chaos/chaosPlan.ts"
import { type PastFault, recoveryPromises } from "../../scripts/chaos/chaosReport.ts"
import { healthPromises } from "../../scripts/chaos/healthPromises.ts"
import { requestPromises } from "../../scripts/chaos/requestPromises.ts"
import { runChaos } from "../../scripts/chaos/runChaos.ts"
import { TestDatabase } from "../support/TestDatabase.ts"

const timeout = 300_000

it.layer(Layer.merge(TestDatabase.layer, NodeServices.layer), { excludeTestServices: true, timeout })(
  "a network that fails",
  (it) => {
    it.effect(
      "leaves nobody without an answer, loses nothing, and is over ten seconds after it ended",
      () =>
        Effect.gen(function* () {
          const { url } = yield* TestDatabase
          const directory = yield* (yield* FileSystem.FileSystem).makeTempDirectoryScoped()
          const told: Array<string> = []
          const { broken } = yield* runChaos({
            database: url,
            seed: "suite",
            faultsFor: "15 seconds",
            sites: 2,
            directory,
            tell: (line) => Effect.sync(() => told.push(line))
          })
          assert.deepStrictEqual(broken, [], told.join("\n"))
        }).pipe(Effect.scoped),
      timeout
    )
  }
)

it("plans the same faults for the same seed, and all of them in their turn", () => {
  const plan = (seed: number) => {
    const episodes = chaosPlan({ seed, kafka: true })
    return Array.from({ length: 70 }, () => episodes.next().value as Episode)
  }
  assert.deepStrictEqual(plan(1), plan(1))
  assert.notDeepEqual(plan(1), plan(2))
  assert.strictEqual(new Set(plan(1).map(({ kind, target }) => `${kind} ${target}`)).size, 70)
})

const asked = (one: Partial<Asked>): Asked => ({
  kind: "lookup",
  instance: 1,
  at: 0,
  millis: 20,
  status: 200,
  retryAfter: undefined,
  detail: undefined,
  ...one
})

it("names requests that were late, lost, refused without a reason, or sent away without a time", () => {
  const good = [asked({}), asked({ status: 503, retryAfter: "1" }), asked({ millis: 10_400 })]
  assert.deepStrictEqual(requestPromises(good, 0), [])
  const bad: ReadonlyArray<readonly [Partial<Asked>, RegExp]> = [
    [{ millis: 11_000 }, /no answer within 10 s/],
    [{ status: undefined, millis: 30_000 }, /no answer within 10 s/],
    [{ status: undefined, detail: "other side closed" }, /lost their connection/],
    [{ status: 500, detail: "a defect" }, /the service's/],
    [{ status: 503 }, /not when/]
  ]
  for (const [one, says] of bad) assert.match(requestPromises([asked(one)], 0)[0] ?? "", says)
})

it("names an instance that is green without its database, or while it serves nobody", () => {
  const polls = (status: (at: number) => number) =>
    Array.from({ length: 40 }, (_, n) => asked({ kind: "ready", at: n * 500, status: status(n * 500) }))
  const severed = [{ instance: 1, from: 0, to: 20_000 }]
  const notices = polls((at) => (at < 9_000 ? 200 : 503))
  assert.deepStrictEqual(healthPromises(notices, severed, 0), [])
  assert.match(
    healthPromises(
      polls(() => 200),
      severed,
      0
    )[0] ?? "",
    /ready of instance 1 was 200 19 times/
  )

  const unserved = Array.from({ length: 40 }, (_, n) => asked({ at: n * 500, status: 503, retryAfter: "1" }))
  assert.deepStrictEqual(healthPromises([...notices, ...unserved], [], 0), [])
  const [told] = healthPromises([...polls(() => 200), ...unserved], [], 0)
  assert.match(told ?? "", /ready, though none of its lookups was served/)
})

it("names what was not back in time, and says nothing of what nobody waited for", () => {
  const fault = (recovery: PastFault["recovery"]): PastFault => ({
    kind: "frozen",
    target: "adapter",
    millis: 1_000,
    quiet: 0,
    at: 5_000,
    lasted: 1_000,
    recovery
  })
  assert.deepStrictEqual(recoveryPromises([fault({ millis: 9_000, missing: [] }), fault(undefined)]), [])
  assert.match(recoveryPromises([fault({ millis: 12_000, missing: [] })])[0] ?? "", /after 12.0 s/)
  assert.match(recoveryPromises([fault({ millis: undefined, missing: [] })])[0] ?? "", /never seen/)
})
