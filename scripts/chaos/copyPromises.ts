/**
 * Each copy says what the adapter knows; each write was of an answer that was fetched later than the one before; and each
 * answer about an end user is in the audit.
 *
 * What is asked of the database here goes to it directly, past the proxies.
 */
import { Clock, Effect, Schedule } from "effect"
import { SqlClient } from "effect/sql"
import { AdapterSimulator } from "../simulators/AdapterSimulator.ts"
import { timelineNames, type TimelineName } from "../simulators/adapter/Timelines.ts"
import { saysNoDirection } from "../simulators/adapter/WireAnswer.ts"
import type { SeedKey } from "../simulators/SeededRandom.ts"
import type { Asked } from "./ChaosLedger.ts"
import { checked } from "./Checked.ts"
import { points } from "./ChaosLoad.ts"
import { caller } from "./chaosSettings.ts"
import { loggedSettlements, loggedWrites } from "./writeLog.ts"

interface Segment {
  readonly value: string
  readonly from: number
  readonly to: number | null
}
type Copy = Readonly<Record<TimelineName, ReadonlyArray<Segment>>> & {
  readonly latitude: number | null
  readonly longitude: number | null
}

/** What holds from `now` on, as text: what is over is history, and only what is told apart by value is told apart. */
const fromNowOn = (segments: ReadonlyArray<Segment>, now: number): string => {
  const joined: Array<{ value: string; from: number; to: number }> = []
  const later = segments
    .map(({ from, to, value }) => ({ value, from: Math.max(from, now), to: to ?? Infinity }))
    .filter(({ from, to }) => from < to)
    .toSorted((a, b) => (a.value < b.value ? -1 : a.value > b.value ? 1 : a.from - b.from))
  for (const one of later) {
    const last = joined.at(-1)
    if (last?.value === one.value && last.to >= one.from) last.to = Math.max(last.to, one.to)
    else joined.push({ ...one })
  }
  return joined.map(({ from, to, value }) => `${value} ${from === now ? "now" : from} ${to}`).join(", ")
}

const copies = SqlClient.SqlClient.use((sql) => {
  const timeline = (name: string, value: string, join: string) =>
    sql.literal(`coalesce((
    SELECT jsonb_agg(jsonb_build_object('value', ${value}, 'from', round(extract(epoch FROM lower(t.valid_time_range)) * 1000),
      'to', CASE WHEN NOT upper_inf(t.valid_time_range) THEN round(extract(epoch FROM upper(t.valid_time_range)) * 1000) END))
    FROM flex.accounting_point_${name} t ${join} WHERE t.accounting_point_id = a.id), '[]') AS ${name}`)
  const named = (name: string, key: string) => timeline(name, "v.business_id", `JOIN flex.${name} v ON v.id = t.${key}`)
  return sql<
    Copy & { readonly gsrn: string; readonly waits: boolean; readonly relevant: boolean; readonly state: string }
  >`
    SELECT a.business_id AS gsrn, a.latitude, a.longitude, s.relevant,
      coalesce(s.next_attempt_at > now(), false) AS waits,
      concat_ws(', ', 'version ' || s.version, 'failures ' || s.failures, 'last_error ' || s.last_error,
        'claimed ' || round(extract(epoch FROM now() - s.last_sync_start)) || ' s ago',
        CASE WHEN last_event_at > synced_event_at THEN 'an event pending' END) AS state,
      ${named("end_user", "end_user_id")}, ${named("energy_supplier", "energy_supplier_id")},
      ${named("metering_grid_area", "metering_grid_area_id")}, ${timeline("energy_direction", "t.direction", "")}
    FROM flex.accounting_point a JOIN flex.accounting_point_sync s ON s.accounting_point_id = a.id`
})

/** Of a copy that has failed some times, in milliseconds. */
const longestBackOff = 180_000

interface Difference {
  readonly gsrn: string
  /** It has failed and is tried again later: it may be late, and is not lost. */
  readonly waits: boolean
  readonly what: string
}

/**
 * The points whose copy is not what the adapter knows. Of a point without a unit, every lookup of which failed, nothing is relevant, and
 * it is left alone.
 */
