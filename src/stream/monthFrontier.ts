/**
 * The two documents that are remembered for a month of a series: the newest, and the one that covers most of the time that the
 * newest leaves uncovered.
 *
 * A late document is compared with both: the newest may cover the last weeks only, and what an older document of the whole
 * month said of the rest must not be overruled by a still older one. No other document is remembered, and time that only
 * forgotten documents covered counts as not covered.
 */
import type { Instant } from "../domain/Instant.ts"
import type { Coverage } from "./documentCoverage.ts"
import type { SeriesDocument } from "./SeriesDocument.ts"

export interface Covering extends Coverage {
  readonly seenAt: Instant
  /** Whether values that it does not have were no longer there. */
  readonly complete: boolean
}

/** Several documents of one fetch count as one. */
export interface Frontier extends Covering {
  readonly beneath: Covering | undefined
}

const contains = (outer: Coverage, inner: Coverage): boolean => outer.from <= inner.from && inner.until <= outer.until
const touch = (a: Coverage, b: Coverage): boolean => a.from <= b.until + 1 && b.from <= a.until + 1

const joined = (a: Covering, b: Covering): Covering => ({
  from: Math.min(a.from, b.from),
  until: Math.max(a.until, b.until),
  // Of the part that only the newer one covers, less is claimed than is so.
  seenAt: Math.min(a.seenAt, b.seenAt),
  complete: a.complete && b.complete
})

/** One for two of which the first is newer: never more than they cover, nor newer than what they say of it. */
const oneOf = (newer: Covering, older: Covering | undefined): Covering => {
  if (older === undefined || contains(newer, older)) return newer
  if (contains(older, newer)) return older
  if (touch(newer, older)) return joined(newer, older)
  return newer.until - newer.from >= older.until - older.from ? newer : older
}

const outside = (top: Coverage, one: Covering | undefined): Covering | undefined =>
  one === undefined || contains(top, one) ? undefined : one

/** The frontier after a document. */
export const advance = (
  frontier: Frontier | undefined,
  { complete, covers, seenAt }: Pick<SeriesDocument, "complete" | "covers" | "seenAt">
): Frontier => {
  const document: Covering = { ...covers, seenAt, complete }
  if (frontier === undefined) return { ...document, beneath: undefined }
  const { beneath, from, until } = frontier
  const newest: Covering = { from, until, seenAt: frontier.seenAt, complete: frontier.complete }
  if (newest.seenAt === seenAt) return { ...joined(newest, document), beneath }
  if (newest.seenAt < seenAt) {
    const below = outside(document, beneath)
    const former = outside(document, newest)
    return { ...document, beneath: former === undefined ? below : oneOf(former, below) }
  }
  if (contains(newest, document)) return frontier
  const isBelow = beneath !== undefined && beneath.seenAt > seenAt
  return { ...newest, beneath: isBelow ? oneOf(beneath, document) : oneOf(document, beneath) }
}

const within = (at: Instant, { from, until }: Coverage): boolean => from <= at && at <= until

/** The newest document known that is newer than `seenAt` and covers the moment. */
export const newerAt = (frontier: Frontier | undefined, at: Instant, seenAt: Instant): Covering | undefined => {
  if (frontier === undefined || frontier.seenAt <= seenAt) return undefined
  if (within(at, frontier)) return frontier
  const { beneath } = frontier
  return beneath !== undefined && beneath.seenAt > seenAt && within(at, beneath) ? beneath : undefined
}
