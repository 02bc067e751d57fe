/**
 * What every implementation of `HilltopQueue` and `ServerBudget` must do. Run over memory and over PostgreSQL, on the real
 * clock; each test uses a server and a source of its own.
 */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Fiber, type Layer, Schedule, Stream } from "effect"
import type { ClaimedTask, NewTask, RequestType } from "../../src/domain/FetchTask.ts"
import { HilltopQueue } from "../../src/crawl/HilltopQueue.ts"
import { ServerBudget } from "../../src/crawl/ServerBudget.ts"
import { decide, formatServer, parseServer, unknownServer } from "../../src/crawl/RefreshPolicy.ts"
import { settlementOf } from "./settlementOf.ts"

/** How a suite reaches behind the contract. */
export interface Arrange {
  readonly addSource: (htsUrl: string) => Effect.Effect<number, unknown>
  /** Lets the lease of every task of the source run out. */
  readonly expireLeases: (sourceId: number) => Effect.Effect<void, unknown>
  /** Lets a server's pauses be over. */
  readonly endPauses: (origin: string) => Effect.Effect<void, unknown>
  readonly makeDue: (sourceId: number) => Effect.Effect<void, unknown>
  readonly task: (id: number) => Effect.Effect<{ hash: string | undefined; runs: number; setAside: boolean }, unknown>
  /** What is known of a task, and in how many milliseconds it is due. */
  readonly known: (
    id: number
  ) => Effect.Effect<
    { refresh: string | undefined; reason: string | undefined; leader: number | undefined; dueIn: number },
    unknown
  >
  /** Lets a task be due now. */
  readonly askFor: (id: number) => Effect.Effect<void, unknown>
  /** Says of every task of the source that runs that it is wanted again. */
  readonly askAgain: (sourceId: number) => Effect.Effect<void, unknown>
  readonly setProblem: (sourceId: number, problem: string | undefined) => Effect.Effect<void, unknown>
}

const minute = 60_000
const lesson = decide(
  undefined,
  { requestType: "MEASUREMENT_DATA", at: Date.now(), added: 1, revised: false },
  unknownServer,
  1
).lesson

const generous = { requestsPerSecond: 10_000, maxConcurrent: 1_000 }

