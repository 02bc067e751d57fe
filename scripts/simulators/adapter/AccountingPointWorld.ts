/**
 * The invented world: any number of accounting points whose past, present and announced future follow from the seed.
 *
 * A pure function of (seed, point, time), so a run can be repeated and nothing is kept per point. A state is put
 * together from the few statements around the time that is asked about.
 */
import { seeded } from "../SeededRandom.ts"
import { gridAreaCount } from "./GridAreaMergers.ts"
import { glnOf, gsrnOf, organisationNumber, personalNumber } from "./InventedNumbers.ts"
import { day, osloMidnight, osloMidnightAfter } from "./OsloMidnight.ts"
import { rowsOf, type Statement } from "./Statement.ts"
import { perTimeline, type AccountingPointState, type Location, type TimelineName } from "./Timelines.ts"
import { leadTime, worldRhythm, type WorldChange, type WorldOptions } from "./WorldRhythm.ts"

export interface AccountingPointWorld extends Pick<WorldOptions, "seed" | "points"> {
  /** When the point was connected to the grid; its timelines begin there. */
  readonly connectedAt: (index: number) => number
  /** What was said about a timeline by `now`, the latest word first, without end in the past. */
  readonly statements: (index: number, timeline: TimelineName, now: number) => Iterable<Statement>
  /** The location known at `now`, and since when it is. */
  readonly locationAt: (index: number, now: number) => KnownLocation
  /** What is known at `now` about the time from `asked` (without it: from `now`) on. */
  readonly stateAt: (index: number, now: number, asked?: number) => AccountingPointState
  /** What becomes known in [from, to), in order of time. Costs as much as there are changes, not points. */
  readonly changesBetween: (from: number, to: number) => Iterable<WorldChange>
}

export interface KnownLocation {
  readonly known: number
  readonly value: Location | null | undefined
}

/** Suppliers come from the first and the second part of the pool in turn, so that a switch is always to another. */
const supplierPool = [12, 13] as const

export const accountingPointWorld = (options: WorldOptions): AccountingPointWorld => {
  const { seed, points } = options
  const { moves, switches, turns, surveys, mergers, secondThoughts, changesBetween } = worldRhythm(options)

  const endUser = (index: number, number: number): Statement => {
    const random = seeded(seed, "end user", index, number)
    const known = moves.timeOf(index, number)
    // Registered from a week after the move to two weeks before it, in a world of the usual pace.
    const lead = leadTime(moves) * (random.next() * 0.75 - 0.25)
    const value = random.chance(0.85) ? personalNumber(random) : organisationNumber(random.int(0, 49_999))
    return { known, from: effective(known + lead, moves.period), value }
  }

  const supplier = (index: number, number: number, now: number): Statement | undefined => {
    const random = seeded(seed, "energy supplier", index, number)
    const lead = leadTime(switches)
    const known = switches.timeOf(index, number)
    const from = effective(known + lead * (0.5 + random.next() / 2), switches.period)
    const half = number % 2 === 0 ? 0 : 1
    const value = glnOf(1 + half * supplierPool[0] + random.int(0, supplierPool[half] - 1))
    const thoughts = secondThoughts(index, number)
    if (thoughts.kind === "none" || now < known + thoughts.after) return { known, from, value }
    if (thoughts.kind === "reverted") return undefined
    return { known, from: effective(from + lead * (0.25 + thoughts.by * 0.75), switches.period), value }
  }

  const direction = (index: number, number: number): Statement => {
    const known = turns.timeOf(index, number)
    const producing = seeded(seed, "energy direction", index, number).chance(0.85) ? "both" : "production"
    return { known, from: effective(known, turns.period), value: number % 2 === 0 ? "consumption" : producing }
  }

  const locationAt = (index: number, now: number): KnownLocation => {
    const number = surveys.numberAt(index, now)
    const known = surveys.timeOf(index, number)
    const random = seeded(seed, "location", index, number)
    const kind = random.next()
    if (kind < 0.1) return { known, value: kind < 0.05 ? null : undefined }
    const centre = seeded(seed, "grid area centre", index % gridAreaCount)
    const latitude = degrees(58.5 + centre.next() * 11 + random.next() * 0.4)
    const longitude = degrees(6 + centre.next() * 18 + random.next() * 0.6)
    return { known, value: { latitude, longitude } }
  }

  const scheduled = {
    end_user: [moves, endUser],
    energy_supplier: [switches, supplier],
    energy_direction: [turns, direction]
  } as const
  const statements = function* (index: number, timeline: TimelineName, now: number): Generator<Statement> {
    if (timeline === "metering_grid_area") return yield* mergers.statements(index % gridAreaCount, now)
    const [schedule, statementAt] = scheduled[timeline]
    for (let number = schedule.numberAt(index, now); ; number--) {
      const statement = statementAt(index, number, now)
      if (statement !== undefined) yield statement
      // A world that stands still has one statement, and before it nothing was said.
      if (!Number.isFinite(schedule.period)) return
    }
  }

  const connectedAt = (index: number): number =>
    osloMidnight(Date.UTC(2010, 0, 1, 12) + seeded(seed, "connected", index).int(0, 3_651) * day)

  return {
    seed,
    points,
    connectedAt,
    statements,
    locationAt,
    changesBetween,
    stateAt: (index, now, asked = now) => ({
      gsrn: gsrnOf(index),
      timelines: perTimeline((name) => rowsOf(statements(index, name, now), asked, connectedAt(index))),
      location: locationAt(index, now).value
    })
  }
}

/** Changes take effect at midnight in Oslo, unless the world changes too fast for days. */
const effective = (time: number, period: number): number => {
  if (!Number.isFinite(time)) return -Infinity
  return period >= 8 * day ? osloMidnightAfter(time, 1) : Math.floor(time / 1_000) * 1_000
}

/** Six decimals: a tenth of a metre. */
const degrees = (value: number): number => Math.round(value * 1e6) / 1e6
