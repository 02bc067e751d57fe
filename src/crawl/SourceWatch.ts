/**
 * Watches the table of sources: every usable one has its SITES_LIST on the queue, its limits on its server, and the tasks
 * that its configuration wants.
 *
 * A source that cannot be used is reported on its own row, and one of which somebody else holds a row is tried again: neither
 * disturbs any other.
 */
import { type Duration, Effect, Layer, Result, Stream } from "effect"
import { repeatPass } from "../running/Loop.ts"
import { hilltopBaseUrl, serverOrigin } from "../hilltop/HilltopUrl.ts"
import { sitesListTask, type UsableSource } from "./FetchPlan.ts"
import { planChange } from "./PlanChange.ts"
import { HilltopQueue } from "./HilltopQueue.ts"
import { HilltopSources, type SourceRow } from "./HilltopSources.ts"
import { ServerBudget } from "./ServerBudget.ts"
import { usableSource } from "./usableSource.ts"
import type { StoreUnavailable } from "../domain/StoreUnavailable.ts"

/** One check of all sources; the number of those that can be used. */
export const checkSources = Effect.gen(function* () {
  const sources = yield* HilltopSources
  const queue = yield* HilltopQueue
  const checked = yield* eachAlone(yield* sources.list, checkSource)
  const usable = checked.done.filter((source) => source !== undefined)
  const limited = yield* limitServers(usable.map(({ source }) => source))
  // First: it makes lists due that are on the queue, and a new one would be asked for twice.
  const planned = yield* eachAlone(usable, (one) => Effect.as(replan(one), one))
  const lists = planned.done.map(({ source }) => sitesListTask(source))
  const queued = yield* queue.enqueue(lists).pipe(
    Effect.as(allWell),
    Effect.catchTag("StoreUnavailable", () => eachAlone(lists, (list) => queue.enqueue([list])))
  )
  // The check counts as failed then, and comes again soon; all that could be done is done.
  for (const { failures } of [checked, limited, planned, queued]) {
    const [failure] = failures
    if (failure !== undefined) return yield* failure
  }
  return usable.length
})

const allWell: { readonly failures: ReadonlyArray<StoreUnavailable> } = { failures: [] }

/** What fails for one is no failure of the others. Four at a time: one that waits for a row does so for a second. */
const eachAlone = <A, B, R>(all: Iterable<A>, run: (one: A) => Effect.Effect<B, StoreUnavailable, R>) =>
  Effect.map(
    Effect.forEach(all, (one) => Effect.result(run(one)), { concurrency: 4 }),
    (results) => ({
      done: results.flatMap((result) => (Result.isSuccess(result) ? [result.success] : [])),
      failures: results.flatMap((result) => (Result.isFailure(result) ? [result.failure] : []))
    })
  )

const noneChecked: Checked | undefined = undefined

interface Checked {
  readonly source: UsableSource
  readonly planned: unknown
}

/** A changed configuration takes effect here, whether or not any document changes. */
const replan = Effect.fnUntraced(function* ({ planned, source }: Checked) {
  const sources = yield* HilltopSources
  const change = planChange(source, planned)
  if (change !== undefined) yield* sources.replan(change)
})

const checkSource = Effect.fnUntraced(function* (row: SourceRow) {
  const sources = yield* HilltopSources
  /** The row says what the log was told of last, whichever instance did so. */
  const report = (problem: string | undefined) =>
    problem === row.problem
      ? Effect.void
      : Effect.andThen(
          sources.report(row.id, problem),
          problem === undefined
            ? Effect.logInfo(`sources: source ${row.id} can be used again`)
            : Effect.logWarning(`sources: source ${row.id} cannot be used`, problem)
        )
  return yield* usableSource(row).pipe(
    Effect.tap(() => report(undefined)),
    Effect.map((source): Checked | undefined => ({ source, planned: row.planned })),
    Effect.catchTag("UnusableSource", (fault) => Effect.as(report(fault.message), noneChecked))
  )
})

/** Where several sources share a server, the most careful of them counts. */
const limitServers = Effect.fnUntraced(function* (usable: ReadonlyArray<UsableSource>) {
  const budget = yield* ServerBudget
  const byOrigin = Map.groupBy(usable, (source) => serverOrigin(source.htsUrl))
  return yield* eachAlone(byOrigin.values(), (sources) => {
    const least = (values: ReadonlyArray<number | undefined>) =>
      values.reduce((a, b) => (a === undefined ? b : b === undefined ? a : Math.min(a, b)), undefined)
    const limits = {
      requestsPerSecond: least(sources.map((source) => source.configuration.requestsPerSecond)),
      maxConcurrent: least(sources.map((source) => source.configuration.maxConcurrent)),
      requestsPerDay: least(sources.map((source) => source.configuration.requestsPerDay))
    }
    // As they are asked: one server may be spelt in several ways, and tasks are budgeted by theirs.
    const addresses = new Set(sources.map(({ htsUrl }) => hilltopBaseUrl(htsUrl)))
    return Effect.forEach(addresses, (address) => budget.limit(address, limits), { discard: true })
  })
})

/** Checks all sources every `interval`, and at once when one was added or changed. */
export const SourceWatch = (options: { readonly interval: Duration.Duration }) =>
  Layer.effectDiscard(
    Effect.gen(function* () {
      const sources = yield* HilltopSources
      const nextChange = yield* Stream.toPull(sources.changes)
      yield* repeatPass({ name: "sources", pauses: options.interval }, checkSources, () =>
        nextChange.pipe(Effect.ignoreCause, Effect.timeoutOption(options.interval), Effect.asVoid)
      ).pipe(Effect.forkScoped)
    })
  )