const differences = Effect.fnUntraced(function* (seed: SeedKey) {
  const adapter = yield* AdapterSimulator
  const kept = new Map((yield* copies).map((row) => [row.gsrn, row]))
  const found: Array<Difference> = []
  for (let index = 0; index < points; index++) {
    const { gsrn, state } = yield* adapter.point(index)
    const copy = kept.get(gsrn)
    if (copy === undefined || !copy.relevant || state === undefined) continue
    const now = yield* Clock.currentTimeMillis
    const wrong = timelineNames.filter((name) => {
      if (name === "energy_direction" && saysNoDirection(seed, index)) return copy[name].length > 0
      const truth = state.timelines[name].flatMap((row) =>
        (row.value === "both" ? ["consumption", "production"] : [row.value]).map((value) => ({ ...row, value }))
      )
      return fromNowOn(truth, now) !== fromNowOn(copy[name], now)
    })
    const { location } = state
    const moved = location != null && (location.latitude !== copy.latitude || location.longitude !== copy.longitude)
    if (wrong.length > 0 || moved) {
      const what = `${[...wrong, ...(moved ? ["location"] : [])].join(", ")} (${copy.state})`
      found.push({ gsrn, waits: copy.waits, what })
    }
  }
  return found
})

/**
 * Until copies and adapter agree, or `patience` is over; a copy that waits for its back-off has as long as that takes, up to
 * three minutes, and then `patience` as the others.
 */
export const copiesAgree = Effect.fnUntraced(function* (seed: SeedKey, patience: number) {
  const from = yield* Clock.currentTimeMillis
  let waitsUntil = from
  const settled = yield* differences(seed).pipe(
    Effect.repeat({
      schedule: Schedule.spaced("250 millis"),
      until: Effect.fnUntraced(function* (found) {
        const now = yield* Clock.currentTimeMillis
        if (found.some(({ waits }) => waits) && now - from <= longestBackOff) waitsUntil = now
        return found.length === 0 || now - waitsUntil > patience
      })
    })
  )
  const millis = (yield* Clock.currentTimeMillis) - from
  return {
    millis,
    checked: checked(
      "kept",
      points,
      "copies that say what the adapter knows",
      settled.map(({ gsrn, what }) => `the copy of ${gsrn} is not what the adapter knows: ${what}`)
    )
  }
})

/** An older answer was never written over a newer one, and a version counts each write. */
export const writesWentForward = Effect.map(loggedWrites, ({ forward, steps, writes }) =>
  checked("newer", writes, "writes of copies", [
    ...(steps === writes ? [] : [`${writes - steps} writes of copies did not count their version`]),
    ...(forward === writes ? [] : [`${writes - forward} writes put an answer over one that was fetched later`])
  ])
)

/** A task was never settled with what had been fetched before what it was settled with already. */
export const settledForward = Effect.map(loggedSettlements, ({ backward, example, settled }) =>
  checked(
    "newer",
    settled,
    "settled Hilltop tasks",
    backward === 0
      ? []
      : [`${backward} tasks were settled with what was fetched before what they were settled with: ${example}`]
  )
)

interface Late {
  readonly points: number
  readonly late: number
  readonly longest: number
}

/**
 * Of those that do not fail: each relevant copy was synced within the time. One that fails waits for its own back-off, and one that
 * came just now for its turn.
 */
export const copiesInTime = Effect.fnUntraced(function* (within: number) {
  const sql = yield* SqlClient.SqlClient
  const [row] = yield* sql<Late>`
    SELECT count(*)::int4 AS points, (count(*) FILTER (WHERE age > ${within}::float8))::int4 AS late,
      coalesce(max(age), 0)::float8 AS longest
    FROM (SELECT extract(epoch FROM now() - greatest(last_synced_at, unneeded_since)) AS age
      FROM flex.accounting_point_sync WHERE relevant AND failures = 0) each`
  const { late = 0, longest = 0, points: looked = 0 } = row ?? {}
  return checked(
    "inTime",
    looked,
    "looks at copies that do not fail",
    late === 0 ? [] : [`${late} copies were not synced within ${within} s, the longest for ${longest.toFixed(0)} s`]
  )
})

/** What was told to the caller is in the audit; there may be more, where the answer was lost. */
export const answersAudited = Effect.fnUntraced(function* (asked: ReadonlyArray<Asked>) {
  const sql = yield* SqlClient.SqlClient
  const [row] = yield* sql<{ audited: number }>`
    SELECT count(*)::int4 AS audited FROM flex.lookup_audit WHERE caller = ${caller}`
  const answers = asked.filter(({ kind, status }) => kind === "lookup" && (status === 200 || status === 403)).length
  const audited = row?.audited ?? 0
  return checked(
    "kept",
    answers,
    "answers about an end user in the audit",
    audited >= answers ? [] : [`${answers} lookups were answered, and ${audited} are in the audit`]
  )
})
