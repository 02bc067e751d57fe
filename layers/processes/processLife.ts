/**
 * The life of one further process, as the first one follows it: it is started, heard, and killed when it has not reported for a
 * minute. Its reports are the signs of life of a loop that is named as it is.
 */
import { Deferred, Effect, Exit, Option, Queue } from "effect"
import { beat } from "../../src/running/Loop.ts"
import { forgetLoopsOf, noteLoopsOf } from "../../src/running/loopsElsewhere.ts"
import type { ProcessLoad } from "../../src/running/processDemand.ts"
import type { OrphanGuard } from "./orphanGuard.ts"
import { fromFurther, type FromFurther } from "./processMessages.ts"
import { startProcess } from "./startProcess.ts"
import { monotonicMillis } from "../../src/running/monotonicMillis.ts"

/** Looks for a report, this far apart: of a machine that stood still, reports that wait are read before the next look. */
const betweenListenings = "5 seconds"
const mostSilent = 12
/** A process that dies after so many milliseconds was well, and is started again at once. */
const goodWhile = 60_000
/** How long the metrics of a process are waited for. */
const measurePatience = "1 second"

/** What is known of a further process that lives. */
export interface KnownProcess {
  /** Unknown until its first report. */
  load: ProcessLoad | undefined
  measured: Extract<FromFurther, { _tag: "Measured" }>["metrics"]
  /** Asks it what it has measured; what does not come in time is not known. */
  readonly measure: Effect.Effect<void>
}

export interface ProcessLifeOptions {
  readonly number: number
  /** Its program, of which the number is the argument. */
  readonly entry: string
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly guard: OrphanGuard
  /** Has it for as long as it lives, by number. */
  readonly known: Map<number, KnownProcess>
}

/** As health and the log call it. */
export const nameOf = (number: number): string => `process ${number}`

/** Ends when the process has died; fails when it did so soon after its start. Interruption ends the process. */
export const processLife = Effect.fnUntraced(function* ({
  entry,
  environment,
  guard,
  known,
  number
}: ProcessLifeOptions) {
  const name = nameOf(number)
  const startedAt = yield* monotonicMillis
  let held: number | undefined
  // Before it is started: it is held until it has ended.
  yield* Effect.addFinalizer(() => (held === undefined ? Effect.void : guard.letGo(held)))
  const { ended, kill, messages, pid, send } = yield* startProcess(entry, [String(number)], environment)
  held = pid
  yield* guard.hold(pid)
  let answered = Deferred.makeUnsafe<KnownProcess["measured"]>()
  const own: KnownProcess = {
    load: undefined,
    measured: [],
    measure: Effect.gen(function* () {
      answered = Deferred.makeUnsafe()
      yield* send({ _tag: "Measure" })
      own.measured = yield* Effect.timeoutOrElse(Deferred.await(answered), {
        duration: measurePatience,
        orElse: () => Effect.succeed([])
      })
    })
  }
  known.set(number, own)
  yield* Effect.addFinalizer(() =>
    Effect.andThen(
      Effect.sync(() => known.delete(number)),
      forgetLoopsOf(name)
    )
  )
  let silent = 0
  let isKilled = false
  const hear = Effect.gen(function* () {
    const message = Option.getOrUndefined(fromFurther(yield* Queue.take(messages)))
    if (message === undefined) return
    silent = 0
    if (message._tag === "Measured") return void Deferred.doneUnsafe(answered, Exit.succeed(message.metrics))
    own.load = message.load
    yield* noteLoopsOf(name, message.stuck)
    yield* beat(name)
  })
  const listen = Effect.gen(function* () {
    yield* Effect.sleep(betweenListenings)
    silent++
    if (silent < mostSilent) return
    isKilled = true
    yield* Effect.logWarning(`${name} has not reported for a minute, and is killed and started again`)
    yield* kill
    return yield* Effect.never
  })
  return yield* Effect.raceAllFirst([ended, Effect.forever(hear), Effect.forever(listen)]).pipe(
    Effect.catchTag("ProcessEnded", (error) =>
      Effect.gen(function* () {
        const lasted = (yield* monotonicMillis) - startedAt
        if (lasted < goodWhile || own.load === undefined) return yield* error
        if (isKilled) return
        yield* Effect.logWarning(`${name} ended by itself and is started again`, error.reason._tag)
      })
    )
  )
}, Effect.scoped)
