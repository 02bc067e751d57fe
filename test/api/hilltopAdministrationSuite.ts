/**
 * What every `HilltopAdministration` must do beside a queue. Run over memory and over PostgreSQL, on the real clock; each
 * test uses a council and a server of its own.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, type Layer } from "effect"
import { HilltopAdministration, SourceExists } from "../../src/api/HilltopAdministration.ts"
import { HilltopQueue } from "../../src/crawl/HilltopQueue.ts"
import { decide, type Decision, estimateOf, unknownServer } from "../../src/crawl/RefreshPolicy.ts"
import { HilltopSources } from "../../src/crawl/HilltopSources.ts"
import { nothingNoted } from "../../src/crawl/SiteNote.ts"
import type { NewTask } from "../../src/domain/FetchTask.ts"
import { HtsUrl } from "../../src/hilltop/HilltopUrl.ts"
import { settlementOf } from "../crawl/settlementOf.ts"

const registration = (council: number, more: object = {}) => ({
  council_id: council,
  hts_url: HtsUrl.make(`https://council-${council}.example.nz/data.hts`),
  configuration: { measurementNames: ["Rainfall"] },
  ...more
})

const added = Effect.fnUntraced(function* (council: number, more?: object) {
  const administration = yield* HilltopAdministration
  return { administration, source: yield* administration.addSource(registration(council, more)) }
})

/** Whether the crawl sees the source. */
const isAsked = (id: number) =>
  Effect.map(
    Effect.flatMap(HilltopSources, (sources) => sources.list),
    (all) => all.some((source) => source.id === id)
  )

/** What the policy keeps of a series that brings a value every quarter of an hour, after a day. */
const learnt = () => {
  const quarter = 900_000
  const start = Date.UTC(2026, 1, 20)
  let decision: Decision | undefined
  for (let at = start; at < start + 96 * quarter; at += quarter) {
    const newest = at - 400_000
    const look = {
      requestType: "MEASUREMENT_DATA_LATEST",
      at,
      added: 1,
      revised: false,
      newest,
      firstAdded: newest
    } as const
    decision = decide(decision?.kept, { ...look, step: quarter }, unknownServer, 1)
  }
  return decision!
}

const everyTask = { source: undefined, type: undefined, status: undefined, after: 0, limit: 1_000 }

