/**
 * `npm run chaos` itself runs in `.ci/run`. Here: that it can fail. Instances break a promise on purpose, each in a way of its own,
 * and that promise is named and no other; and what its parts say of what they are told.
 */
import { assert, it } from "@effect/vitest"
import { NodeServices } from "@effect/platform-node"
import { Effect, FileSystem, Layer } from "effect"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { faultNamed, faultNames } from "../../scripts/chaos/allFaults.ts"
import { type BreakName, breakNamed, breakNames, filesOf } from "../../scripts/chaos/breaks.ts"
import type { Asked } from "../../scripts/chaos/ChaosLedger.ts"
import { chaosPlan, type Episode, possible } from "../../scripts/chaos/chaosPlan.ts"
import { type PastFault, recoveryPromises } from "../../scripts/chaos/chaosReport.ts"
import type { PromiseName } from "../../scripts/chaos/Checked.ts"
import { healthPromises } from "../../scripts/chaos/healthPromises.ts"
import { requestPromises } from "../../scripts/chaos/requestPromises.ts"
import { sharedRoles } from "../../scripts/chaos/chaosRoles.ts"
import { runChaos } from "../../scripts/chaos/runChaos.ts"
import { timelinePicture } from "../../scripts/chaos/timelinePicture.ts"
import { TestDatabase } from "../support/TestDatabase.ts"

const timeout = 300_000

/** What meets the broken promise, and which it is. */
const exposed: Readonly<
  Record<BreakName, { readonly episode: Omit<Episode, "quiet">; readonly promise: PromiseName }>
> = {
  // A run that stood still for longer than its lease ends after another one of the same task.
  fencing: { episode: { kind: "overtaken", target: "instance 1", millis: 0 }, promise: "newer" },
  publishing: { episode: { kind: "kill", target: "instances", millis: 100 }, promise: "kept" },
  version: { episode: { kind: "adapter-slow", target: "the adapter", millis: 12_000 }, promise: "newer" }
}
/** Those that do not hang on how fast the machine is. */
const ofData: ReadonlySet<PromiseName> = new Set(["kept", "newer", "budget", "secret"])

for (const broken of breakNames) {
  it.layer(Layer.merge(TestDatabase.layer, NodeServices.layer), { excludeTestServices: true, timeout })(
    `a service that breaks its promise (${broken})`,
    (it) => {
      it.effect(
        "is found out, and no other promise is named",
        () =>
          Effect.gen(function* () {
            const { url } = yield* TestDatabase
            const directory = yield* (yield* FileSystem.FileSystem).makeTempDirectoryScoped()
            const told: Array<string> = []
            const result = yield* runChaos({
              database: url,
              seed: "broken",
              faultsFor: "1 minute",
              sites: 2,
              episodes: [{ ...exposed[broken].episode, quiet: undefined }],
              break: broken,
              directory,
              tell: (line) => Effect.sync(() => told.push(line))
            })
            assert.deepStrictEqual(
              result.brokenPromises.filter((name) => ofData.has(name)),
              [exposed[broken].promise],
              [...told, ...result.broken].join("\n")
            )
          }).pipe(Effect.scoped),
        timeout
      )
    }
  )
}

it("breaks a promise only where the lines that keep it are still there", () => {
  for (const name of breakNames) {
    for (const file of filesOf(name)) {
      const source = readFileSync(join(import.meta.dirname, "../..", file), "utf8")
      assert.notStrictEqual(breakNamed(name)?.(file)?.(source), source)
    }
  }
  const edit = breakNamed("version")?.("src/sync/synchronize.ts")
  assert.throws(() => edit?.("something else"), /does not say any more/)
  assert.isUndefined(breakNamed("version")?.("src/sync/LockStore.ts"))
  assert.throws(() => breakNamed("nothing"), /There is no break/)
})

const shape = { instances: 2, councils: 2, brokers: 3, postgres: "own with a disk" } as const

it("plans the same faults for the same seed, and all of them in their turn", () => {
  const count = faultNames.length
  const plan = (seed: number) => {
    const episodes = chaosPlan({ seed, shape })
    return Array.from({ length: count * 2 }, () => episodes.next().value as Episode)
  }
  assert.deepStrictEqual(plan(1), plan(1))
  assert.notDeepEqual(plan(1), plan(2))
  assert.sameMembers(
    plan(1)
      .slice(0, count)
      .map(({ kind }) => kind),
    [...faultNames]
  )
  assert.sameMembers(
    plan(1)
      .slice(count)
      .map(({ kind }) => kind),
    [...faultNames]
  )
})

