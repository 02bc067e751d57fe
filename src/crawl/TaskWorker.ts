/**
 * The loops of a worker over a queue of tasks: what is due is claimed and run, each by itself; leases are extended; what others lost
 * is taken over.
 *
 * When heartbeats do not get through, a run is given up before anybody else can begin it. `taskWorker` is all of it for a program
 * with tasks of its own kinds; the crawl, which settles many runs with one statement, builds on `workLoops`.
 */
import { Cause, Duration, Effect, FiberMap, Latch, Option, type Scope, Stream, type Tracer } from "effect"
import type { ClaimedTask } from "../domain/FetchTask.ts"
import type { StoreUnavailable } from "../domain/StoreUnavailable.ts"
import { describe } from "../running/describe.ts"
import { type Loops, repeatPass } from "../running/Loop.ts"
import { monotonicMillis } from "../running/monotonicMillis.ts"
import { sayOnce } from "../running/sayOnce.ts"
import { lookWhereTraced } from "../running/spanWhereTraced.ts"
import { leaseTime, type TaskQueue } from "./HilltopQueue.ts"
import { bucketSeconds } from "./ServerPace.ts"
import type { Settlement } from "./Settlement.ts"

/** Leases are extended this often: two heartbeats may fail. */
const heartbeatEvery = Duration.seconds(4)
/** A run is given up this long before its lease ends, if no heartbeat extended it. */
const margin = Duration.seconds(1)
const takeOverEvery = Duration.seconds(3)
/** Claims begin at least this far apart, so that tasks which end together are replaced together. */
const betweenClaims = Duration.millis(10)
/**
 * How long to wait before the next claim without a notification, in milliseconds. A bucket holds the tokens of as long a time, so
 * none is lost meanwhile.
 */
const longestIdle = 250
const shortestIdle = 12.5
/**
 * After so many claims in a row that found nothing the queue is asked when something will be due, and nothing is claimed before. If
 * something is due that no claim gets, it is asked again after as many.
 */
const looksAfter = 5
/** In milliseconds: a queue is looked at so often at least, for what nobody tells of, such as a task for later or a limit. */
const longestRest = 1_000
/**
 * How long a claim that took all tokens of its servers is followed by none, in milliseconds, at least: what is due there waits for
 * tokens anyway, and a bucket holds those of 250. At 20 requests a second, one claim takes three then, where there were two and a half
 * claims for each.
 */
const shortestPaced = 150
/**
 * The same where the server has places for more than the claim took: until this long before its bucket is full, which makes five
 * of those requests one claim and one settlement. Where places are few, a claim that takes all of them leaves none for those that
 * settle together.
 */
const beforeFull = 50
/** While all places are taken, until one is free. */
const longestPauseOfClaims = Duration.seconds(30)
/** A queue that is there but refuses what a run leads to would else have its server asked again and again. */
const beforeGivingBack = Duration.seconds(5)
/** Between two tries to settle a task whose row somebody else holds, in milliseconds. */
const [shortestPause, longestPause] = [50, 2_000]

export interface WorkOptions<Kind extends string, Details> {
  /** Of its loops. */
  readonly name: string
  readonly queue: TaskQueue<Kind, Details>
  /** Runs at a time in this instance. */
  readonly concurrency: number
}

/** A task that runs here, and until when nobody else may: by `monotonicMillis`, from before the queue was asked. */
interface Held<Kind extends string, Details> {
  readonly task: ClaimedTask<Kind, Details>
  leaseEnd: number
}

/** Two numbers for each doubling: a queue may plan its claims once for each number that it is asked for. */
const roundedDown = (free: number): number => {
  const step = 2 ** Math.max(0, Math.floor(Math.log2(free)) - 1)
  return Math.floor(free / step) * step
}

type Budgeted = Pick<ClaimedTask<string, unknown>, "server">
/** The claim took its server's last token: before the next one comes, the end of its run makes room for nobody. */
const isPaced = ({ server: { left } }: Budgeted): boolean => left !== undefined && left.tokenIn > 0
/** Its server has places for those that there will be tokens for, so this one's may be given back a moment later. */
export const mayBeSettledLater = (task: Budgeted): boolean => isPaced(task) && (task.server.left?.places ?? 0) > 0

/** How long to wait after a claim of less than there were places for, in milliseconds; nothing where a server may have more to give. */
const pacedFor = (claimed: ReadonlyArray<Budgeted>): number | undefined => {
  if (!claimed.every(isPaced)) return undefined
  const claimedOf = Map.groupBy(claimed, ({ server }) => server.origin)
  const pauses = claimed.map(({ server: { left, origin } }) => {
    const { places = 0, tokenIn = 0 } = left ?? {}
    // Beside the token that comes first, a bucket holds those of so many milliseconds.
    const fullIn = tokenIn + 1_000 * bucketSeconds
    return places < (claimedOf.get(origin)?.length ?? 0) ? tokenIn : fullIn - beforeFull
  })
  return Math.min(Math.max(shortestPaced, Math.min(...pauses)), longestIdle)
}

