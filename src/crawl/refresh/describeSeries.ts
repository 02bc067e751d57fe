/** Why a series is asked again when it is, for a person to read; times of day in NZST, as the series' own. */
import { formatNzst } from "../../hilltop/Nzst.ts"
import { quantile } from "./ArrivalWindow.ts"
import type { NextLook } from "./NextLook.ts"
import type { SeriesState } from "./SeriesState.ts"

const day = 86_400

const number = (value: number): string =>
  value < 10 ? value.toFixed(1).replace(/\.0$/, "") : String(Math.round(value))

/** `15 min`, `3 h`, `2 days`. */
export const span = (seconds: number): string => {
  if (Math.abs(seconds) < 90) return `${Math.round(seconds)} s`
  if (Math.abs(seconds) < 90 * 60) return `${number(seconds / 60)} min`
  return Math.abs(seconds) < 2 * day ? `${number(seconds / 3600)} h` : `${number(seconds / day)} days`
}

const range = (low: number, high: number): string => {
  const [a, b] = [span(low), span(high)]
  const [unitA, unitB] = [a.slice(a.indexOf(" ")), b.slice(b.indexOf(" "))]
  if (a === b) return a
  return unitA === unitB ? `${a.slice(0, a.indexOf(" "))}–${b}` : `${a} to ${b}`
}

const moment = (seconds: number, from: number): string => {
  const text = formatNzst(seconds * 1000)
  return seconds - from < day / 2 ? text.slice(11, 16) : `${text.slice(5, 10)} ${text.slice(11, 16)}`
}

export const describeSeries = (state: SeriesState, { due, why }: NextLook, follows: boolean): string => {
  const { at, clock, deliveries, during } = state
  const next = `${follows ? "woken by another series of the site, at the latest" : "next"} at ${moment(due, at)}`
  if (clock === undefined) {
    const often = `about every ${span(during / (deliveries + 0.5))}`
    return deliveries < 1 ? `silent for ${span(during)}; ${next}` : `no period found, ${often}; ${next}`
  }
  const { anchor, period, window } = clock
  const late = range(quantile(window, 0.05), quantile(window, 0.95))
  const clockText = `every ${span(period)}, arrives ${late} late`
  return why === "overdue"
    ? `${clockText}; overdue for ${span(at - anchor - period - quantile(window, 0.5))}; ${next}`
    : `${clockText}; ${next}`
}
