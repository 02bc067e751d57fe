/**
 * What every implementation of `HilltopSources` must do with a source's tasks when its configuration changes. Run over memory
 * and over PostgreSQL.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, type Layer } from "effect"
import type { NewTask, SetAsideReason } from "../../src/domain/FetchTask.ts"
import type { UsableSource } from "../../src/crawl/FetchPlan.ts"
import { HilltopQueue } from "../../src/crawl/HilltopQueue.ts"
import { HilltopSources } from "../../src/crawl/HilltopSources.ts"
import { planChange } from "../../src/crawl/PlanChange.ts"
import { HtsUrl } from "../../src/hilltop/HilltopUrl.ts"

export interface SourcesArrange {
  readonly addSource: (htsUrl: string) => Effect.Effect<number, unknown>
  readonly tasks: (sourceId: number) => Effect.Effect<
    ReadonlyArray<{
      readonly url: string
      readonly reason: SetAsideReason | undefined
      readonly due: "now" | "later" | "again"
    }>,
    unknown
  >
  /** Puts all tasks of the source off, and takes a lease on one if told so. */
  readonly putOff: (sourceId: number, leased?: string) => Effect.Effect<void, unknown>
  readonly setAside: (sourceId: number, url: string, reason: SetAsideReason) => Effect.Effect<void, unknown>
}

