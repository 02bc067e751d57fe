/**
 * How soon everything is back: each instance says that it is ready and gets on, has all of its processes, and answers a lookup with
 * what the adapter says now.
 *
 * Asked anew four times a second, whether earlier questions were answered or not: one that hangs says nothing of the next.
 */
import { Clock, Deferred, Effect, Schedule } from "effect"
import { HttpClientRequest } from "effect/http"
import { type ChaosInstance, processesIn } from "./ChaosInstance.ts"
import type { Answered } from "./ChaosLedger.ts"
import { type LoadParts, lookUp } from "./ChaosLoad.ts"

/** By the brief of the service: everything is back within this long of a fault. */
export const backWithin = 10_000
/** Nobody waits longer than this to know how long it took. */
const patience = 90_000
/** Questions that are not answered yet; more would themselves be what an instance cannot cope with. */
const mostAsked = 8

export interface Recovery {
  /** Milliseconds until all instances were back, without what the machine lost; undefined when they were not. */
  readonly millis: number | undefined
  /** What was wrong with those that were not back within `backWithin` by the clock. */
  readonly missing: ReadonlyArray<string>
  /** The share of that time in which there was no processor, which is not counted. */
  readonly starved?: number
}

/** Whether all of its processes run, by what it measures. */
const missingProcesses = ({ processes }: ChaosInstance, { body, status }: Answered) => {
  const there = processesIn(body)
  return there === processes ? [] : [`${there ?? "?"} of ${processes} processes (metrics ${status ?? "no answer"})`]
}

const problemsOf = (ready: Answered, progress: Answered, lookup: Answered | undefined) => [
  ...[ready, progress]
    .filter(({ status }) => status !== 200)
    .map(({ detail, kind, status }) => `${kind} ${status ?? "no answer"} (${detail})`),
  ...(lookup === undefined
    ? []
    : lookup.status !== 200
      ? [`lookup ${lookup.status ?? "no answer"} (${lookup.detail})`]
      : lookup.body.includes('"stale":true')
        ? ["lookup from the copy, the adapter not being asked"]
        : [])
]

const instanceBack = Effect.fnUntraced(function* (parts: LoadParts, instance: ChaosInstance, since: number) {
  const { number } = instance
  const back = yield* Deferred.make<number>()
  let last: ReadonlyArray<string> = ["no answer"]
  let missing: string | undefined
  let asked = 0
  const look = Effect.gen(function* () {
    if (asked >= mostAsked) return
    asked++
    const [ready, progress, lookup, metrics] = yield* Effect.all(
      [
        parts.ledger.ask("ready", number, HttpClientRequest.get(`${instance.url}/health/ready`)),
        parts.ledger.ask("progress", number, HttpClientRequest.get(`${instance.url}/health/progress`)),
        instance.roles.has("api") ? lookUp(parts, instance, number - 1, true) : Effect.succeed(undefined),
        instance.processes > 1
          ? parts.ledger.ask("metrics", number, HttpClientRequest.get(`${instance.url}/metrics`))
          : Effect.succeed(undefined)
      ],
      { concurrency: 4 }
    )
    asked--
    const problems = [
      ...problemsOf(ready, progress, lookup),
      ...(metrics === undefined ? [] : missingProcesses(instance, metrics))
    ]
    last = problems
    if (problems.length > 0) return
    const now = yield* Clock.currentTimeMillis
    yield* Deferred.succeed(back, now - since - parts.stalls.between(since, now))
  })
  const asking = Effect.forkChild(look).pipe(Effect.repeat(Schedule.spaced("250 millis")), Effect.andThen(Effect.never))
  const late = Effect.sync(() => {
    missing = `instance ${number}: ${last.length === 0 ? "no answer" : last.join(", ")}`
  }).pipe(Effect.delay(backWithin), Effect.andThen(Effect.never))
  const answer = Effect.timeoutOption(Deferred.await(back), patience)
  const millis = yield* Effect.raceFirst(answer, Effect.all([asking, late], { concurrency: 2 }) as Effect.Effect<never>)
  return { millis: millis._tag === "Some" ? millis.value : undefined, missing }
})

/** Waits until all are back, counted from `since`, for at most a minute and a half. */
export const untilBack = Effect.fnUntraced(function* (parts: LoadParts, since: number) {
  const from = yield* Clock.currentTimeMillis
  const each = yield* Effect.forEach(parts.instances, (one) => instanceBack(parts, one, since), {
    concurrency: "unbounded"
  })
  const times = each.map(({ millis }) => millis)
  const now = yield* Clock.currentTimeMillis
  const recovery: Recovery = {
    starved: parts.stalls.between(from, now) / Math.max(1, now - from),
    millis: times.includes(undefined) ? undefined : Math.max(...times.map((millis) => millis ?? 0)),
    missing: each.flatMap(({ missing }) => missing ?? [])
  }
  return recovery
})
