/**
 * `npm run chaos`, briefly: two instances under load, some faults of the network and then the worst of them, and every
 * promise asked for at the end.
 */
import { assert, it } from "@effect/vitest"
import { NodeServices } from "@effect/platform-node"
import { Effect, FileSystem, Layer } from "effect"
import { chaosPlan, type Episode } from "../../scripts/chaos/chaosPlan.ts"
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
            faultsFor: "25 seconds",
            sites: 3,
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
