/** Figures as people read them: in the table of a run and on the page of all groups. */
import { type Figure, isReached, type Spread, type Target } from "./Figure.ts"

export const number = (value: number) => value.toLocaleString("en", { maximumSignificantDigits: value >= 1000 ? 4 : 3 })

export const range = ({ max, median, min }: Spread) => `${number(median)} (${number(min)}–${number(max)})`

export const targetText = (figure: Figure, target: Target): string => {
  const sign = figure.better === "higher" ? "≥" : "≤"
  return `${isReached(figure, target) ? "ok" : "MISSED"}: ${target.of} ${sign} ${number(target.bound)}`
}
