/**
 * A moment, as milliseconds since 1970-01-01T00:00:00Z, and its RFC 3339 text.
 *
 * Plain numbers rather than `DateTime`: timelines and observations are compared by the million. The text needs an
 * offset; a time without one is refused, since guessing a zone is how a day gets lost.
 */
import { DateTime, Option, Schema, SchemaIssue, SchemaTransformation, Effect } from "effect"

export type Instant = number

const rfc3339 = /^\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(?:\.\d+)?(?:[Zz]|[+-]\d{2}:\d{2})$/

/** The moment an RFC 3339 text names, or none when it is not one or names no real time. */
export const parseInstant = (text: string): Option.Option<Instant> =>
  rfc3339.test(text) ? Option.map(DateTime.make(text.toUpperCase()), DateTime.toEpochMillis) : Option.none()

/** The moment as RFC 3339 in UTC with milliseconds. */
export const formatInstant = (instant: Instant): string => DateTime.formatIso(DateTime.makeUnsafe(instant))

/** RFC 3339 text with an offset to milliseconds and back (as UTC). */
export const Instant = Schema.String.pipe(
  Schema.decodeTo(
    Schema.Finite,
    SchemaTransformation.transformEffect({
      decode: (text: string, options) =>
        Option.match(parseInstant(text), {
          onNone: () =>
            Effect.fail(
              new SchemaIssue.InvalidValue({ message: "must be an RFC 3339 time with an offset" }, text, options)
            ),
          onSome: (instant) => Effect.succeed(instant)
        }),
      encode: (instant) => Effect.succeed(formatInstant(instant))
    })
  )
)
