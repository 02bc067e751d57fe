/**
 * Digests of the days of a document, by which a repeated day is recognised without looking at any of its values.
 *
 * A document that tells what is no longer there has a digest for each day that it covers, also for one without a value, and
 * what it covers of the day is part of that: an equal digest means that nothing is to be added, corrected or removed.
 * Most documents are the last five weeks of a series over and over, with something new at the end: digests of whole
 * documents would never agree. Two lanes of murmur3 make 64 bits a day, at a tenth of the cost of a cryptographic hash
 * (nobody gains by a collision); a changed day that goes unnoticed is one in 10^19.
 */
import { monthBounds } from "../../src/hilltop/Nzst.ts"
import type { Coverage } from "../../src/stream/documentCoverage.ts"
import type { Row, SeriesDocument } from "../../src/stream/SeriesDocument.ts"

const DAY = 86_400_000

export interface Day {
  /** From 0, the first of the month. */
  readonly day: number
  readonly digest: string
  /** Its rows in the document, from `from` up to but not including `until`. */
  readonly from: number
  readonly until: number
  /** What the document covers of the day; both ends belong to it. */
  readonly covers: Coverage
}

const rotate = (n: number, bits: number): number => (n << bits) | (n >>> (32 - bits))
const mix = (hash: number, n: number, c1: number, c2: number): number =>
  (Math.imul(rotate(hash ^ Math.imul(rotate(Math.imul(n, c1), 15), c2), 13), 5) + 0xe6546b64) | 0
const finish = (hash: number): string => {
  let h = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return ((h ^ (h >>> 16)) >>> 0).toString(16).padStart(8, "0")
}

const digestOf = (
  rows: ReadonlyArray<Row>,
  from: number,
  until: number,
  start: number,
  complete: Coverage | undefined
): string => {
  let a = until - from
  let b = ~a
  const add = (n: number): void => {
    a = mix(a, n, 0xcc9e2d51, 0x1b873593)
    b = mix(b, n, 0x239b961b, 0xab0e9789)
  }
  if (complete !== undefined) {
    add(complete.from - start)
    add(complete.until - start)
  }
  for (let index = from; index < until; index++) {
    const { at, qualifier, quality, value } = rows[index]!
    add(at - start)
    for (let i = 0; i < value.length; i++) add(value.charCodeAt(i))
    // Beyond the codes of characters, so that the end of a value cannot be taken for a part of it.
    add(qualifier === undefined ? 0x1000 : 0x1000 + qualifier.charCodeAt(0))
    add(quality ?? -1)
  }
  return finish(a) + finish(b)
}

/** The days that a document speaks of, by New Zealand's standard time: those with rows, and all that it covers if it is complete. */
export const daysOf = ({ complete, covers, rows, yearMonth }: SeriesDocument): ReadonlyArray<Day> => {
  const start = monthBounds(yearMonth)?.from ?? 0
  const days: Array<Day> = []
  const last = Math.floor((covers.until - start) / DAY)
  let from = 0
  for (let day = Math.floor((covers.from - start) / DAY); day <= last; day++) {
    const begin = start + day * DAY
    let until = from
    while (until < rows.length && rows[until]!.at < begin + DAY) until++
    if (complete || until > from) {
      const ofDay = { from: Math.max(covers.from, begin), until: Math.min(covers.until, begin + DAY - 1) }
      days.push({
        day,
        digest: digestOf(rows, from, until, begin, complete ? ofDay : undefined),
        from,
        until,
        covers: ofDay
      })
    }
    from = until
  }
  return days
}

export interface Run {
  readonly rows: ReadonlyArray<Row>
  readonly covers: Coverage
}

/** The rows of the days, neighbouring days together: each run is compared as one range. */
export const runsOf = ({ complete, rows }: SeriesDocument, days: ReadonlyArray<Day>): ReadonlyArray<Run> => {
  const runs: Array<{ from: number; until: number; covers: Coverage }> = []
  for (const { covers, from, until } of days) {
    const last = runs.at(-1)
    if (last !== undefined && last.until === from) {
      last.until = until
      last.covers = { from: last.covers.from, until: covers.until }
    } else runs.push({ from, until, covers })
  }
  return runs.map(({ covers, from, until }) => ({
    rows: rows.slice(from, until),
    // Beyond its rows an incomplete document says nothing, so nothing there need be read.
    covers: complete ? covers : { from: rows[from]!.at, until: rows[until - 1]!.at }
  }))
}

/** Digests by day, as one hexadecimal text and back. */
export type Digests = Array<string | undefined>

const digits = 16
const noDigest = "0".repeat(digits)

export const formatDigests = (digests: Digests): string => Array.from(digests, (digest) => digest ?? noDigest).join("")

export const parseDigests = (text: string): Digests =>
  Array.from({ length: text.length / digits }, (_, day) => {
    const digest = text.slice(day * digits, (day + 1) * digits)
    return digest === noDigest ? undefined : digest
  })
