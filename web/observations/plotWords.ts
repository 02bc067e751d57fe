/** A picture in words, for those who do not see it, and the place under the pointer. */
import type { Plot } from "../asking/shapes.ts"
import { decimal, durationText, integer, several } from "../parts/numbers.ts"
import { nzst } from "./span.ts"

const sum = (all: ReadonlyArray<number>): number => all.reduce((total, one) => total + one, 0)

export const gapsOf = ({ n }: Plot): number => n.filter((values) => values === 0).length
export const censoredOf = ({ censored }: Plot): number => sum(censored)
export const correctedOf = ({ corrected }: Plot): number => sum(corrected)

const extremesOf = ({ max, min }: Plot): readonly [number, number] | undefined => {
  const values = [...min, ...max].filter((value) => value !== null)
  return values.length === 0
    ? undefined
    : values.reduce<readonly [number, number]>(
        ([low, high], value) => [Math.min(low, value), Math.max(high, value)],
        [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]
      )
}

export const describePlot = (plot: Plot, title: string): string => {
  const extremes = extremesOf(plot)
  if (extremes === undefined) return `${title}: no values`
  const span =
    plot.from === null || plot.to === null ? "" : ` from ${nzst(Date.parse(plot.from))} to ${nzst(Date.parse(plot.to))}`
  return `${title}${span}: ${several(plot.values, "value")} between ${decimal(extremes[0])} and ${decimal(extremes[1])}, ${several(gapsOf(plot), "gap")}. The table below has the values.`
}

export const rowText = (plot: Plot, row: number): string => {
  const [t, low, high, values] = [plot.t[row], plot.min[row], plot.max[row], plot.n[row] ?? 0]
  if (t === undefined) return ""
  const units = plot.series.units ?? ""
  const when = `${nzst(t * 1000)} NZST`
  if (low == null || high == null) return `${when}: no values`
  const notes = [
    (plot.censored[row] ?? 0) > 0 ? `${integer(plot.censored[row] ?? 0)} censored` : "",
    (plot.corrected[row] ?? 0) > 0 ? `${integer(plot.corrected[row] ?? 0)} corrected` : "",
    plot.quality[row] == null ? "" : `quality ${plot.quality[row]}`
  ].filter((note) => note !== "")
  const what = low === high ? `${low} ${units}` : `${low} to ${high} ${units}, ${several(values, "value")}`
  return [`${when}: ${what}`, ...notes].join(", ")
}

/** What one row of a thinned picture stands for. */
export const thinnedText = ({ bucket_seconds, thinned }: Plot): string =>
  thinned && bucket_seconds !== null
    ? `Drawn as the lowest and highest value of every ${durationText(bucket_seconds)}.`
    : "Every value is drawn."
