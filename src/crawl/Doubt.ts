/**
 * Answers that may not be so, for how long they are not believed: empty where there was much, or of bytes that are no text (`newsOf` tells). The source may really have changed, and
 * its server may as well have trouble; so what was known stays, and the question is asked again soon.
 *
 * A doubt is believed once it was repeated for as long as the answer before it deserves: what was known by thousands of rows
 * is doubted for days. How often and since when stands behind the digest of what was known, which it leaves as it is.
 */
import { Option, Schema } from "effect"
import type { Instant } from "../domain/Instant.ts"

const HOUR = 3_600_000

export interface Doubt {
  readonly kind: "missing" | "spoilt"
  /** Readable, for the history. */
  readonly detail: string
  /** For how long it must be repeated before it is believed, in milliseconds. */
  readonly patience: number
}

/** Doubts of one kind in a row. */
export interface Doubts {
  readonly kind: Doubt["kind"]
  readonly since: Instant
  readonly times: number
}

/** Fewer answers than that may all be of one restart of a server. */
const leastTimes = 3
const [leastPatience, longestPatience] = [6 * HOUR, 7 * 24 * HOUR]

/** An hour for each row or name that was known: a day and a half for a month of daily values, a week for one of five minutes. */
export const patienceWith = (known: number): number => Math.min(longestPatience, Math.max(leastPatience, known * HOUR))

/** Bytes that are no text are few: how much was known makes no difference. */
export const patienceWithBytes = leastPatience

/** With one more. */
export const oneMore = (before: Doubts | undefined, { kind }: Doubt, now: Instant): Doubts =>
  before?.kind === kind ? { ...before, times: before.times + 1 } : { kind, since: now, times: 1 }

/** Whether `doubts`, the present one among them, are believed at `now`. */
export const isBelieved = ({ patience }: Doubt, { since, times }: Doubts, now: Instant): boolean =>
  times >= leastTimes && now - since >= patience

/** What is kept beside the digest of what is known. */
export interface Notes {
  readonly doubts?: Doubts | undefined
  /** It had bytes that are no text itself, and was believed. */
  readonly spoilt?: boolean | undefined
}

const decode = Schema.decodeUnknownOption(
  Schema.fromJsonString(
    Schema.Struct({
      doubts: Schema.optional(
        Schema.Struct({ kind: Schema.Literals(["missing", "spoilt"]), since: Schema.Finite, times: Schema.Int })
      ),
      spoilt: Schema.optional(Schema.Boolean)
    })
  )
)

/** A digest with its notes, as one text for the queue to keep. */
export const withNotes = (digest: string, notes: Notes): string =>
  notes.doubts === undefined && notes.spoilt !== true ? digest : `${digest}\n${JSON.stringify(notes)}`

/** The digest alone. No digest has a line end. */
export const digestIn = (kept: string): string => kept.split("\n", 1)[0]!

export const notesIn = (kept: string | undefined): Notes =>
  Option.getOrElse(decode(kept?.split("\n", 2)[1] ?? ""), () => ({}))
