/**
 * A moment, as milliseconds since 1970-01-01T00:00:00Z, and its RFC 3339 text.
 *
 * Plain numbers rather than `DateTime`: timelines and observations are compared by the million. The text needs an
 * offset; a time without one is refused, since guessing a zone is how a day gets lost.
 */
import { DateTime, Option, Schema, SchemaIssue, SchemaTransformation, Effect } from "effect"

export type Instant = number

/** Hours up to 23, which parsers of dates do not insist on, and no leap second. */
const rfc3339 =
  /^(?!0000)(\d{4}-\d{2}-\d{2})[Tt](?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d+)?(?:[Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)$/

/** Whether the calendar has this day, `YYYY-MM-DD`, in years from 1 on; parsers would make 2 March of 30 February. */
export const isCalendarDay = (text: string): boolean =>
  /^(?!0000)\d{4}-\d{2}-\d{2}$/.test(text) &&
  Option.exists(DateTime.make(`${text}T00:00:00Z`), (midnight) => DateTime.formatIsoDateUtc(midnight) === text)

/** Years 1 to 9999 in UTC: what ISO 8601 and PostgreSQL write alike. */
const earliest: Instant = -62_135_596_800_000
const latest: Instant = 253_402_300_799_999

const parseAny = (text: string): Option.Option<Instant> =>
  isCalendarDay(rfc3339.exec(text)?.[1] ?? "")
    ? Option.map(DateTime.make(text.toUpperCase()), DateTime.toEpochMillis)
    : Option.none()

/** The moment an RFC 3339 text names, or none when it is not one or names no real time. */
export const parseInstant = (text: string): Option.Option<Instant> =>
  Option.filter(parseAny(text), (instant) => instant >= earliest && instant <= latest)

/**
 * The same, of systems that write "always" as the first or the last moment of their own zone: `0001-01-01T00:00:00+01:00` is in
 * the year 0 of UTC, and becomes the earliest moment there is; what comes after the year 9999 becomes the latest.
 */
export const parseBound = (text: string): Option.Option<Instant> =>
  Option.map(parseAny(text), (instant) => Math.min(latest, Math.max(earliest, instant)))

/** The moment as RFC 3339 in UTC with milliseconds. */
export const formatInstant = (instant: Instant): string => DateTime.formatIso(DateTime.makeUnsafe(instant))

/** The same to the microsecond, which is a fraction of the millisecond; of further digits nothing is kept. */
export const parsePreciseInstant = (text: string): Option.Option<Instant> => {
  const digits = (/\.(\d+)/.exec(text)?.[1] ?? "").padEnd(6, "0")
  const inMillis = parseInstant(text.replace(/\.\d+/, `.${digits.slice(0, 3)}`))
  return Option.map(inMillis, (instant) => instant + Number(digits.slice(3, 6)) / 1000)
}

/** Whole microseconds since 1970. */
export const microsOf = (instant: Instant): number => Math.round(instant * 1000)

/** The moment as RFC 3339 in UTC with microseconds. */
export const formatPreciseInstant = (instant: Instant): string => {
  const millis = Math.floor(instant)
  const micros = Math.round((instant - millis) * 1000)
  const whole = formatInstant(millis + Math.floor(micros / 1000))
  return whole.replace("Z", `${String(micros % 1000).padStart(3, "0")}Z`)
}

const textRule = "must be an RFC 3339 time with an offset"

/** What a text is that `parseInstant` reads, for readers of schemas. */
export const instantText = {
  format: "date-time",
  description: "RFC 3339 with an offset, `Z` or `+12:00`; of the years 1 to 9999, and of seconds up to 59.",
  examples: ["2026-01-01T00:00:00Z"]
} as const

const rfc3339Text = (
  source: Schema.String,
  parse: (text: string) => Option.Option<Instant>,
  format: (instant: Instant) => string
) =>
  source.pipe(
    Schema.decodeTo(
      Schema.Finite,
      SchemaTransformation.transformEffect({
        decode: (text: string, options) =>
          Option.match(parse(text), {
            onNone: () => Effect.fail(new SchemaIssue.InvalidValue({ message: textRule }, text, options)),
            onSome: (instant) => Effect.succeed(instant)
          }),
        encode: (instant) => Effect.succeed(format(instant))
      })
    )
  )

/** RFC 3339 text with an offset to milliseconds and back (as UTC). */
export const Instant = rfc3339Text(
  Schema.String.annotate({ ...instantText, identifier: "Instant" }),
  parseInstant,
  formatInstant
)

/** The same to microseconds. */
export const PreciseInstant = rfc3339Text(
  Schema.String.annotate({
    ...instantText,
    identifier: "PreciseInstant",
    description: `${instantText.description} Kept to the microsecond.`
  }),
  parsePreciseInstant,
  formatPreciseInstant
)

/** What JSON Schema can say of such a text, in what all dialects of regular expressions share; the calendar is the parser's. */
const BoundText = Schema.String.annotate({ format: "date-time" }).check(
  Schema.isPattern(
    /^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?(?:[Zz]|[+-][0-9]{2}:[0-9]{2})$/u,
    { message: textRule }
  )
)

/** RFC 3339 text of the bounds of what holds, by `parseBound`. */
export const Bound = BoundText.pipe(Schema.decodeTo(rfc3339Text(Schema.String, parseBound, formatInstant)))
