/**
 * A figure, and the yardstick it stands beside.
 *
 * A number of its own says more about the machine than about the code, so nothing is reported without a yardstick from the
 * same run. The ratio is taken round by round, before the median: what slows the machine down slows down both sides of
 * a round, and leaves their ratio alone.
 */

/** What the figure is meant to reach: at least the bound where higher is better, else at most. */
export interface Target {
  readonly of: "ratio" | "figure"
  readonly bound: number
}

export interface Round {
  readonly figure: number
  readonly yardstick: number
}

export interface Figure {
  /** What was measured, and what the yardstick is. */
  readonly name: string
  readonly yardstick: string
  readonly unit: string
  readonly better: "higher" | "lower"
  readonly targets: ReadonlyArray<Target>
  /** At least one. */
  readonly rounds: ReadonlyArray<Round>
}

export interface Spread {
  readonly median: number
  readonly min: number
  readonly max: number
}

/** Of at least one number. */
export const spread = (numbers: ReadonlyArray<number>): Spread => {
  const sorted = [...numbers].sort((a, b) => a - b)
  const half = Math.floor((sorted.length - 1) / 2)
  return {
    median: (sorted[half]! + sorted[sorted.length - 1 - half]!) / 2,
    min: sorted[0]!,
    max: sorted.at(-1)!
  }
}

export interface Summary {
  readonly ratio: Spread
  readonly figure: Spread
  readonly yardstick: Spread
}

export const summarise = ({ rounds }: Figure): Summary => ({
  ratio: spread(rounds.map(({ figure, yardstick }) => figure / yardstick)),
  figure: spread(rounds.map(({ figure }) => figure)),
  yardstick: spread(rounds.map(({ yardstick }) => yardstick))
})

/** Judged by the median: a single bad round is the machine's. */
export const isReached = (figure: Figure, target: Target): boolean => {
  const { median } = summarise(figure)[target.of]
  return figure.better === "higher" ? median >= target.bound : median <= target.bound
}
