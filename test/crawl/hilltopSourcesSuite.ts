/**
 * What every implementation of `HilltopSources` must do with a source's tasks when its configuration changes. Run over memory
 * and over PostgreSQL.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import type { NewTask, SetAsideReason } from "../../src/domain/FetchTask.ts"
import type { UsableSource } from "../../src/crawl/FetchPlan.ts"
import { SaxesXmlScanner } from "../../layers/hilltop/SaxesXmlScanner.ts"
import { HilltopClient, HilltopFetchFailed } from "../../src/hilltop/HilltopClient.ts"
import { HilltopQueue } from "../../src/crawl/HilltopQueue.ts"
import { HilltopSources } from "../../src/crawl/HilltopSources.ts"
import { nothingNoted, type SiteNote } from "../../src/crawl/SiteNote.ts"
import { runTask } from "../../src/crawl/runTask.ts"
import { MemoryTopics } from "../../src/stream/MemoryTopics.ts"
import { planChange } from "../../src/crawl/PlanChange.ts"
import { HtsUrl } from "../../src/hilltop/HilltopUrl.ts"

export interface SourcesArrange {
  readonly pause: (sourceId: number) => Effect.Effect<void, unknown>
  /** Writes the source's address and configuration, as an operator does. */
  readonly configure: (sourceId: number, htsUrl: string, configuration: object) => Effect.Effect<void, unknown>
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
        /** As an operator and the watch of the sources do it together. */
        const move = (wanted: UsableSource) =>
          Effect.andThen(tools.configure(id, wanted.htsUrl, wanted.configuration), replan(wanted))
        const state = Effect.map(tools.tasks(id), (tasks) =>
          tasks.map(
            ({ due, reason, url }) =>
              `${url.at(-1)}${reason === undefined ? "" : ` ${reason}`}${due === "later" ? "" : ` ${due}`}`
          )
        )
        return { htsUrl, id, move, replan, source, sources, state, tools }
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

      it.effect("keeps notes of sites, and the doubt that they make together, which stops nothing", () =>
        Effect.gen(function* () {
          const { id, move, source, sources } = yield* arranged
          yield* move(source(all))
          const row = Effect.map(sources.list, (rows) => rows.find((each) => each.id === id)!)
          const doubt = Effect.map(row, (one) => one.doubt)
          const series = (...names: ReadonlyArray<string>) => JSON.stringify(names)
          const note = (siteName: string, change: Partial<SiteNote>) =>
            sources.note(id, siteName, { ...nothingNoted, listed: true, ...change })
          assert.isUndefined(yield* sources.noteOf(id, "A"))
          yield* note("A", { nearby: [series("Level", "stage"), series("Rain", "rain")] })
          yield* note("B", { nearby: [series("Wind", "Wind")] })
          assert.match((yield* doubt) ?? "", /listed are "Level" with "stage", "Rain" with "rain", "Wind" with "Wind"$/)
          const found = { ...nothingNoted, listed: true, found: [series("Level", "Stage")] }
          yield* sources.note(id, "A", found)
          assert.deepStrictEqual(yield* sources.noteOf(id, "A"), found)
          assert.isUndefined(yield* doubt)
          yield* note("A", { vanished: [series("Level", "Stage"), series("Rain", "Rain")], units: ["metres"] })
          for (const site of ["D", "C", "E"]) yield* note(site, { vanished: [series("Rain", "Rain")] })
          assert.strictEqual(
            yield* doubt,
            'listed no more: "Level" with "Stage" at "A", "Rain" with "Rain" at "A", "Rain" with "Rain" at "C" and 2 more; ' +
              'other units in the document than in the list: metres at "A"'
          )
          assert.isUndefined((yield* row).problem)
          // Who knows that a site is closed excludes it.
          yield* move(source(all, ["A", "C", "D"]))
          assert.strictEqual(yield* doubt, 'listed no more: "Rain" with "Rain" at "E"')
          // A macron is one character or two, and looks alike.
          yield* note("Ōhau", { vanished: [series("Rain", "Rain")] })
          yield* move(source(all, ["A", "C", "D", "Ōhau".normalize("NFD")]))
          assert.strictEqual(yield* doubt, 'listed no more: "Rain" with "Rain" at "E"')
          yield* move(source(all, ["A", "C", "D", "ōhau"]))
          assert.match((yield* doubt) ?? "", /at "E", "Rain" with "Rain" at "Ōhau"$/)
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

      it.effect("judges what was queued by hand by the site that it asks about", () =>
        Effect.gen(function* () {
          const { htsUrl, id, replan, source, state } = yield* arranged
          const queue = yield* HilltopQueue
          const byHand = { sourceId: id, requestType: "MEASUREMENT_DATA", details: {} } as const
          yield* queue.enqueue([
            { ...byHand, fetchUrl: `${htsUrl}?Service=Hilltop&Site=%41&n=7` },
            { ...byHand, fetchUrl: `${htsUrl}?Service=Hilltop&Site=B&n=8` }
          ])
          yield* replan(source(all, ["A"]))
          assert.deepStrictEqual((yield* state).slice(-2), ["7 excluded now", "8 now"])
        })
      )

      it.effect("never asks for what a list queues that was under way while its source changed", () =>
        Effect.gen(function* () {
          const { htsUrl, id, move, replan, source, state, tools } = yield* arranged
          const queue = yield* HilltopQueue
          const moved = { ...source(["Rain"], ["A"]), htsUrl: HtsUrl.make(htsUrl.replace("data", "moved")) }
          yield* replan(source(all))
          yield* move(moved)
          yield* tools.putOff(id)
          const late = (n: number, siteName: string, name: string, base: string = moved.htsUrl): NewTask => ({
            sourceId: id,
            requestType: "MEASUREMENT_DATA",
            fetchUrl: `${base}?Service=Hilltop&n=${n}`,
            details: { siteName, measurementName: name, measurement: name }
          })
          yield* queue.enqueue([
            late(7, "B", "Rain", htsUrl),
            late(8, "A", "Rain"),
            late(9, "B", "Level"),
            { ...late(0, "B", "Rain", htsUrl), requestType: "MEASUREMENTS_LIST", details: { siteName: "B" } }
          ])
          const asked: Array<string> = []
          const client = HilltopClient.of({
            fetch: (url) =>
              Effect.suspend(() => {
                asked.push(url)
                return Effect.fail(new HilltopFetchFailed({ kind: "unreachable", detail: "no connection" }))
              })
          })
          for (;;) {
            const claimed = (yield* queue.claim(100)).filter(({ sourceId }) => sourceId === id)
            if (claimed.length === 0) break
            const run = Effect.forEach(claimed, (task) => runTask(task, "raw"))
            yield* queue.settle(yield* Effect.provideService(run, HilltopClient, client))
          }
          assert.deepStrictEqual(asked, [])
          assert.deepStrictEqual((yield* state).slice(-4), ["7 unwanted", "8 excluded", "9 unwanted", "0 unwanted"])
        }).pipe(Effect.provide(Layer.merge(MemoryTopics.layer({ raw: 16 }), SaxesXmlScanner)))
      )

      it.effect("asks nothing of a source that is paused", () =>
        Effect.gen(function* () {
          const { id, replan, source, tools } = yield* arranged
          const queue = yield* HilltopQueue
          yield* replan(source(all))
          yield* tools.pause(id)
          assert.deepStrictEqual(
            (yield* queue.claim(100)).filter(({ sourceId }) => sourceId === id),
            []
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
