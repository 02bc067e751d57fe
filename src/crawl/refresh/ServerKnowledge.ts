/**
 * What all runs of a server teach together: what a request is worth there, how many are made, and how often months of some age are
 * corrected. One short text in the server's row.
 */
import { Option, Schema } from "effect"
import type { Instant } from "../../domain/Instant.ts"
import { hourCount, unknownHours, withArrival } from "./PeopleHours.ts"

/** Ages of months, in months before the one that it is: 1, 2, 3, 4–6, 7–12, 13–36, older. */
const ageBounds = [1, 2, 3, 6, 12, 36]
export const ageCount = ageBounds.length + 1
export const ageClass = (months: number): number => {
  const index = ageBounds.findIndex((bound) => months <= bound)
  return index < 0 ? ageCount - 1 : index
}

export interface ServerKnowledge {
  /** Seconds of delay, of one value, that a request must save. */
  readonly price: number
  /** Since when requests are counted, and how many were made. */
  readonly since: Instant | undefined
  readonly made: number
  /** How much of what documents said its lists knew as well, 0 to 1; and how many were compared. */
  readonly truth: number
  readonly compared: number
  /** By age of a month: corrections that looks found, and the days between looks. */
  readonly corrections: ReadonlyArray<number>
  readonly days: ReadonlyArray<number>
  /** When people enter data, see `PeopleHours`. */
  readonly hours: ReadonlyArray<number>
}

/** What one run teaches about its server. */
export interface Lesson {
  readonly at: Instant
  /**
   * MEASUREMENTS_LIST: series of which it knew as much as their documents, and less; when it was read before, in seconds, if it shows
   * what people have entered since.
   */
  readonly list?:
    | { readonly truthful: number; readonly behind: number; readonly enteredSince?: number | undefined }
    | undefined
  /** MEASUREMENT_DATA: class of age, days since it was looked at last, and whether it was corrected in between. */
  readonly month?: { readonly age: number; readonly days: number; readonly corrected: boolean } | undefined
}

/**
 * Where no wish is set, a request must save this many seconds of one value: a series in step with its clock is then asked about
 * as often as it has news, and no series more often than by its step.
 */
export const leastPrice = 30
const highestPrice = 1e7

/** As if each age had been looked at for so long, and corrected about once a year, younger ones more often. */
const unknownDays = 400
const unknownRates = [1 / 90, 1 / 120, 1 / 150, 1 / 365, 1 / 500, 1 / 1500, 1 / 3000]

export const unknownServer: ServerKnowledge = {
  price: 60,
  since: undefined,
  made: 0,
  truth: 0.5,
  compared: 0,
  corrections: unknownRates.map((rate) => rate * unknownDays),
  days: unknownRates.map(() => unknownDays),
  hours: unknownHours
}

/**
 * By how much lists and months are asked about more seldom where requests are dear: they must not starve what is new. By the square root
 * of the price, as everything that waits; a quarter of a tight budget is the most that they take.
 */
export const thrift = ({ price }: ServerKnowledge): number => Math.min(4.5, Math.max(1, Math.sqrt(price / 150)))

/** Whether lists of this server can be trusted to show what is new. */
export const listsTell = ({ compared, truth }: ServerKnowledge): boolean => compared >= 20 && truth > 0.97

/** Corrections a day of one month of this age. */
export const correctionRate = (server: ServerKnowledge, age: number): number =>
  Math.max(1e-5, (server.corrections[age] ?? 0) / (server.days[age] ?? unknownDays))

/** The price moves this often, in milliseconds, and not by more than this factor. */
const interval = 3 * 3_600_000
const largestMove = 1.5
/** Days of looks at months after which older ones count less. */
const memory = 30_000

export const afterLessons = (
  server: ServerKnowledge,
  lessons: ReadonlyArray<Lesson>,
  allowedPerDay: number | undefined,
  now: Instant
): ServerKnowledge => {
  const corrections = [...server.corrections]
  const days = [...server.days]
  let { compared, hours, truth } = server
  for (const { at, list, month } of lessons) {
    const { behind, enteredSince, truthful } = list ?? { behind: 0, truthful: 0, enteredSince: undefined }
    if (enteredSince !== undefined) hours = withArrival(hours, enteredSince, Math.round(at / 1000))
    for (let n = 0; n < truthful + behind; n++) {
      compared = Math.min(1000, compared + 1)
      truth += ((n < truthful ? 1 : 0) - truth) / Math.min(compared + 1, 200)
    }
    if (month === undefined || !(month.age >= 0 && month.age < ageCount)) continue
    days[month.age]! += month.days
    if (month.corrected) corrections[month.age]! += 1
    if (days[month.age]! > memory) {
      corrections[month.age]! *= memory / days[month.age]!
      days[month.age] = memory
    }
  }
  const counted = { ...server, compared, truth, corrections, days, hours, made: server.made + lessons.length }
  if (server.since === undefined || server.since > now) return { ...counted, since: now }
  const passed = now - server.since
  if (passed < interval) return counted
  const allowed = allowedPerDay === undefined ? Infinity : (allowedPerDay * passed) / 86_400_000
  // The root of it: half of what would be right at once, since looks follow the price with a delay.
  const ratio = allowed > 0 ? Math.sqrt(counted.made / allowed) : largestMove
  const move = Math.min(largestMove, Math.max(1 / largestMove, ratio))
  return {
    ...counted,
    price: Math.min(highestPrice, Math.max(leastPrice, server.price * move)),
    since: now,
    made: 0
  }
}

const Numbers = Schema.Array(Schema.Finite)
const Kept = Schema.fromJsonString(
  Schema.Struct({
    price: Schema.Finite,
    since: Schema.optional(Schema.Finite),
    made: Schema.Finite,
    truth: Schema.Finite,
    compared: Schema.Finite,
    corrections: Numbers,
    days: Numbers,
    hours: Schema.optional(Numbers)
  })
)
const decode = Schema.decodeUnknownOption(Kept)

/** As text for the queue to keep. */
export const formatServer = ({
  compared,
  corrections,
  days,
  hours,
  made,
  price,
  since,
  truth
}: ServerKnowledge): string => {
  const short = (numbers: ReadonlyArray<number>) => numbers.map((one) => Number(one.toPrecision(5)))
  return JSON.stringify({
    price: Number(price.toPrecision(6)),
    ...(since === undefined ? {} : { since }),
    made,
    truth: Number(truth.toPrecision(4)),
    compared,
    corrections: short(corrections),
    days: short(days),
    hours: hours.map((one) => Number(one.toPrecision(3)))
  })
}

/** Any other text is that of a server of which nothing is known. */
export const parseServer = (text: string | undefined): ServerKnowledge =>
  Option.match(text === undefined ? Option.none() : decode(text), {
    onNone: () => unknownServer,
    onSome: ({ compared, corrections, days, hours, made, price, since, truth }) =>
      price > 0 &&
      made >= 0 &&
      truth >= 0 &&
      truth <= 1 &&
      compared >= 0 &&
      corrections.length === ageCount &&
      days.length === ageCount &&
      days.every((one) => one > 0) &&
      corrections.every((one) => one >= 0)
        ? {
            price: Math.min(highestPrice, Math.max(leastPrice, price)),
            since,
            made,
            truth,
            compared,
            corrections,
            days,
            hours: hours?.length === hourCount && hours.every((one) => one >= 0) ? hours : unknownHours
          }
        : unknownServer
  })