export const hilltopQueueSuite = <R, E>(
  name: string,
  layer: Layer.Layer<HilltopQueue | ServerBudget | R, E>,
  arrange: Effect.Effect<Arrange, never, R>
) =>
  describe(name, () => {
    let servers = 0
    const arranged = Effect.gen(function* () {
      const queue = yield* HilltopQueue
      const budget = yield* ServerBudget
      const tools = yield* arrange
      const url = `http://hilltop-${++servers}.example.nz/data.hts`
      yield* budget.limit(url, generous)
      const sourceId = yield* tools.addSource(url)
      const task = (n: number, requestType: RequestType = "MEASUREMENT_DATA"): NewTask => ({
        sourceId,
        requestType,
        fetchUrl: `${url}?n=${n}`,
        details: { siteName: "Awa at Bridge", item: 2 }
      })
      const claimMine = (limit = 1_000) =>
        Effect.map(queue.claim(limit), (tasks) => tasks.filter((each) => each.sourceId === sourceId))
      return { queue, budget, tools, url, sourceId, task, claimMine }
    })
    it.layer(layer, { excludeTestServices: true })((it) => {
      // First, while there is nothing else on the queue.
      it.effect("says when the next task will be due, which is not before its server may be asked", () =>
        Effect.gen(function* () {
          const { budget, claimMine, queue, sourceId, task, tools, url } = yield* arranged
          assert.strictEqual(yield* queue.untilDue, Number.POSITIVE_INFINITY)
          yield* queue.enqueue([task(1)])
          assert.strictEqual(yield* queue.untilDue, 0)
          const [first] = yield* claimMine()
          assert.strictEqual(yield* queue.untilDue, 0)
          yield* queue.settle([settlementOf(first!, { delay: Duration.minutes(2) })])
          const isWithin = (millis: number, most: number) => {
            assert.isAbove(millis, most - 30_000)
            assert.isAtMost(millis, most)
          }
          isWithin(yield* queue.untilDue, 2 * minute)
          yield* queue.enqueue([task(2, "SITES_LIST")])
          assert.strictEqual(yield* queue.untilDue, 0)
          const [second] = yield* claimMine()
          yield* queue.settle([settlementOf(second!, { delay: Duration.zero, answer: { kind: "busy", coolDown: 60 } })])
          isWithin(yield* queue.untilDue, minute)
          yield* tools.endPauses(new URL(url).origin)
          assert.strictEqual(yield* queue.untilDue, 0)
          yield* budget.limit(url, { requestsPerSecond: 0.0001, maxConcurrent: 1 })
          const [third] = yield* claimMine()
          yield* queue.settle([settlementOf(third!, { delay: Duration.zero })])
          assert.isAbove(yield* queue.untilDue, 30 * minute)
          yield* tools.setProblem(sourceId, "not usable")
          assert.strictEqual(yield* queue.untilDue, Number.POSITIVE_INFINITY)
        })
      )

      it.effect("queues a task once, and gives it to one claimer with all that it needs", () =>
        Effect.gen(function* () {
          const { claimMine, queue, task, url } = yield* arranged
          assert.strictEqual(yield* queue.enqueue([task(1), task(1), task(2)]), 2)
          assert.strictEqual(yield* queue.enqueue([task(2)]), 0)
          const claimed = yield* claimMine()
          assert.strictEqual(claimed.length, 2)
          assert.deepStrictEqual(claimed[0]?.details, { siteName: "Awa at Bridge", item: 2 })
          assert.strictEqual(claimed[0]?.htsUrl, url)
          assert.isUndefined(claimed[0]?.previousHash)
          assert.deepStrictEqual(yield* claimMine(), [])
        })
      )

      it.effect("takes the latest data before lists, and both before history", () =>
        Effect.gen(function* () {
          const { claimMine, queue, task } = yield* arranged
          yield* queue.enqueue([
            task(1),
            task(2, "MEASUREMENTS_LIST"),
            task(3, "MEASUREMENT_DATA_LATEST"),
            task(4, "SITES_LIST")
          ])
          const order = (yield* claimMine()).map((each) => each.requestType)
          assert.deepStrictEqual(order, [
            "SITES_LIST",
            "MEASUREMENT_DATA_LATEST",
            "MEASUREMENTS_LIST",
            "MEASUREMENT_DATA"
          ])
        })
      )

      it.effect("requeues a settled task with its hash and history, and keeps the hash after a failure", () =>
        Effect.gen(function* () {
          const { claimMine, queue, sourceId, task, tools } = yield* arranged
          yield* queue.enqueue([task(1)])
          const [first] = yield* claimMine()
          assert.deepStrictEqual(yield* queue.settle([settlementOf(first!)]), [])
          assert.deepStrictEqual(yield* claimMine(), [])
          yield* tools.makeDue(sourceId)
          const [second] = yield* claimMine()
          assert.strictEqual(second?.previousHash, "abc")
          yield* queue.settle([settlementOf(second!, { hash: undefined, attempts: 1 })])
          assert.deepStrictEqual(yield* tools.task(first!.id), { hash: "abc", runs: 2, setAside: false })
        })
      )

      it.effect("wakes what is unavailable when it is told to, and nothing else", () =>
        Effect.gen(function* () {
          const { claimMine, queue, sourceId, task, tools } = yield* arranged
          yield* queue.enqueue([task(1), task(2), task(3)])
          const claimed = (yield* claimMine()).toSorted((a, b) => a.fetchUrl.localeCompare(b.fetchUrl))
          const late = { delay: Duration.days(25), hash: undefined, attempts: 5 }
          yield* queue.settle(claimed.map((each, n) => settlementOf(each, { ...late, unavailable: n < 2 })))
          const woken = Effect.map(claimMine(), (tasks) => tasks.map(({ fetchUrl }) => fetchUrl))
          yield* queue.wake([])
          assert.deepStrictEqual(yield* woken, [])
          yield* queue.wake([task(1), task(3), task(4), { ...task(2), requestType: "SITES_LIST" }])
          assert.deepStrictEqual(yield* woken, [task(1).fetchUrl])
          // It stays so until it succeeds.
          yield* tools.expireLeases(sourceId)
          yield* queue.takeOver
          const [again] = yield* claimMine()
          yield* queue.settle([settlementOf(again!, { delay: Duration.days(25) })])
          yield* queue.wake([task(1)])
          assert.deepStrictEqual(yield* woken, [])
        })
      )

      it.effect("keeps what a document meant until another one comes", () =>
        Effect.gen(function* () {
          const { claimMine, queue, sourceId, task, tools } = yield* arranged
          yield* queue.enqueue([task(1)])
          const [first] = yield* claimMine()
          assert.isUndefined(first?.previousDigest)
          yield* queue.settle([settlementOf(first!, { digest: "meaning" })])
          yield* tools.makeDue(sourceId)
          const [second] = yield* claimMine()
          assert.strictEqual(second?.previousDigest, "meaning")
          yield* queue.settle([settlementOf(second!)])
          yield* tools.makeDue(sourceId)
          assert.strictEqual((yield* claimMine())[0]?.previousDigest, "meaning")
        })
      )

      it.effect("sets a task aside when its settlement says so, without a run where there was none", () =>
        Effect.gen(function* () {
          const { claimMine, queue, sourceId, task, tools } = yield* arranged
          yield* queue.enqueue([task(1)])
          const [claimed] = yield* claimMine()
          yield* queue.settle([settlementOf(claimed!, { run: undefined, hash: undefined, setAside: "excluded" })])
          assert.deepStrictEqual(yield* tools.task(claimed!.id), { hash: undefined, runs: 0, setAside: true })
          yield* tools.makeDue(sourceId)
          assert.deepStrictEqual(yield* claimMine(), [])
        })
      )

      it.effect("makes a task due at its settlement that was asked for again while it ran", () =>
        Effect.gen(function* () {
          const { claimMine, queue, sourceId, task, tools } = yield* arranged
          yield* queue.enqueue([task(1)])
          const [first] = yield* claimMine()
          yield* tools.askAgain(sourceId)
          yield* queue.settle([settlementOf(first!)])
          const [second] = yield* claimMine()
          assert.strictEqual(second?.id, first!.id)
          yield* queue.settle([settlementOf(second!)])
          assert.deepStrictEqual(yield* claimMine(), [])
        })
      )

      it.effect("takes new details for a task that is queued already", () =>
        Effect.gen(function* () {
          const { claimMine, queue, task } = yield* arranged
          yield* queue.enqueue([task(1)])
          yield* queue.enqueue([{ ...task(1), details: { siteName: "Awa at Bridge", item: 3 } }])
          assert.deepStrictEqual((yield* claimMine())[0]?.details, { siteName: "Awa at Bridge", item: 3 })
        })
      )

      it.effect("lets the parts of a divided task have its new details, and asks them all again for another item", () =>
        Effect.gen(function* () {
          const { claimMine, queue, task } = yield* arranged
          const details = { siteName: "Awa", measurementName: "Rainfall", item: 1 }
          const parts = [2, 3].map((n) => ({ ...task(n), details }))
          yield* queue.enqueue([{ ...task(1), details }, ...parts, task(4)])
          const claimed = yield* claimMine()
          yield* queue.settle(
            claimed.map((each) =>
              settlementOf(each, { setAside: each.fetchUrl.endsWith("n=1") ? ("divided" as const) : undefined })
            )
          )
          assert.deepStrictEqual(yield* claimMine(), [])
          yield* queue.enqueue([{ ...task(1), details: { ...details, item: 2 } }])
          const again = yield* claimMine()
          assert.deepStrictEqual(again.map((each) => [each.fetchUrl.at(-1), each.details.item]).sort(), [
            ["2", 2],
            ["3", 2]
          ])
        })
      )

      it.effect(
        "keeps what is known of a task and the reason, hands it to the next run, and keeps it after a failure",
        () =>
          Effect.gen(function* () {
            const { claimMine, queue, sourceId, task, tools } = yield* arranged
            yield* queue.enqueue([task(1)])
            const [first] = yield* claimMine()
            assert.isUndefined(first?.refresh)
            yield* queue.settle([settlementOf(first!, { refresh: { kept: "p15", reason: "every 15 min" } })])
            for (const change of [{ hash: undefined, attempts: 1 }, {}]) {
              yield* tools.makeDue(sourceId)
              const [next] = yield* claimMine()
              assert.strictEqual(next?.refresh, "p15")
              yield* queue.settle([settlementOf(next!, change)])
            }
            assert.deepInclude(yield* tools.known(first!.id), { refresh: "p15", reason: "every 15 min" })
          })
      )

      it.effect("hands over how the last runs went only where nothing is known yet", () =>
        Effect.gen(function* () {
          const { claimMine, queue, sourceId, task, tools } = yield* arranged
          yield* queue.enqueue([task(1), { ...task(2), refresh: "inherited" }])
          const run = {
            at: "2026-01-01T00:00:00.000Z",
            result: "SUCCESS",
            added: 3,
            newest: "2026-01-01T11:55:00"
          } as const
          const first = yield* claimMine()
          yield* queue.settle(first.map((each) => settlementOf(each, { run })))
          yield* tools.makeDue(sourceId)
          const next = (yield* claimMine()).toSorted((a, b) => a.fetchUrl.localeCompare(b.fetchUrl))
          assert.deepStrictEqual(
            next.map(({ refresh, runs }) => ({ refresh, runs })),
            [
              { refresh: undefined, runs: [run] },
              { refresh: "inherited", runs: [] }
            ]
          )
        })
      )

      it.effect("begins a new task with what it is given, and leaves one that is there with what is known of it", () =>
        Effect.gen(function* () {
          const { claimMine, queue, task } = yield* arranged
          yield* queue.enqueue([{ ...task(1), refresh: "from a sibling" }])
          yield* queue.enqueue([{ ...task(1), refresh: "another" }])
          assert.strictEqual((yield* claimMine())[0]?.refresh, "from a sibling")
        })
      )

      it.effect("finds tasks on the queue with what is known of them, but none that rest or are unavailable", () =>
        Effect.gen(function* () {
          const { claimMine, queue, task } = yield* arranged
          yield* queue.enqueue([1, 2, 3].map((n) => task(n)))
          const claimed = (yield* claimMine()).toSorted((a, b) => a.fetchUrl.localeCompare(b.fetchUrl))
          const [first, ...others] = claimed
          yield* queue.settle([
            settlementOf(first!, { refresh: { kept: "known", reason: "" } }),
            ...others.map((each, n) => settlementOf(each, n === 0 ? { setAside: "excluded" } : { unavailable: true }))
          ])
          assert.deepStrictEqual(yield* queue.find([1, 2, 3, 4].map((n) => task(n))), [
            { id: first!.id, fetchUrl: task(1).fetchUrl, refresh: "known", follows: undefined }
          ])
          assert.deepStrictEqual(yield* queue.find([]), [])
        })
      )

      /** Three tasks that were asked for, of which the second and the third follow the first. */
      const ledByOne = Effect.gen(function* () {
        const one = yield* arranged
        const { claimMine, queue, task, tools } = one
        yield* queue.enqueue([1, 2, 3, 4].map((n) => task(n, "MEASUREMENT_DATA_LATEST")))
        const claimed = (yield* claimMine()).toSorted((a, b) => a.fetchUrl.localeCompare(b.fetchUrl))
        const [leader, ...followers] = claimed.slice(0, 3)
        const follows = followers.map(({ id }) => ({ id, leader: leader!.id }))
        yield* queue.settle([settlementOf(leader!, { follows }), ...claimed.slice(1).map((each) => settlementOf(each))])
        const dueIn = (id: number) => Effect.map(tools.known(id), (known) => known.dueIn)
        const ids = claimed.map(({ id }) => id)
        /** The leader, claimed and settled with this wake. */
        const lead = (after: number) =>
          Effect.gen(function* () {
            yield* tools.askFor(leader!.id)
            const again = (yield* claimMine()).find(({ id }) => id === leader!.id)
            assert.deepInclude(again, { follows: false, followers: 2 })
            const wakes = [{ of: "followers", leader: leader!.id, after } as const]
            assert.deepStrictEqual(yield* queue.settle([settlementOf(again!, { wakes })]), [])
          })
        return { ...one, ids, lead, dueIn, leader: leader!.id }
      })
      const isAbout = (millis: number, expected: number) => {
        assert.isAtMost(millis, expected)
        assert.isAtLeast(millis, expected - 0.5 * minute)
      }

      it.effect("wakes the followers of a task no later than it says, and never later than they were", () =>
        Effect.gen(function* () {
          const { dueIn, ids, lead, leader, tools } = yield* ledByOne
          assert.strictEqual((yield* tools.known(ids[1]!)).leader, leader)
          yield* lead(2 * minute)
          for (const id of ids.slice(1, 3)) isAbout(yield* dueIn(id), 2 * minute)
          isAbout(yield* dueIn(ids[3]!), 60 * minute)
          yield* lead(5 * minute)
          for (const id of ids.slice(1, 3)) isAbout(yield* dueIn(id), 2 * minute)
        })
      )

      it.effect("lets tasks follow another one, or none, when it is said", () =>
        Effect.gen(function* () {
          const { claimMine, ids, leader, queue, tools } = yield* ledByOne
          yield* tools.askFor(ids[3]!)
          const [other] = yield* claimMine()
          const follows = [
            { id: ids[1]!, leader: undefined },
            { id: leader, leader: ids[3]! }
          ]
          yield* queue.settle([settlementOf(other!, { follows })])
          assert.deepStrictEqual(
            yield* Effect.forEach(ids, (id) => Effect.map(tools.known(id), (known) => known.leader)),
            [ids[3], undefined, leader, undefined]
          )
        })
      )

      it.effect("wakes tasks by their numbers and by their addresses", () =>
        Effect.gen(function* () {
          const { claimMine, dueIn, ids, queue, task, tools } = yield* ledByOne
          yield* tools.askFor(ids[0]!)
          const [run] = yield* claimMine()
          const unknown = task(99, "MEASUREMENT_DATA_LATEST")
          yield* queue.settle([
            settlementOf(run!, {
              wakes: [
                { of: "ids", ids: [ids[1]!, 1_000_000_000], after: 3 * minute },
                { of: "requests", requests: [task(4, "MEASUREMENT_DATA_LATEST"), unknown, task(3)], after: minute },
                { of: "requests", requests: [task(4, "MEASUREMENT_DATA_LATEST")], after: 2 * minute },
                { of: "ids", ids: [], after: 0 }
              ]
            })
          ])
          isAbout(yield* dueIn(ids[1]!), 3 * minute)
          isAbout(yield* dueIn(ids[2]!), 60 * minute)
          isAbout(yield* dueIn(ids[3]!), minute)
        })
      )

      it.effect("wakes nothing that rests, fails, or is unavailable", () =>
        Effect.gen(function* () {
          const { claimMine, dueIn, ids, lead, queue, sourceId, tools } = yield* ledByOne
          yield* tools.makeDue(sourceId)
          const again = (yield* claimMine()).filter(({ id }) => ids.slice(1, 3).includes(id))
          yield* queue.settle(
            again.map((each, n) => settlementOf(each, n === 0 ? { attempts: 2 } : { setAside: "excluded" }))
          )
          yield* tools.expireLeases(sourceId)
          yield* queue.takeOver
          yield* lead(minute)
          for (const id of ids.slice(1, 3)) isAbout(yield* dueIn(id), 60 * minute)
        })
      )

      it.effect(
        "lets news that come while a follower is asked make it due after its settlement, if that has none itself",
        () =>
          Effect.gen(function* () {
            const { claimMine, dueIn, ids, lead, queue, tools } = yield* ledByOne
            const news = { at: "2026-01-01T00:00:00.000Z", result: "SUCCESS", hash: "abc" } as const
            const cases = [
              { settled: { run: { ...news, result: "UNCHANGED", added: 0 } }, due: 2 * minute },
              { settled: { run: { ...news, added: 1 } }, due: 60 * minute },
              { settled: { run: { ...news, result: "FETCH_ERROR" }, attempts: 1 }, due: 60 * minute },
              // Sooner by itself.
              { settled: { run: { ...news, added: 0 }, delay: Duration.minutes(1) }, due: minute },
              // What woke an earlier run does not wake a later one.
              { settled: { run: { ...news, added: 0 } }, due: 60 * minute, quiet: true }
            ] as const
            for (const each of cases) {
              yield* tools.askFor(ids[1]!)
              const [follower] = yield* claimMine()
              assert.deepInclude(follower, { id: ids[1]!, follows: true, followers: 0 })
              if (!("quiet" in each)) yield* lead(2 * minute)
              yield* queue.settle([settlementOf(follower!, each.settled)])
              isAbout(yield* dueIn(ids[1]!), each.due)
            }
          })
      )

      it.effect("does not wake a follower for news that it brought itself in the same batch", () =>
        Effect.gen(function* () {
          const { claimMine, dueIn, ids, leader, queue, sourceId, tools } = yield* ledByOne
          yield* tools.makeDue(sourceId)
          const run = { at: "2026-01-01T00:00:00.000Z", result: "SUCCESS", hash: "abc", added: 1 } as const
          const wakes = [{ of: "followers", leader, after: minute } as const]
          yield* queue.settle(
            (yield* claimMine()).map((each) => settlementOf(each, each.id === leader ? { run, wakes } : { run }))
          )
          for (const id of ids) isAbout(yield* dueIn(id), 60 * minute)
        })
      )

      it.effect("keeps what runs teach about a server, once each, and gives it to the tasks with the claim", () =>
        Effect.gen(function* () {
          const { claimMine, queue, sourceId, task, tools } = yield* arranged
          yield* queue.enqueue([task(1), task(2)])
          const claimed = yield* claimMine()
          assert.isUndefined(claimed[0]?.server.knowledge)
          yield* queue.settle(claimed.map((each) => settlementOf(each, { lesson })))
          yield* tools.makeDue(sourceId)
          const [next] = yield* claimMine()
          assert.strictEqual(
            next?.server.knowledge,
            formatServer(parseServer(next?.server.knowledge)),
            "it can be read again"
          )
          assert.isDefined(next?.server.knowledge)
        })
      )

      it.effect("lets a settlement stand whose knowledge is too long to be kept, and those beside it", () =>
        Effect.gen(function* () {
          const { claimMine, queue, task, tools } = yield* arranged
          yield* queue.enqueue([task(1), task(2)])
          const claimed = yield* claimMine()
          yield* queue.settle(
            claimed.map((each, n) =>
              settlementOf(each, {
                refresh: { kept: n === 0 ? "x".repeat(201) : "short", reason: `\0${"y".repeat(1_000)}` }
              })
            )
          )
          assert.deepStrictEqual(
            yield* Effect.forEach(claimed, ({ id }) =>
              Effect.map(tools.known(id), ({ reason, refresh }) => [refresh, reason?.length])
            ),
            [
              [undefined, 300],
              ["short", 300]
            ]
          )
        })
      )

      it.effect("leaves the tasks of a source alone whose configuration cannot be used", () =>
        Effect.gen(function* () {
          const { claimMine, queue, sourceId, task, tools } = yield* arranged
          yield* queue.enqueue([task(1)])
          yield* tools.setProblem(sourceId, "names no measurement")
          assert.deepStrictEqual(yield* claimMine(), [])
          yield* tools.setProblem(sourceId, undefined)
          assert.strictEqual((yield* claimMine()).length, 1)
        })
      )

      it.effect("keeps the last 50 runs", () =>
        Effect.gen(function* () {
          const { claimMine, queue, task, tools } = yield* arranged
          yield* queue.enqueue([task(1)])
          for (let i = 0; i < 52; i++) {
            const [claimed] = yield* claimMine()
            yield* queue.settle([settlementOf(claimed!, { delay: Duration.zero })])
          }
          const [claimed] = yield* claimMine()
          assert.strictEqual((yield* tools.task(claimed!.id)).runs, 50)
        })
      )

      it.effect("lets a task be taken over when its lease ran out, and refuses the late settler", () =>
        Effect.gen(function* () {
          const { claimMine, queue, sourceId, task, tools } = yield* arranged
          yield* queue.enqueue([task(1)])
          const [slow] = yield* claimMine()
          yield* tools.expireLeases(sourceId)
          assert.isAtLeast(yield* queue.takeOver, 1)
          assert.deepStrictEqual(yield* queue.heartbeat([slow!]), { lost: [slow!.id], held: [] })
          const [next] = yield* claimMine()
          assert.strictEqual(next?.id, slow!.id)
          assert.deepStrictEqual(yield* queue.settle([settlementOf(slow!)]), [{ id: slow!.id, again: undefined }])
          assert.deepStrictEqual(yield* queue.heartbeat([next!]), { lost: [], held: [] })
          assert.deepStrictEqual(yield* queue.settle([settlementOf(next!)]), [])
        })
      )

      it.effect("gives a released task out again at once", () =>
        Effect.gen(function* () {
          const { claimMine, queue, task } = yield* arranged
          yield* queue.enqueue([task(1)])
          yield* queue.release(yield* claimMine())
          assert.strictEqual((yield* claimMine()).length, 1)
        })
      )

      it.effect("sets a task aside that was lost five times in a row", () =>
        Effect.gen(function* () {
          const { claimMine, queue, sourceId, task, tools } = yield* arranged
          yield* queue.enqueue([task(1)])
          let id = 0
          for (let i = 0; i < 5; i++) {
            id = (yield* claimMine())[0]!.id
            yield* tools.expireLeases(sourceId)
            yield* queue.takeOver
          }
          assert.deepStrictEqual(yield* claimMine(), [])
          assert.deepStrictEqual(yield* tools.task(id), { hash: undefined, runs: 1, setAside: true })
        })
      )

      it.effect("never has more in flight than a server allows", () =>
        Effect.gen(function* () {
          const { budget, claimMine, queue, task, url } = yield* arranged
          yield* budget.limit(url, { requestsPerSecond: 10_000, maxConcurrent: 3 })
          yield* queue.enqueue(Array.from({ length: 10 }, (_, i) => task(i)))
          const held = yield* claimMine()
          assert.strictEqual(held.length, 3)
          assert.deepStrictEqual(yield* claimMine(), [])
          yield* queue.settle([settlementOf(held[0]!)])
          assert.strictEqual((yield* claimMine()).length, 1)
        })
      )

      it.effect("never asks a server faster than its rate", () =>
        Effect.gen(function* () {
          const { budget, claimMine, queue, task, url } = yield* arranged
          yield* budget.limit(url, { requestsPerSecond: 20, maxConcurrent: 1_000 })
          yield* queue.enqueue(Array.from({ length: 100 }, (_, i) => task(i)))
          const [took, taken] = yield* Effect.timed(
            Effect.gen(function* () {
              let taken = 0
              while (taken < 25) taken += (yield* claimMine()).length
              return taken
            })
          )
          // 20 a second; the bucket holds one and a quarter of a second's worth. Clocks count in milliseconds.
          assert.isAtLeast(Duration.toMillis(took), ((taken - 6) / 20) * 1000 - 5)
        })
      )

      it.effect("leaves a server alone while it cools down, and no other", () =>
        Effect.gen(function* () {
          const cooled = yield* arranged
          const other = yield* arranged
          yield* cooled.queue.enqueue([cooled.task(1)])
          const [first] = yield* cooled.claimMine()
          yield* cooled.queue.settle([
            settlementOf(first!, { delay: Duration.zero, answer: { kind: "busy", coolDown: 60 } })
          ])
          yield* other.queue.enqueue([other.task(1)])
          const claimed = yield* cooled.queue.claim(1_000)
          assert.isTrue(claimed.some((each) => each.sourceId === other.sourceId))
          assert.isFalse(claimed.some((each) => each.sourceId === cooled.sourceId))
        })
      )

      it.effect("is fair between servers", () =>
        Effect.gen(function* () {
          const big = yield* arranged
          const small = yield* arranged
          yield* big.queue.enqueue(Array.from({ length: 400 }, (_, i) => big.task(i)))
          yield* small.queue.enqueue([small.task(1)])
          let [ofBig, ofSmall] = [0, 0]
          while (ofSmall === 0 && ofBig < 400) {
            const claimed = yield* big.queue.claim(8)
            ofBig += claimed.filter((each) => each.sourceId === big.sourceId).length
            ofSmall += claimed.filter((each) => each.sourceId === small.sourceId).length
          }
          assert.strictEqual(ofSmall, 1)
          assert.isBelow(ofBig, 300)
        })
      )

      it.effect("lets no source of a server hold up another, and history hold up nothing new", () =>
        Effect.gen(function* () {
          const { budget, queue, sourceId, task, tools, url } = yield* arranged
          yield* budget.limit(url, { requestsPerSecond: 10_000, maxConcurrent: 1 })
          yield* queue.enqueue(Array.from({ length: 100 }, (_, i) => task(i)))
          const otherId = yield* tools.addSource(`${url}/other`)
          const ofOther = (n: number, requestType: RequestType): NewTask => ({
            ...task(n, requestType),
            sourceId: otherId,
            fetchUrl: `${url}/other?n=${n}`
          })
          yield* queue.enqueue([
            ...Array.from({ length: 3 }, (_, i) => ofOther(i, "MEASUREMENT_DATA_LATEST")),
            ...Array.from({ length: 50 }, (_, i) => ofOther(100 + i, "MEASUREMENT_DATA"))
          ])
          const asked: Array<ClaimedTask> = []
          while (asked.length < 43) {
            const mine = (yield* queue.claim(1_000)).filter((each) => [sourceId, otherId].includes(each.sourceId))
            yield* queue.settle(mine.map((each) => settlementOf(each)))
            asked.push(...mine)
          }
          const latest = asked.slice(0, 4).filter((each) => each.requestType === "MEASUREMENT_DATA_LATEST")
          assert.strictEqual(latest.length, 3)
          const ofSource = asked.filter((each) => each.sourceId === sourceId).length
          assert.isAtLeast(ofSource, 5)
          assert.isAtMost(ofSource, 35)
        })
      )

      it.effect(
        "asks for data that were never fetched before data that were, and for new series before old months",
        () =>
          Effect.gen(function* () {
            const { budget, claimMine, queue, sourceId, task, tools, url } = yield* arranged
            const kinds: ReadonlyArray<RequestType> = ["MEASUREMENT_DATA_LATEST", "MEASUREMENT_DATA"]
            const some = (from: number) => kinds.flatMap((kind) => [0, 1, 2].map((n) => task(from + n, kind)))
            yield* queue.enqueue(some(0))
            yield* queue.settle((yield* claimMine()).map((each) => settlementOf(each)))
            yield* tools.makeDue(sourceId)
            yield* Effect.sleep("2 millis")
            // Due later than all those.
            yield* queue.enqueue(some(10))
            yield* budget.limit(url, { requestsPerSecond: 10_000, maxConcurrent: 1 })
            const order: Record<string, Array<boolean>> = { MEASUREMENT_DATA_LATEST: [], MEASUREMENT_DATA: [] }
            for (let n = 0; n < 12; n++) {
              const mine = yield* claimMine()
              for (const each of mine) order[each.requestType]!.push(each.previousHash === undefined)
              yield* queue.settle(mine.map((each) => settlementOf(each)))
            }
            const newFirst = [true, true, true, false, false, false]
            assert.deepStrictEqual(order, { MEASUREMENT_DATA_LATEST: newFirst, MEASUREMENT_DATA: newFirst })
          })
      )

      it.effect("leaves a server alone after five failures in a row, and lets one probe back in", () =>
        Effect.gen(function* () {
          const { claimMine, queue, sourceId, task, tools, url } = yield* arranged
          yield* queue.enqueue(Array.from({ length: 20 }, (_, i) => task(i)))
          const failed = (tasks: ReadonlyArray<ClaimedTask>) =>
            queue.settle(tasks.map((each) => settlementOf(each, { attempts: 1, answer: { kind: "failed" } })))
          const first = yield* claimMine()
          yield* failed(first.slice(0, 5))
          yield* queue.release(first.slice(5))
          assert.deepStrictEqual(yield* claimMine(), [])
          assert.isAtLeast((yield* (yield* ServerBudget).look).states.open, 1)

          yield* tools.endPauses(new URL(url).origin)
          const probe = yield* claimMine()
          assert.strictEqual(probe.length, 1)
          assert.deepStrictEqual(yield* claimMine(), [])
          yield* failed(probe)
          assert.deepStrictEqual(yield* claimMine(), [])

          // One that is lost or given back makes room for the next.
          yield* tools.endPauses(new URL(url).origin)
          yield* queue.release(yield* claimMine())
          assert.strictEqual((yield* claimMine()).length, 1)
          yield* tools.expireLeases(sourceId)
          yield* queue.takeOver
          const [last] = yield* claimMine()
          assert.deepStrictEqual(yield* claimMine(), [])
          yield* queue.settle([settlementOf(last!, { answer: { kind: "answered", millis: 10 } })])
          assert.isAtLeast((yield* claimMine()).length, 2)
        })
      )

      it.effect("asks a server that says it is busy for less, and for more again as it answers", () =>
        Effect.gen(function* () {
          const { budget, claimMine, queue, task, url } = yield* arranged
          yield* budget.limit(url, { requestsPerSecond: 10_000, maxConcurrent: 8 })
          yield* queue.enqueue(Array.from({ length: 40 }, (_, i) => task(i)))
          const first = yield* claimMine()
          assert.strictEqual(first.length, 8)
          yield* queue.settle(first.map((each) => settlementOf(each, { answer: { kind: "busy" } })))
          const second = yield* claimMine()
          assert.strictEqual(second.length, 4)
          yield* queue.settle(second.map((each) => settlementOf(each, { answer: { kind: "busy" } })))
          assert.strictEqual((yield* claimMine()).length, 2)
        })
      )

      it.effect("gives those most that have least in flight, however many servers are slow", () =>
        Effect.gen(function* () {
          const slow = yield* Effect.replicateEffect(arranged, 12)
          for (const { budget, queue, task, url } of slow) {
            yield* budget.limit(url, { requestsPerSecond: 10_000, maxConcurrent: 4 })
            yield* queue.enqueue(Array.from({ length: 10 }, (_, i) => task(i)))
          }
          const { queue, sourceId, task } = yield* arranged
          const held: Array<ClaimedTask> = []
          const ids = slow.map((each) => each.sourceId)
          while (held.length < 32) {
            held.push(...(yield* queue.claim(32 - held.length)).filter((each) => ids.includes(each.sourceId)))
          }
          for (const id of ids) assert.isAtLeast(held.filter((each) => each.sourceId === id).length, 2)
          yield* queue.enqueue(Array.from({ length: 10 }, (_, i) => task(i)))
          yield* queue.release(held.slice(0, 4))
          const next = yield* queue.claim(4)
          assert.isTrue(next.some((each) => each.sourceId === sourceId))
        })
      )

      it.effect("tells when work appears", () =>
        Effect.gen(function* () {
          const { queue, task } = yield* arranged
          const next = yield* Stream.toPull(queue.arrivals)
          const heard = yield* Effect.forkChild(next.pipe(Effect.andThen(next), Effect.timeout("10 seconds")))
          let n = 0
          yield* Effect.suspend(() => queue.enqueue([task(n++)])).pipe(
            Effect.repeat({ until: () => heard.pollUnsafe() !== undefined, schedule: Schedule.spaced("20 millis") })
          )
          yield* Fiber.join(heard)
        }).pipe(Effect.scoped)
      )
    })

    // With nobody else's tasks on the queue.
    it.layer(layer, { excludeTestServices: true })((it) => {
      it.effect("keeps a place from slow servers while another has due tasks and only its rate says to wait", () =>
        Effect.gen(function* () {
          const slow = yield* arranged
          const paced = yield* arranged
          const ofSlow = Effect.map(slow.queue.claim(1), (tasks) =>
            tasks.filter((each) => each.sourceId === slow.sourceId)
          )
          yield* slow.queue.enqueue(Array.from({ length: 10 }, (_, i) => slow.task(i)))
          while ((yield* ofSlow).length === 0);
          yield* paced.budget.limit(paced.url, { requestsPerSecond: 0.1, maxConcurrent: 4 })
          yield* paced.queue.enqueue([1, 2, 3].map((n) => paced.task(n)))
          const first = yield* paced.claimMine(1)
          yield* paced.queue.settle(first.map((each) => settlementOf(each)))
          assert.strictEqual(first.length, 1)
          for (let n = 0; n < 20; n++) assert.deepStrictEqual(yield* ofSlow, [])
        })
      )
    })
  })
