/**
 * What is kept of a list to tell, when it comes again, whether it says anything new, whether it lacks most of what it had, and
 * of which series the ends have moved.
 *
 * Of a long list 64 names stand for all: those with the smallest digests, which is a fair sample, and always the same.
 */
import { Option, Schema } from "effect"
import type { Instant } from "../domain/Instant.ts"
import { TextDigest } from "../hilltop/TextDigest.ts"

/** From and to, null where the list has none. */
export type Extent = readonly [from: Instant | null, to: Instant | null]

/** What a list says. */
export interface ListSaid {
  /** All of it that may be news. */
  readonly digest: string
  /** Its sites, or its ways to ask for data. */
  readonly names: ReadonlyArray<string>
  /** Of the series that are wanted, by the name of their data source. */
  readonly extents: Readonly<Record<string, Extent>>
}

export interface ListDigest {
  readonly digest: string
  readonly count: number
  readonly sample: ReadonlyArray<number>
  /** None where it was not kept. */
  readonly extents: Readonly<Record<string, Extent>> | undefined
}

const sampleSize = 64

const digestsOf = (names: Iterable<string>): ReadonlyArray<number> => {
  const digest = new TextDigest()
  const distinct = new Set<number>()
  for (const name of names) {
    digest.restart()
    digest.text(name.normalize("NFC"))
    distinct.add(digest.high >>> 0)
  }
  return [...distinct]
}

export const listDigest = ({ digest, extents, names }: ListSaid): ListDigest => {
  const all = digestsOf(names)
  return { digest, count: all.length, sample: all.toSorted((a, b) => a - b).slice(0, sampleSize), extents }
}

/** Whether most of the names that `known` stands for are no longer there. */
export const lacksMost = ({ sample }: ListDigest, names: ReadonlyArray<string>): boolean => {
  if (sample.length === 0) return false
  const there = new Set(digestsOf(names))
  return 2 * sample.filter((digest) => !there.has(digest)).length > sample.length
}

const Kept = Schema.fromJsonString(
  Schema.Struct({
    list: Schema.String,
    count: Schema.Int,
    sample: Schema.Array(Schema.Int),
    extents: Schema.Record(Schema.String, Schema.Tuple([Schema.NullOr(Schema.Finite), Schema.NullOr(Schema.Finite)]))
  })
)
const decode = Schema.decodeUnknownOption(Kept)

/** As text for the queue to keep. */
export const formatListDigest = ({ count, digest, extents = {}, sample }: ListDigest): string =>
  JSON.stringify({ list: digest, count, sample, extents })

/** A text of an earlier version is the digest alone. */
export const parseListDigest = (text: string): ListDigest =>
  Option.match(decode(text), {
    onNone: () => ({ digest: text, count: 0, sample: [], extents: undefined }),
    onSome: ({ count, extents, list, sample }) => ({ digest: list, count, sample, extents })
  })

/** Both ends belong to it. */
export interface Moved {
  readonly from: number
  readonly until: number
}

/** The times of which a list says otherwise than the one before: where a series has grown or shrunk at either end. */
export const movedEnds = (before: Extent | undefined, after: Extent): ReadonlyArray<Moved> => {
  if (before === undefined) return [{ from: -Infinity, until: Infinity }]
  return [0, 1].flatMap((end) => {
    const [was, is] = [before[end]!, after[end]!]
    if (was === is) return []
    if (was === null || is === null) return [{ from: -Infinity, until: Infinity }]
    return [{ from: Math.min(was, is), until: Math.max(was, is) }]
  })
}
