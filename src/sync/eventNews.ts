/**
 * Whether an event about an accounting point is news, and which times are remembered of it, all in microseconds: the rule that
 * `EventInbox` says in words.
 *
 * `PgEventInbox` says it in SQL, under the lock of the row: decided here, each batch would cost a second round trip, and one more
 * for the rows that moved meanwhile. So it stands twice, and a test compares the two over random histories.
 */
import { rememberedTimes } from "./EventInbox.ts"

export interface ToldEvents {
  /** Of the last event; none yet. */
  readonly last: number | undefined
  /** Of events shortly before it. */
  readonly times: ReadonlyArray<number>
  /** It is to be followed, and nobody has begun to. */
  readonly waits: boolean
}

const second = 1e6

/** Of an event at this time. */
export const isNews = ({ last, times, waits }: ToldEvents, at: number, now: number, skew: number): boolean => {
  if (last === undefined || at > last) return true
  if (at <= last - skew) return false
  return at === last ? at % second === 0 && now < at + second + skew && !waits : !times.includes(at)
}

/** What is remembered of the events when some of them are news, newest first; the last one is known by itself. */
export const timesTold = (
  { last, times }: ToldEvents,
  told: ReadonlyArray<number>,
  skew: number
): ReadonlyArray<number> => {
  const all = [...times, ...(last === undefined ? [] : [last]), ...told]
  const newest = Math.max(...all)
  return [...new Set(all)]
    .filter((at) => at > newest - skew && at !== newest)
    .sort((a, b) => b - a)
    .slice(0, rememberedTimes)
}
