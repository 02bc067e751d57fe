/**
 * When a failing adapter is left alone: a state without clock or network, moved by what calls and probes tell.
 *
 * Failures in a row only raise a doubt, since all of them may be those accounting points' own. It is settled by asking
 * about others, first of all some that lately succeeded: one answer, to any call, closes the circuit.
 */
export interface CircuitState {
  /** `doubted` until others have been asked; `open` while the adapter is left alone. */
  readonly phase: "closed" | "doubted" | "open"
  /** The accounting points that failed since the last answer. */
  readonly points: ReadonlySet<string>
  /** How often they did. */
  readonly failures: number
  /** Rounds of probes since the doubt that nobody answered. */
  readonly rounds: number
}

export const closed: CircuitState = { phase: "closed", points: new Set(), failures: 0, rounds: 0 }

/** So many failures in a row, of two accounting points at least, raise a doubt. One that fails alone is its own affair. */
export const failuresInRow = 10

/** After a failure of the accounting point `point`. */
export const afterFailure = (state: CircuitState, point: string): CircuitState => {
  if (state.phase !== "closed") return state
  const points = new Set([...state.points, point])
  const failures = state.failures + 1
  return { ...state, points, failures, phase: failures >= failuresInRow && points.size > 1 ? "doubted" : "closed" }
}

/** After a round of probes of which none was answered. */
export const afterSilence = (state: CircuitState): CircuitState =>
  state.phase === "closed" ? state : { ...state, phase: "open", rounds: state.rounds + 1 }

/**
 * How many seconds until the next round of probes: 5 doubling to 30, and as long as the adapter asked for, up to 2 minutes, so
 * that it is found soon when it is back.
 */
export const nextRoundIn = ({ rounds }: CircuitState, asked = 0): number =>
  Math.max(Math.min(5 * 2 ** Math.max(0, rounds - 1), 30), Math.min(asked, 120))
