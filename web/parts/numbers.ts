/** Numbers as people read them: digits in groups, counts that say how exact they are, durations in words. */
import type { Count } from "../asking/shapes.ts"

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 })
const three = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 })

export const integer = (value: number): string => whole.format(value)

/** With three digits that count, or all digits of a whole part. */
export const decimal = (value: number | null): string =>
  value === null ? "–" : Math.abs(value) >= 100 ? whole.format(value) : three.format(value)

/** `1,234`, `1,234+` where counting stopped there, `≈ 1,234` where it is an estimate. */
export const countText = ({ is, value }: Count): string =>
  is === "at_least" ? `${integer(value)}+` : is === "estimate" ? `≈ ${integer(value)}` : integer(value)

export const millis = (value: number | null): string =>
  value === null ? "–" : value >= 10_000 ? `${decimal(value / 1000)} s` : `${decimal(value)} ms`

export const bytes = (value: number): string =>
  value < 1000 ? `${integer(value)} B` : value < 1e6 ? `${decimal(value / 1000)} kB` : `${decimal(value / 1e6)} MB`

/** `40 s`, `12 min`, `3 h 5 min`, `4 d 2 h`: two units at most. */
export const durationText = (seconds: number): string => {
  const all = Math.max(0, Math.round(seconds))
  if (all < 60) return `${all} s`
  const minutes = Math.floor(all / 60)
  if (minutes < 60) return `${minutes} min`
  const hours = Math.floor(minutes / 60)
  if (hours < 48) return minutes % 60 === 0 || hours >= 10 ? `${hours} h` : `${hours} h ${minutes % 60} min`
  const days = Math.floor(hours / 24)
  return hours % 24 === 0 || days >= 10 ? `${integer(days)} d` : `${days} d ${hours % 24} h`
}

export const durationOr = (seconds: number | null): string => (seconds === null ? "–" : durationText(seconds))

/** `1 site`, `2 sites`. */
export const several = (count: number, one: string, many = `${one}s`): string =>
  `${integer(count)} ${count === 1 ? one : many}`