const nextLeaseEnd = Effect.map(monotonicMillis, (now) => now + Duration.toMillis(leaseTime))

/** A claim that found tasks begins the trace that they go on in. */
export const tracedClaim = <A, E, R>(claim: Effect.Effect<ReadonlyArray<A>, E, R>) =>
  lookWhereTraced(claim, ({ length }) =>
    length === 0 ? undefined : { name: "claim Hilltop tasks", attributes: { "penstock.claim.size": length } }
  )
export const within = <A, E, R>(claim: Tracer.Span | undefined, run: Effect.Effect<A, E, R>) =>
  claim === undefined ? run : Effect.withParentSpan(run, claim)

/**
 * Works for as long as its scope is open; its end interrupts what runs. `run` ends a task in every case: it settles it, or
 * gives it back when it is interrupted.
 */
export const workLoops = Effect.fnUntraced(function* <Kind extends string, Details, R = never>({
  afterTakeOver = Effect.void,
  concurrency,
  name,
  noteClaimed = () => Effect.void,
  noteInFlight = () => Effect.void,
  queue,
  run
}: WorkOptions<Kind, Details> & {
  readonly run: (task: ClaimedTask<Kind, Details>) => Effect.Effect<void, never, R>
  readonly noteClaimed?: (tasks: ReadonlyArray<ClaimedTask<Kind, Details>>) => Effect.Effect<void>
  readonly noteInFlight?: (tasks: number) => Effect.Effect<void>
  readonly afterTakeOver?: Effect.Effect<void, StoreUnavailable>
}): Effect.fn.Return<void, never, R | Loops | Scope.Scope> {
  const running = yield* FiberMap.make<number>()
  const tasks = new Map<number, Held<Kind, Details>>()
  const woken = yield* Latch.make()
  /** The servers that were asked last have no tokens yet. */
  let paced = false

  const start = (held: Held<Kind, Details>, claim: Tracer.Span | undefined) => {
    const { id } = held.task
    tasks.set(id, held)
    const ended = Effect.sync(() => {
      if (tasks.get(id) === held) tasks.delete(id)
      if (!paced || !isPaced(held.task)) woken.openUnsafe()
    })
    const untilEnd = Effect.raceFirst(within(claim, run(held.task)), untilLost(name, held))
    return FiberMap.run(running, id, Effect.interruptible(Effect.ensuring(untilEnd, ended)))
  }

  // Uninterruptible, so that no claim is lost between being taken and being run.
  const claimAndStart = Effect.gen(function* () {
    yield* woken.close
    const free = concurrency - tasks.size
    if (free <= 0) return undefined
    const leaseEnd = yield* nextLeaseEnd
    const asked = roundedDown(free)
    const [claimed, claim] = yield* tracedClaim(queue.claim(asked))
    yield* noteClaimed(claimed)
    yield* Effect.forEach(claimed, (task) => start({ task, leaseEnd }, claim), { discard: true })
    yield* noteInFlight(tasks.size)
    return { asked, claimed }
  }).pipe(Effect.uninterruptible)

  let idle = shortestIdle
  /** Claims in a row that found nothing. */
  let empty = 0
  const nextPass = Effect.gen(function* () {
    if (empty >= looksAfter) {
      // Before the look, so that what comes after it is heard.
      yield* woken.close
      const nothingFor = yield* queue.untilDue
      if (nothingFor > 0) return { nothingFor }
      empty = 0
    }
    return yield* claimAndStart
  })

  /** Whether it was woken. */
  const wokenWithin = (patience: Duration.Input) =>
    Effect.andThen(Effect.sleep(betweenClaims), Effect.timeoutOption(woken.await, patience)).pipe(
      Effect.map(Option.isSome)
    )
  yield* repeatPass({ name, pauses: longestPauseOfClaims }, nextPass, (pass) => {
    if (pass === undefined) return wokenWithin(longestPauseOfClaims)
    if ("nothingFor" in pass) {
      const rest = Math.min(pass.nothingFor, longestRest)
      return Effect.map(wokenWithin(rest), (isWoken) => {
        if (!isWoken && rest < pass.nothingFor) return
        empty = 0
        idle = shortestIdle
      })
    }
    const { asked, claimed } = pass
    if (claimed.length === 0) {
      empty += 1
      idle = Math.min(idle * 2, longestIdle)
      return Effect.map(wokenWithin(idle), (isWoken) => {
        if (isWoken) empty = 0
      })
    }
    empty = 0
    const pause = claimed.length < asked ? pacedFor(claimed) : undefined
    idle = pause === undefined ? shortestIdle : longestIdle
    if (pause === undefined) return Effect.sleep(betweenClaims)
    paced = true
    return Effect.ensuring(
      wokenWithin(pause),
      Effect.sync(() => void (paced = false))
    )
  }).pipe(Effect.forkScoped)
  yield* Stream.runForEach(queue.arrivals, () => woken.open).pipe(Effect.forkScoped)

  const heartbeat = Effect.gen(function* () {
    const leaseEnd = yield* nextLeaseEnd
    const held = [...tasks.values()]
    if (held.length === 0) return
    const answer = yield* queue.heartbeat(held.map(({ task }) => task))
    const [isLost, isAsItWas] = [new Set(answer.lost), new Set(answer.held)]
    for (const each of held) {
      if (isAsItWas.has(each.task.id)) continue
      if (!isLost.has(each.task.id)) each.leaseEnd = leaseEnd
      // Unless it was settled meanwhile, and is running again.
      else if (tasks.get(each.task.id) === each) yield* FiberMap.remove(running, each.task.id)
    }
  })
  yield* repeatPass({ name: `${name}-heartbeat`, pauses: heartbeatEvery }, heartbeat, () =>
    Effect.sleep(heartbeatEvery)
  ).pipe(Effect.forkScoped)

  yield* repeatPass(
    { name: `${name}-takeover`, pauses: takeOverEvery },
    Effect.andThen(queue.takeOver, afterTakeOver),
    () => Effect.sleep(takeOverEvery)
  ).pipe(Effect.forkScoped)
})