export const hilltopAdministrationSuite = <E>(
  name: string,
  layer: Layer.Layer<HilltopAdministration | HilltopQueue | HilltopSources, E>
) =>
  describe(name, () => {
    it.layer(layer, { excludeTestServices: true })((it) => {
      it.effect("adds a source, shows it as it was entered, and knows it by council and address", () =>
        Effect.gen(function* () {
          const { administration, source } = yield* added(1)
          assert.deepStrictEqual(yield* administration.findSource(source.id), source)
          assert.deepStrictEqual(
            [source.council_id, source.hts_url, source.configuration, source.paused, source.problem],
            [1, "https://council-1.example.nz/data.hts", { measurementNames: ["Rainfall"] }, false, null]
          )
          assert.instanceOf(yield* Effect.flip(administration.addSource(registration(1))), SourceExists)
          assert.isTrue(yield* isAsked(source.id))
        })
      )

      it.effect("lists sources by id, from after one on", () =>
        Effect.gen(function* () {
          const { administration, source } = yield* added(10)
          const { source: next } = yield* added(11)
          const listed = yield* administration.listSources({ after: source.id - 1, limit: 2 })
          assert.deepStrictEqual(
            listed.map(({ id }) => id),
            [source.id, next.id]
          )
          assert.deepStrictEqual(yield* administration.listSources({ after: next.id, limit: 5 }), [])
        })
      )

      it.effect(
        "shows what a source's lists leave in doubt as its problem, and what makes it unusable before that",
        () =>
          Effect.gen(function* () {
            const { administration, source } = yield* added(22)
            const sources = yield* HilltopSources
            const problem = Effect.map(administration.findSource(source.id), (one) => one!.problem)
            yield* sources.note(source.id, "Awa", { ...nothingNoted, listed: true, nearby: ['["Rain","rain"]'] })
            assert.match((yield* problem) ?? "", /listed are "Rain" with "rain"/)
            assert.isTrue(yield* isAsked(source.id))
            yield* sources.report(source.id, "no measurements")
            assert.strictEqual(yield* problem, "no measurements")
          })
      )

      it.effect("replaces a source, clears its problem, and not by one that is there already", () =>
        Effect.gen(function* () {
          const { administration, source } = yield* added(20)
          yield* added(21)
          yield* (yield* HilltopSources).report(source.id, "no measurements")
          assert.strictEqual((yield* administration.findSource(source.id))!.problem, "no measurements")
          const changed = registration(20, { configuration: { measurementNames: ["Flow"] } })
          const replaced = (yield* administration.replaceSource(source.id, changed))!
          assert.deepStrictEqual([replaced.configuration, replaced.problem], [{ measurementNames: ["Flow"] }, null])
          assert.instanceOf(yield* Effect.flip(administration.replaceSource(source.id, registration(21))), SourceExists)
          assert.isUndefined(yield* administration.replaceSource(999_999, registration(29)))
        })
      )

      it.effect("pauses a source and resumes it as it is, a problem being no obstacle", () =>
        Effect.gen(function* () {
          const { administration, source } = yield* added(30)
          yield* (yield* HilltopSources).report(source.id, "no measurements")
          assert.isTrue(yield* administration.pauseSource(source.id))
          assert.isTrue((yield* administration.findSource(source.id))!.paused)
          assert.isFalse(yield* isAsked(source.id))
          const resumed = (yield* administration.resumeSource(source.id))!
          assert.deepStrictEqual([resumed.paused, resumed.problem], [false, "no measurements"])
          assert.isTrue(yield* isAsked(source.id))
          assert.isFalse(yield* administration.pauseSource(999_999))
          assert.isUndefined(yield* administration.resumeSource(999_999))
        })
      )

      it.effect("shows tasks by status, and runs any of them now", () =>
        Effect.gen(function* () {
          const queue = yield* HilltopQueue
          const { administration, source } = yield* added(40)
          const task = (n: number): NewTask => ({
            sourceId: source.id,
            requestType: n === 0 ? "SITES_LIST" : "MEASUREMENT_DATA",
            fetchUrl: `${source.hts_url}?n=${n}`,
            details: {}
          })
          yield* queue.enqueue([0, 1, 2].map(task))
          const claimed = (yield* queue.claim(1_000)).filter(({ sourceId }) => sourceId === source.id)
          assert.lengthOf(claimed, 3)
          const [rests, fails, runs] = claimed
          yield* queue.settle([
            settlementOf(rests!, { setAside: "excluded" }),
            settlementOf(fails!, { attempts: 2, hash: undefined })
          ])
          yield* queue.enqueue([task(3)])
          const shown = (filter: object) =>
            Effect.map(administration.listTasks({ ...everyTask, source: source.id, ...filter }), (tasks) =>
              tasks.map(({ id, status }) => [id, status])
            )
          const all = yield* shown({})
          const due = all.find(([, status]) => status === "due")!
          assert.sameDeepMembers(all, [[rests!.id, "set_aside"], [fails!.id, "failing"], [runs!.id, "claimed"], due])
          assert.deepStrictEqual(yield* shown({ status: "failing" }), [[fails!.id, "failing"]])
          assert.lengthOf(yield* shown({ type: "SITES_LIST" }), 1)
          assert.deepStrictEqual(yield* shown({ after: all[2]![0] }), [all[3]])
          assert.lengthOf(yield* shown({ limit: 2 }), 2)
          const [resting] = yield* administration.listTasks({ ...everyTask, source: source.id, status: "set_aside" })
          assert.deepStrictEqual([resting!.set_aside_reason, resting!.history.length], ["excluded", 1])

          yield* administration.runTask(fails!.id)
          const claimedAgain = (yield* queue.claim(1_000)).find(({ id }) => id === fails!.id)!
          yield* queue.settle([settlementOf(claimedAgain, { attempts: 5, hash: undefined, unavailable: true })])
          assert.deepInclude(yield* shown({ status: "scheduled" }), [fails!.id, "scheduled"], "no failure any more")
          const [unavailable] = yield* administration.listTasks({
            ...everyTask,
            source: source.id,
            status: "scheduled"
          })
          assert.isAtMost(Math.abs(unavailable!.unavailable_since! - Date.now()), 60_000)

          const again = (yield* administration.runTask(rests!.id))!
          assert.deepStrictEqual([again.status, again.set_aside_reason], ["due", null])
          assert.isAtMost((yield* administration.runTask(fails!.id))!.next_fetch_at, Date.now())
          assert.strictEqual((yield* administration.runTask(runs!.id))!.status, "claimed")
          yield* queue.settle([settlementOf(runs!, {})])
          assert.deepInclude(yield* shown({ status: "due" }), [runs!.id, "due"], "wanted again while it ran")
          assert.isUndefined(yield* administration.runTask(999_999_999))
        })
      )

      it.effect("shows what was learnt of a task and why it is due when it is, once anything is known", () =>
        Effect.gen(function* () {
          const queue = yield* HilltopQueue
          const { administration, source } = yield* added(60)
          const task = (n: number): NewTask => ({
            sourceId: source.id,
            requestType: "MEASUREMENT_DATA_LATEST",
            fetchUrl: `${source.hts_url}?n=${n}`,
            details: {}
          })
          yield* queue.enqueue([1, 2, 3].map(task))
          const shown = Effect.map(administration.listTasks({ ...everyTask, source: source.id }), (tasks) =>
            tasks.map(({ refresh }) => refresh)
          )
          assert.deepStrictEqual(yield* shown, [null, null, null])
          const claimed = (yield* queue.claim(1_000)).filter(({ sourceId }) => sourceId === source.id)
          const { kept, reason } = learnt()
          yield* queue.settle(
            claimed.map((each) =>
              settlementOf(each, {
                refresh: each.fetchUrl.endsWith("1")
                  ? { kept, reason }
                  : each.fetchUrl.endsWith("2")
                    ? { kept: "by hand", reason: "because" }
                    : undefined
              })
            )
          )
          const [first, second, third] = yield* shown
          assert.strictEqual(first?.reason, reason)
          assert.strictEqual(first?.estimate?.period_seconds, estimateOf(kept)?.periodSeconds)
          assert.deepStrictEqual(second, { estimate: null, reason: "because" })
          assert.isNull(third)
        })
      )
    })
  })
