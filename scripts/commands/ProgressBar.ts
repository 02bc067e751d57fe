/**
 * What a command is doing, on the last line of a terminal, once it takes longer than a second: a bar where it is known how much
 * there is, else the time that has passed. It leaves nothing behind; where standard error is no terminal, there is none.
 */
import { Clock, Context, Effect, Layer, Schedule } from "effect"
import { fit } from "./fit.ts"

export interface Step {
  /** Such as "Reads the documents". */
  readonly what: string
  readonly done?: number | undefined
  /** Of how many; none where nobody knows. */
  readonly of?: number | undefined
  readonly note?: string | undefined
}

export class ProgressBar extends Context.Service<
  ProgressBar,
  {
    /** From now on this is shown, until something else is. */
    readonly show: (step: Step) => Effect.Effect<void>
    /** Nothing is shown, until something is again. */
    readonly hide: Effect.Effect<void>
    /** Prints a line on standard error, above the bar. */
    readonly line: (text: string) => Effect.Effect<void>
  }
>()("penstock/scripts/commands/ProgressBar") {
  /** The bar of one command; it is gone when the scope closes. */
  static readonly layer = Layer.effect(
    ProgressBar,
    Effect.suspend(() => makeBar(process.stderr))
  )
}

/** Milliseconds before it is seen, since what is over in a moment needs none. */
const quiet = 1_000
const barWidth = 24

const barOf = (done: number, of: number): string => {
  const share = of === 0 ? 1 : Math.min(1, done / of)
  const full = Math.round(share * barWidth)
  return `[${"#".repeat(full)}${"-".repeat(barWidth - full)}] ${Math.floor(share * 100)} %`
}

/** The line as it is drawn, after so many seconds. */
export const lineOf = ({ done, note, of, what }: Step, seconds: number): string => {
  const count = done === undefined ? [] : [of === undefined ? `${done}` : `${done} of ${of}`]
  const bar = done === undefined || of === undefined ? [] : [barOf(done, of)]
  return [what, ...bar, ...count, ...(note === undefined ? [] : [note]), `${Math.floor(seconds)} s`].join("  ")
}

/** Of standard error. */
interface Screen {
  readonly isTTY?: boolean
  readonly columns?: number
  readonly write: (text: string) => unknown
}

const makeBar = Effect.fnUntraced(function* (screen: Screen) {
  const startedAt = yield* Clock.currentTimeMillis
  let step: Step | undefined
  let drawn = false
  const clear = Effect.sync(() => {
    if (drawn) screen.write("\r\u001b[K")
    drawn = false
  })
  const line = (text: string) =>
    Effect.andThen(
      clear,
      Effect.sync(() => void screen.write(`${text}\n`))
    )
  if (screen.isTTY !== true) return ProgressBar.of({ show: () => Effect.void, hide: Effect.void, line })
  const hide = Effect.andThen(
    Effect.sync(() => void (step = undefined)),
    clear
  )
  const draw = Effect.map(Clock.currentTimeMillis, (now) => {
    if (step === undefined || now - startedAt < quiet) return
    // Not to the last column, where some terminals begin a new line.
    const text = fit(lineOf(step, (now - startedAt) / 1_000), (screen.columns ?? 80) - 1)
    screen.write(`\r${text}\u001b[K`)
    drawn = true
  })
  yield* Effect.addFinalizer(() => hide)
  yield* Effect.forkScoped(Effect.repeat(draw, Schedule.spaced("100 millis")))
  return ProgressBar.of({ show: (next) => Effect.sync(() => void (step = next)), hide, line })
})