it("plans only what is possible: without a server, a disk or brokers of its own there is less to fail", () => {
  const given = possible({ shape: { ...shape, brokers: 0, postgres: "given" } })
  for (const kind of ["postgres-killed", "disk-full", "broker-killed"]) assert.notInclude(given, kind)
  assert.include(given, "stranger")
  assert.notInclude(possible({ shape: { ...shape, postgres: "own" } }), "disk-full")
})

it("lets an instance be overtaken wherever another one has the same work to do", () => {
  const targets = (instances: number) => faultNamed("overtaken").targets({ ...shape, instances })
  assert.deepStrictEqual(targets(1), [])
  assert.deepStrictEqual(
    [2, 3, 4].map((instances) => targets(instances).length),
    [2, 3, 4]
  )
  assert.deepStrictEqual(
    [1, 2, 3].map((number) => sharedRoles(number, 3)),
    [["crawl", "sync"], ["sync"], ["crawl"]]
  )
})

const asked = (one: Partial<Asked>): Asked => ({
  kind: "lookup",
  instance: 1,
  at: 0,
  millis: 20,
  status: 200,
  retryAfter: undefined,
  detail: undefined,
  ...one,
  until: one.until ?? (one.at ?? 0) + (one.millis ?? 20)
})

it("names requests that were late, lost, refused without a reason, or sent away without a time", () => {
  const good = [asked({}), asked({ status: 503, retryAfter: "1" }), asked({ millis: 10_400 })]
  assert.deepStrictEqual(requestPromises(good, 0).broken, [])
  const bad: ReadonlyArray<readonly [Partial<Asked>, RegExp]> = [
    [{ millis: 11_000 }, /no answer within 10 s/],
    [{ status: undefined, millis: 30_000 }, /no answer within 10 s/],
    [{ status: undefined, detail: "other side closed" }, /lost their connection/],
    [{ status: 500, detail: "a defect" }, /the service's/],
    [{ status: 503 }, /not when/]
  ]
  for (const [one, says] of bad) assert.match(requestPromises([asked(one)], 0).broken[0] ?? "", says)
})

it("names an instance that is green without its database, or while it serves nobody", () => {
  const polls = (status: (at: number) => number) =>
    Array.from({ length: 40 }, (_, n) => asked({ kind: "ready", at: n * 500, status: status(n * 500) }))
  const severed = [{ instance: 1, from: 0, to: 20_000 }]
  const notices = polls((at) => (at < 9_000 ? 200 : 503))
  assert.deepStrictEqual(healthPromises(notices, severed, 0).broken, [])
  assert.match(
    healthPromises(
      polls(() => 200),
      severed,
      0
    ).broken[0] ?? "",
    /ready of instance 1 was 200 19 times/
  )

  const unserved = Array.from({ length: 40 }, (_, n) => asked({ at: n * 500, status: 503, retryAfter: "1" }))
  assert.deepStrictEqual(healthPromises([...notices, ...unserved], [], 0).broken, [])
  const [told] = healthPromises([...polls(() => 200), ...unserved], [], 0).broken
  assert.match(told ?? "", /ready, though none of its lookups was served/)
})

it("says nothing of requests that were lost with an instance that was killed, and of others it does", () => {
  // One that began before the instance was away, and lasted until then by the clock, without the time in which there was no processor.
  const begun = asked({ status: undefined, at: 2_000, millis: 1_500, until: 4_100 })
  const lost = [asked({ status: undefined, at: 5_000 }), begun, asked({ status: undefined, at: 5_000, instance: 2 })]
  const outages = new Map([[1, [{ from: 4_000, to: 6_000 }]]])
  assert.match(requestPromises(lost, 0, outages).broken.join(), /1 requests lost their connection.*instance 2/)
})

const past = (recovery: PastFault["recovery"]): PastFault => ({
  kind: "frozen",
  target: "adapter",
  detail: undefined,
  millis: 1_000,
  quiet: 0,
  at: 5_000,
  lasted: 1_000,
  recovery
})

it("names what was not back in time, and says nothing of what nobody waited for", () => {
  const broken = (...faults: ReadonlyArray<PastFault>) => recoveryPromises(faults).broken
  assert.deepStrictEqual(broken(past({ millis: 9_000, missing: [] }), past(undefined)), [])
  assert.match(broken(past({ millis: 12_000, missing: [] }))[0] ?? "", /after 12.0 s/)
  assert.match(broken(past({ millis: undefined, missing: [] }))[0] ?? "", /never seen/)
})

it("draws the faults and what became of the lookups", () => {
  const picture = timelinePicture(
    [past({ millis: 900, missing: [] })],
    [asked({ at: 1_000 }), asked({ status: 503 })],
    0
  )
  assert.match(picture, /^<svg [^>]*xmlns=/)
  assert.include(picture, "adapter: all frozen")
  assert.include(picture, "lookups a second")
})
