/**
 * The grid areas of the world and how they are merged and renamed over the years.
 *
 * The only part of the world that is played forward from the beginning: there are a few mergers a year, and each
 * depends on which areas are left. The list grows as later moments are asked for, always to the same mergers.
 */
import { seeded, type SeedKey } from "../SeededRandom.ts"
import { worldOrigin } from "./ChangeSchedule.ts"
import { eicOf } from "./InventedNumbers.ts"
import { day, osloMonthAfter } from "./OsloMidnight.ts"
import type { Statement } from "./Statement.ts"

/** How many areas the world begins with. Point i lies in the area i modulo this. */
export const gridAreaCount = 15

/** Fewer areas than this are not merged further; from then on areas are only renamed. */
const fewestAreas = 5

interface Merger {
  readonly announced: number
  readonly from: number
  /** The areas, by their number at the beginning, that carry `code` from then on. */
  readonly areas: ReadonlyArray<number>
  readonly code: string
}

export interface GridAreaMergers {
  /** What was said by `now` about the code of an area, the latest word first. */
  readonly statements: (area: number, now: number) => ReadonlyArray<Statement>
  /** The mergers announced in [from, to): when, and for which areas. */
  readonly between: (
    from: number,
    to: number
  ) => ReadonlyArray<{ readonly at: number; readonly areas: ReadonlyArray<number> }>
}

export const gridAreaMergers = (seed: SeedKey, perYear: number): GridAreaMergers => {
  const period = (365.25 * day) / perYear
  const codes = Array.from({ length: gridAreaCount }, (_, area) => eicOf(area))
  const mergers: Array<Merger> = []

  const next = (): Merger => {
    const number = mergers.length
    const random = seeded(seed, "grid area merger", number)
    const announced = worldOrigin + (number + random.next()) * period
    const distinct = [...new Set(codes)].sort()
    const old = random.pick(distinct)
    const code =
      distinct.length > fewestAreas && random.chance(0.7)
        ? random.pick(distinct.filter((other) => other !== old))
        : eicOf(1_000 + number)
    const areas = codes.flatMap((current, area) => (current === old ? [area] : []))
    for (const area of areas) codes[area] = code
    // Announced at least a month ahead where mergers are rare enough to allow it, and from the first of a month.
    return { announced, from: osloMonthAfter(announced + Math.min(30 * day, period / 4)), areas, code }
  }
  /** The mergers so far, at least all that are announced by `time`. */
  const until = (time: number): ReadonlyArray<Merger> => {
    while (worldOrigin + mergers.length * period <= time) mergers.push(next())
    return mergers
  }

  return {
    statements: (area, now) => [
      ...until(now)
        .filter((merger) => merger.announced <= now && merger.areas.includes(area))
        .map((merger) => ({ known: merger.announced, from: merger.from, value: merger.code }))
        .toReversed(),
      { known: -Infinity, from: -Infinity, value: eicOf(area) }
    ],
    between: (from, to) =>
      until(to)
        .filter((merger) => from <= merger.announced && merger.announced < to)
        .map((merger) => ({ at: merger.announced, areas: merger.areas }))
  }
}