export const hilltopSourcesSuite = <R, E>(
  name: string,
  layer: Layer.Layer<HilltopQueue | HilltopSources | R, E>,
  arrange: Effect.Effect<SourcesArrange, never, R>
) =>
  describe(name, () => {
    it.layer(layer, { excludeTestServices: true })((it) => {
      let servers = 0
      const arranged = Effect.gen(function* () {
        const queue = yield* HilltopQueue
        const sources = yield* HilltopSources
        const tools = yield* arrange
        const htsUrl = HtsUrl.make(`http://sources-${++servers}.example.nz/data.hts`)
        const id = yield* tools.addSource(htsUrl)
        const source = (
          measurementNames: ReadonlyArray<string>,
          excludedSitesNames: ReadonlyArray<string> = []
        ): UsableSource => ({
          id,
          councilId: 1,
          htsUrl,
          configuration: { measurementNames, excludedSitesNames }
        })
        const task = (requestType: NewTask["requestType"], n: number, details: NewTask["details"]): NewTask => ({
          sourceId: id,
          requestType,
          fetchUrl: `${htsUrl}?Service=Hilltop&n=${n}`,
          details
        })
        yield* queue.enqueue([
          task("SITES_LIST", 0, {}),
          task("MEASUREMENTS_LIST", 1, { siteName: "A" }),
          task("MEASUREMENTS_LIST", 2, { siteName: "B" }),
          task("MEASUREMENT_DATA", 3, { siteName: "A", measurementName: "Rain", measurement: "Rain" }),
          task("MEASUREMENT_DATA_LATEST", 4, { siteName: "B", measurementName: "Rain", measurement: "Rain" }),
          task("MEASUREMENT_DATA", 5, { siteName: "A", measurementName: "Level", measurement: "Stage" }),
          { ...task("MEASUREMENT_DATA", 6, {}), fetchUrl: "http://elsewhere.example.nz/by-hand" }
        ])
        yield* tools.putOff(id)
        const replan = Effect.fnUntraced(function* (wanted: UsableSource) {
          const row = (yield* sources.list).find((each) => each.id === id)
          const change = planChange(wanted, row?.planned)
          if (change !== undefined) yield* sources.replan(change)
          return change
        })
        const state = Effect.map(tools.tasks(id), (tasks) =>
          tasks.map(
            ({ due, reason, url }) =>
              `${url.at(-1)}${reason === undefined ? "" : ` ${reason}`}${due === "later" ? "" : ` ${due}`}`
          )
        )
        return { htsUrl, id, replan, source, sources, state, tools }
      })
      const all = ["Rain", "Level", "Stage"]

      it.effect("makes all lists due for what is new, once, and keeps what the tasks were planned from", () =>
        Effect.gen(function* () {
          const { id, replan, source, state, tools } = yield* arranged
          yield* replan(source(all))
          assert.deepStrictEqual(yield* state, ["0 now", "1 now", "2 now", "3", "4", "5", "d"])
          yield* tools.putOff(id)
          assert.isUndefined(yield* replan(source(all)))
          assert.deepStrictEqual(yield* state, ["0", "1", "2", "3", "4", "5", "d"])
        })
      )

      it.effect("lets a change take effect once when two instances see it", () =>
        Effect.gen(function* () {
          const { id, replan, source, sources, state, tools } = yield* arranged
          const change = yield* replan(source(all))
          yield* tools.putOff(id)
          yield* sources.replan(change!)
          assert.deepStrictEqual(yield* state, ["0", "1", "2", "3", "4", "5", "d"])
        })
      )

      it.effect("judges again when another instance judged by another configuration meanwhile", () =>
        Effect.gen(function* () {
          const { id, replan, source, sources, state } = yield* arranged
          const late = planChange(source(["Rain"]), undefined)
          yield* replan(source(all))
          yield* sources.replan(late!)
          yield* replan(source(all))
          assert.deepStrictEqual(
            (yield* state).map((each) => each.replace(" now", "")),
            ["0", "1", "2", "3", "4", "5", "d"]
          )
          assert.deepStrictEqual(
            planChange(source(all), (yield* sources.list).find((row) => row.id === id)?.planned),
            undefined
          )
        })
      )

      it.effect("lets the tasks of excluded sites rest, and go on when they are wanted again", () =>
        Effect.gen(function* () {
          const { id, replan, source, state, tools } = yield* arranged
          yield* replan(source(all))
          yield* tools.putOff(id)
          yield* replan(source(all, ["A"]))
          assert.deepStrictEqual(yield* state, ["0 now", "1 excluded", "2", "3 excluded", "4", "5 excluded", "d"])
          yield* replan(source(["Rain"], ["A"]))
          assert.deepStrictEqual(yield* state, ["0 now", "1 excluded", "2 now", "3 excluded", "4", "5 excluded", "d"])
          yield* tools.putOff(id)
          yield* replan(source(["Rain"]))
          assert.deepStrictEqual(yield* state, ["0 now", "1", "2", "3", "4", "5 unwanted", "d"])
        })
      )

      it.effect("lets the tasks of measurements rest that are wanted no more, by either of their names", () =>
        Effect.gen(function* () {
          const { replan, source, state } = yield* arranged
          yield* replan(source(["Rain", "Level"]))
          assert.deepStrictEqual(yield* state, ["0 now", "1 now", "2 now", "3", "4", "5 unwanted", "d"])
          yield* replan(source(["Level", "Stage"]))
          assert.deepStrictEqual(yield* state, ["0 now", "1 now", "2 now", "3 unwanted", "4 unwanted", "5", "d"])
        })
      )

      it.effect("lets the tasks of another address rest, and leaves alone what was queued by hand", () =>
        Effect.gen(function* () {
          const { replan, source, state } = yield* arranged
          yield* replan(source(all))
          yield* replan({ ...source(all), htsUrl: HtsUrl.make("http://moved.example.nz/data.hts") })
          const rest = [0, 1, 2, 3, 4, 5].map((n) => `${n} unwanted`)
          assert.deepStrictEqual(
            (yield* state).map((each) => each.replace(" now", "")),
            [...rest, "d"]
          )
        })
      )

      it.effect("leaves tasks alone that rest for other reasons", () =>
        Effect.gen(function* () {
          const { htsUrl, id, replan, source, state, tools } = yield* arranged
          yield* tools.setAside(id, `${htsUrl}?Service=Hilltop&n=3`, "divided")
          yield* tools.setAside(id, `${htsUrl}?Service=Hilltop&n=1`, "lost")
          yield* replan(source(all, ["A"]))
          yield* replan(source(all))
          assert.deepStrictEqual(yield* state, ["0 now", "1 lost", "2 now", "3 divided", "4", "5", "d"])
        })
      )

      it.effect("asks again for a list that runs at that moment", () =>
        Effect.gen(function* () {
          const { htsUrl, id, replan, source, state, tools } = yield* arranged
          yield* tools.putOff(id, `${htsUrl}?Service=Hilltop&n=1`)
          yield* replan(source(all))
          assert.deepStrictEqual(yield* state, ["0 now", "1 again", "2 now", "3", "4", "5", "d"])
        })
      )

      it.effect("reports and forgets a problem", () =>
        Effect.gen(function* () {
          const { id, sources } = yield* arranged
          const problem = Effect.map(sources.list, (rows) => rows.find((row) => row.id === id)?.problem)
          yield* sources.report(id, "names no measurement")
          assert.strictEqual(yield* problem, "names no measurement")
          yield* sources.report(id, undefined)
          assert.isUndefined(yield* problem)
        })
      )
    })
  })
