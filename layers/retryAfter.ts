/** The `Retry-After` header of RFC 9110, seconds or a date, as seconds from now; none when it is neither. */
import { Clock, DateTime, Effect, Option } from "effect"

/** Only what begins like `Sun, 06 Nov 1994` or its older forms: the date parser takes nearly anything for a date. */
const HTTP_DATE = /^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*,? /

export const retryAfterSeconds = (header: string | undefined): Effect.Effect<number | undefined> =>
  Effect.map(Clock.currentTimeMillis, (now) => {
    const text = header?.trim() ?? ""
    if (/^\d{1,9}$/.test(text)) return Number(text)
    if (!HTTP_DATE.test(text)) return undefined
    return Option.match(DateTime.make(text), {
      onNone: () => undefined,
      onSome: (date) => Math.max(0, Math.ceil((DateTime.toEpochMillis(date) - now) / 1000))
    })
  })