/** Ends shortly before the lease does, which is when somebody else may begin the task: heartbeats did not get through. */
const untilLost = <Kind extends string, Details>(name: string, held: Held<Kind, Details>): Effect.Effect<void> =>
  Effect.flatMap(monotonicMillis, (now) => {
    const left = held.leaseEnd - Duration.toMillis(margin) - now
    return left <= 0
      ? sayOnce(`${name}: lease`, Effect.logWarning(`${name}: leases could not be extended, so tasks are given up`))
      : Effect.andThen(Effect.sleep(left), untilLost(name, held))
  })

/**
 * Records a settlement until it is recorded or the lease is lost: a row that somebody else holds is waited for, and its task is not
 * run anew. Whether it was recorded.
 */
export const recorded = <A, R>(
  settle: (settlement: Settlement) => Effect.Effect<{ readonly again: Settlement | undefined } | undefined, A, R>,
  restore: <B, E, R2>(effect: Effect.Effect<B, E, R2>) => Effect.Effect<B, E, R2>
) => {
  const record = (settlement: Settlement, pause = shortestPause): Effect.Effect<Settlement | undefined, A, R> =>
    Effect.flatMap(settle(settlement), (unsettled) =>
      unsettled === undefined
        ? Effect.succeed(settlement)
        : unsettled.again === undefined
          ? Effect.succeed(undefined)
          : Effect.andThen(restore(Effect.sleep(pause)), record(unsettled.again, Math.min(2 * pause, longestPause)))
    )
  return record
}

/** Gives a task back, since whatever it needs was away; but not at once, or it would be claimed again at once. */
export const giveBackLater = <Kind extends string, Details>(
  queue: TaskQueue<Kind, Details>,
  task: ClaimedTask<Kind, Details>
): Effect.Effect<void> => Effect.andThen(Effect.sleep(beforeGivingBack), Effect.ignore(queue.release([task])))

/**
 * Runs what is due for as long as its scope is open. What `run` returns is recorded last of all, so that a crash repeats a run and
 * loses nothing. A run that fails is no run: its task is given back after 5 s, with no attempt counted. That is for when the
 * database or a topic is away; what a server does wrong is for the settlement to tell.
 */
export const taskWorker = <Kind extends string, Details, E, R>({
  run,
  ...options
}: WorkOptions<Kind, Details> & {
  readonly run: (task: ClaimedTask<Kind, Details>) => Effect.Effect<Settlement, E, R>
}) => {
  const { name, queue } = options
  const settle = (settlement: Settlement) => Effect.map(queue.settle([settlement]), ([unsettled]) => unsettled)
  return workLoops({
    ...options,
    // What has been run is settled even when interrupted then.
    run: (task) =>
      Effect.uninterruptibleMask((restore) =>
        Effect.flatMap(restore(run(task)), (settlement) => recorded(settle, restore)(settlement))
      ).pipe(
        Effect.asVoid,
        Effect.catchCause((cause) =>
          Cause.hasInterrupts(cause)
            ? Effect.failCause(cause as Cause.Cause<never>)
            : sayOnce(
                `${name}: ${describe(cause)}`,
                Effect.logWarning(`${name}: a task could not be run, and is given back`, describe(cause))
              ).pipe(Effect.andThen(giveBackLater(queue, task)))
        ),
        Effect.onInterrupt(() => Effect.ignore(queue.release([task])))
      )
  })
}
