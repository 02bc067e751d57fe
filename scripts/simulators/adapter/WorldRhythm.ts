/**
 * When things become known in the world: moves, supplier switches and second thoughts about them, new directions, new
 * locations, grid area mergers.
 *
 * Every kind has a schedule of its own, so that "what changed in the last second, among a million points?" costs as
 * much as there are changes. What exactly changes is for AccountingPointWorld to say.
 */
import { seeded, type SeedKey } from "../SeededRandom.ts"
import { changeSchedule, type ChangeSchedule } from "./ChangeSchedule.ts"
import { gridAreaCount, gridAreaMergers, type GridAreaMergers } from "./GridAreaMergers.ts"
import { day } from "./OsloMidnight.ts"
import type { TimelineName } from "./Timelines.ts"

export interface WorldOptions {
  readonly seed: SeedKey
  /** At most a million. Part of the seed: the same seed with more points is another world. */
  readonly points: number
  /** How often the data of one point change on average; 0 stands still. */
  readonly changesPerPointPerDay: number
  readonly gridAreaMergersPerYear: number
}

/** Something about a point became known, possibly about a later time. */
export interface WorldChange {
  readonly index: number
  readonly at: number
  readonly of: TimelineName | "location"
}

/** What becomes of an announced switch before it takes effect. */
export interface SecondThoughts {
  readonly kind: "none" | "reverted" | "postponed"
  /** How long after the announcement, in milliseconds; less than any lead time. */
  readonly after: number
  /** By how much of the lead time it is postponed, 0 to 1. */
  readonly by: number
}

export interface WorldRhythm {
  readonly moves: ChangeSchedule
  readonly switches: ChangeSchedule
  readonly turns: ChangeSchedule
  readonly surveys: ChangeSchedule
  readonly mergers: GridAreaMergers
  readonly secondThoughts: (index: number, number: number) => SecondThoughts
  /** What becomes known in [from, to), in order of time. */
  readonly changesBetween: (from: number, to: number) => Iterable<WorldChange>
}

/** How the changes of a point are shared out. A switch counts for 1.22: some are reverted or postponed. */
const shares = { moves: 0.35, switches: 0.45, turns: 0.06, surveys: 0.041 }

/**
 * Second thoughts come after one of these parts of the lead time. There are few of them, so that those of a moment can
 * be found by looking at the switches announced so long before.
 */
const secondThoughtsAfter = [0.125, 0.25, 0.4]

/** The longest that a change is announced ahead; shorter in a world that changes faster than that. */
export const leadTime = (schedule: ChangeSchedule): number => Math.min(30 * day, schedule.period / 4)

export const worldRhythm = ({ seed, points, ...pace }: WorldOptions): WorldRhythm => {
  const schedule = (name: keyof typeof shares): ChangeSchedule =>
    changeSchedule(seed, name, points, day / (pace.changesPerPointPerDay * shares[name]))
  const moves = schedule("moves")
  const switches = schedule("switches")
  const turns = schedule("turns")
  const surveys = schedule("surveys")
  const mergers = gridAreaMergers(seed, pace.gridAreaMergersPerYear)
  const delays = secondThoughtsAfter.map((part) => part * leadTime(switches))

  const secondThoughts = (index: number, number: number): SecondThoughts => {
    // In a world that stands still, nobody thinks twice.
    if (!Number.isFinite(switches.period)) return { kind: "none", after: Infinity, by: 0 }
    const random = seeded(seed, "second thoughts", index, number)
    const fate = random.next()
    const kind = fate < 0.12 ? "reverted" : fate < 0.22 ? "postponed" : "none"
    return { kind, after: random.pick(delays), by: random.next() }
  }
  const thoughtBetterOf = function* (after: number, from: number, to: number): Generator<WorldChange> {
    for (const { index, number, at } of switches.between(from - after, to - after)) {
      const thoughts = secondThoughts(index, number)
      if (thoughts.kind !== "none" && thoughts.after === after) yield { index, at: at + after, of: "energy_supplier" }
    }
  }
  const merged = function* (from: number, to: number): Generator<WorldChange> {
    for (const { at, areas } of mergers.between(from, to)) {
      for (const area of areas) {
        for (let index = area; index < points; index += gridAreaCount) yield { index, at, of: "metering_grid_area" }
      }
    }
  }

  return {
    moves,
    switches,
    turns,
    surveys,
    mergers,
    secondThoughts,
    changesBetween: (from, to) =>
      inOrder([
        named(moves.between(from, to), "end_user"),
        named(switches.between(from, to), "energy_supplier"),
        named(turns.between(from, to), "energy_direction"),
        named(surveys.between(from, to), "location"),
        ...delays.map((after) => thoughtBetterOf(after, from, to)),
        merged(from, to)
      ])
  }
}

const named = function* (
  changes: Iterable<{ readonly index: number; readonly at: number }>,
  of: WorldChange["of"]
): Generator<WorldChange> {
  for (const { index, at } of changes) yield { index, at, of }
}

/** Several lists that are each in order of time, as one. */
const inOrder = function* (lists: ReadonlyArray<Iterable<WorldChange>>): Generator<WorldChange> {
  let open = lists.flatMap((list) => {
    const rest = list[Symbol.iterator]()
    const first = rest.next()
    return first.done === true ? [] : [{ rest, head: first.value }]
  })
  while (open.length > 0) {
    const earliest = open.reduce((a, b) => (b.head.at < a.head.at ? b : a))
    yield earliest.head
    const following = earliest.rest.next()
    if (following.done === true) open = open.filter((list) => list !== earliest)
    else earliest.head = following.value
  }
}
