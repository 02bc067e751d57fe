/** The `Retry-After` header of RFC 9110, seconds or a date, as seconds from now. */
import { Clock, Duration, Effect, Result } from "effect"
import { Headers } from "effect/http"

/** Longer than a year is for ever, and beyond what times can be reckoned with. */
const longest = 366 * 24 * 3600

/** Whole seconds, at most a year; none when the header is neither a number of seconds nor a date. */
export const retryAfterSeconds = (header: string | undefined): Effect.Effect<number | undefined> =>
  Effect.map(Clock.currentTimeMillis, (now) =>
    Result.match(Headers.parseRetryAfter(header ?? ""), {
      onFailure: () => undefined,
      onSuccess: (told) => Math.min(longest, Math.ceil(Duration.toSeconds(Headers.retryAfterDelay(told, now))))
    })
  )
