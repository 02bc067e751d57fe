/**
 * `HilltopAdministration` over the queue and the sources in memory, for testing rules.
 *
 * The same suite runs over this and over PostgreSQL. A source that is paused is taken out of what the crawl sees, and put
 * back as it was; `problem` is the crawl's to say, so it is read from there.
 */
import { Clock, Effect, Layer, PubSub } from "effect"
import { MemoryHilltop, type MemoryTask } from "../crawl/MemoryHilltop.ts"
import {
  HilltopAdministration,
  SourceExists,
  type SourceRegistration,
  type SourceView,
  type TaskStatus,
  type TaskView,
  type Window
} from "./HilltopAdministration.ts"

const statusOf = (task: MemoryTask, now: number): TaskStatus =>
  (task.leaseUntil ?? 0) > now
    ? "claimed"
    : task.setAside !== undefined
      ? "set_aside"
      : task.attempts > 0
        ? "failing"
        : task.nextFetchAt <= now
          ? "due"
          : "scheduled"

const viewOf = (task: MemoryTask, now: number): TaskView => ({
  id: task.id,
  source_id: task.sourceId,
  request_type: task.requestType,
  fetch_url: task.fetchUrl,
  next_fetch_at: Math.max(0, task.nextFetchAt),
  status: statusOf(task, now),
  attempts: task.attempts,
  set_aside_reason: task.setAside ?? null,
  history: task.history.map((run) =>
    Object.fromEntries(
      Object.entries(run).flatMap(([key, value]) => (value === undefined ? [] : [[key, value] as const]))
    )
  )
})

const windowOf = <A extends { readonly id: number }>(all: Iterable<A>, { after, limit }: Window) =>
  [...all]
    .filter(({ id }) => id > after)
    .sort((a, b) => a.id - b.id)
    .slice(0, limit)

export const MemoryHilltopAdministration = Layer.effect(
  HilltopAdministration,
  Effect.gen(function* () {
    const hilltop = yield* MemoryHilltop
    const sources = new Map<number, SourceView>()

    /** As it is kept, with what the crawl says of it. */
    const shown = (source: SourceView): SourceView => ({
      ...source,
      problem: hilltop.sources.get(source.id)?.problem ?? source.problem
    })

    const keep = (source: SourceView) => {
      const row = hilltop.sources.get(source.id)
      sources.set(source.id, source)
      if (source.paused) {
        hilltop.sources.delete(source.id)
      } else {
        hilltop.sources.set(source.id, {
          id: source.id,
          councilId: source.council_id,
          htsUrl: source.hts_url,
          configuration: source.configuration,
          problem: source.problem ?? undefined,
          planned: row?.planned
        })
      }
      return Effect.as(PubSub.publish(hilltop.changes, undefined), shown(source))
    }

    const change = (id: number, to: (source: SourceView, now: number) => SourceView) =>
      Effect.flatMap(Clock.currentTimeMillis, (now) => {
        const source = sources.get(id)
        return source === undefined ? Effect.undefined : keep(to(shown(source), now))
      })

    const isTaken = ({ council_id, hts_url }: SourceRegistration, except?: number) =>
      [...sources.values()].some(
        (source) => source.id !== except && source.council_id === council_id && source.hts_url === hts_url
      )

    const entered = ({ configuration, council_id, hts_url, paused }: SourceRegistration) => ({
      council_id,
      hts_url,
      configuration: { ...configuration },
      paused: paused ?? false,
      problem: null
    })

    return HilltopAdministration.of({
      listSources: (window) => Effect.sync(() => windowOf(sources.values(), window).map(shown)),

      findSource: (id) =>
        Effect.sync(() => {
          const source = sources.get(id)
          return source === undefined ? undefined : shown(source)
        }),

      addSource: (registration) =>
        Effect.flatMap(Clock.currentTimeMillis, (now) =>
          isTaken(registration)
            ? Effect.fail(new SourceExists())
            : keep({ ...entered(registration), id: sources.size + 1, created_at: now, updated_at: now })
        ),

      replaceSource: (id, registration) =>
        Effect.suspend(() =>
          isTaken(registration, id)
            ? Effect.fail(new SourceExists())
            : change(id, (source, now) => ({ ...source, ...entered(registration), updated_at: now }))
        ),

      pauseSource: (id) =>
        Effect.map(
          change(id, (source, now) => ({ ...source, paused: true, updated_at: now })),
          (changed) => changed !== undefined
        ),

      resumeSource: (id) => change(id, (source, now) => ({ ...source, paused: false, updated_at: now })),

      listTasks: ({ source, status, type, ...window }) =>
        Effect.map(Clock.currentTimeMillis, (now) =>
          windowOf(
            [...hilltop.tasks.values()]
              .map((task) => viewOf(task, now))
              .filter((task) => source === undefined || task.source_id === source)
              .filter((task) => type === undefined || task.request_type === type)
              .filter((task) => status === undefined || task.status === status),
            window
          )
        ),

      runTask: (id) =>
        Effect.map(Clock.currentTimeMillis, (now) => {
          const task = hilltop.tasks.get(id)
          if (task === undefined) return undefined
          task.nextFetchAt = task.leaseUntil === undefined ? Math.min(task.nextFetchAt, now) : -Infinity
          if (task.setAside !== undefined) task.takeovers = 0
          task.setAside = undefined
          return viewOf(task, now)
        })
    })
  })
)
