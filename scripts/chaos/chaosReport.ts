/**
 * What a run tells: a line for each fault as it ends, and tables at the end.
 */
import { type Asked, type RequestKind } from "./ChaosLedger.ts"
import { type Episode } from "./chaosPlan.ts"
import { faultKind } from "./ChaosFault.ts"
import { backWithin, type Recovery } from "./recovery.ts"

/** A fault that has been. */
export interface PastFault extends Episode {
  /** Milliseconds since the start of the run. */
  readonly at: number
  readonly lasted: number
  /** None: the next one did not wait for it. */
  readonly recovery: Recovery | undefined
}

const seconds = (millis: number) => `${(millis / 1_000).toFixed(1)} s`

const backText = (recovery: Recovery | undefined) => {
  if (recovery === undefined) return "the next follows at once"
  if (recovery.millis === undefined) return `NOT BACK: ${recovery.missing.join("; ")}`
  const text = `back after ${seconds(recovery.millis)}`
  return recovery.missing.length === 0 ? text : `${text}; LATE: ${recovery.missing.join("; ")}`
}

export const faultLine = (fault: PastFault) =>
  [
    seconds(fault.at).padStart(8),
    fault.target.padEnd(11),
    faultKind(fault.kind).name.padEnd(46),
    (fault.lasted < 100 ? "" : seconds(fault.lasted)).padStart(7),
    ` ${backText(fault.recovery)}`
  ].join("  ")

/** What was promised of the time after a fault. */
export const recoveryPromises = (faults: ReadonlyArray<PastFault>): ReadonlyArray<string> =>
  faults
    .filter(({ recovery }) => recovery !== undefined && (recovery.millis === undefined || recovery.millis > backWithin))
    .map(
      ({ at, kind, recovery, target }) =>
        `not everything was back ${backWithin / 1_000} s after ${target}: ${faultKind(kind).name}, at ${seconds(at)} (${recovery?.millis === undefined ? "never seen" : `after ${seconds(recovery.millis)}`}): ${recovery?.missing.join("; ")}`
    )

const quantile = (sorted: ReadonlyArray<number>, share: number) =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0

const table = (rows: ReadonlyArray<ReadonlyArray<string>>) => {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  return rows.map(
    (row) =>
      `  ${row.map((cell, column) => (column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0))).join("  ")}`
  )
}

const statuses = (asked: ReadonlyArray<Asked>) =>
  [...Map.groupBy(asked, ({ status }) => String(status ?? "none"))]
    .toSorted(([one], [other]) => (one < other ? -1 : 1))
    .map(([status, list]) => `${status}: ${list.length}`)
    .join(", ")

/** How requests were answered, by kind. */
export const requestTable = (asked: ReadonlyArray<Asked>): ReadonlyArray<string> => {
  const kinds = [...Map.groupBy(asked, ({ kind }): RequestKind => kind)]
  const rows = kinds.map(([kind, list]) => {
    const sorted = list.map(({ millis }) => millis).toSorted((a, b) => a - b)
    const times = [quantile(sorted, 0.5), quantile(sorted, 0.99), sorted.at(-1) ?? 0].map((millis) => `${millis} ms`)
    return [kind, String(list.length), ...times, statuses(list)]
  })
  return table([["requests", "count", "p50", "p99", "max", "answers"], ...rows])
}

/** The slowest recovery of each kind of fault, with what it was done to. */
export const recoveryTable = (faults: ReadonlyArray<PastFault>): ReadonlyArray<string> => {
  const rows = [...Map.groupBy(faults, ({ kind }) => kind)].map(([kind, list]) => {
    const seen = list.filter(({ recovery }) => recovery !== undefined)
    const slowest = seen.toSorted((a, b) => (b.recovery?.millis ?? Infinity) - (a.recovery?.millis ?? Infinity))[0]
    const time =
      slowest === undefined
        ? "–"
        : slowest.recovery?.millis === undefined
          ? "not back"
          : seconds(slowest.recovery.millis)
    return [faultKind(kind).name, String(list.length), time, slowest?.target ?? ""]
  })
  return table([["faults", "count", "slowest", "of"], ...rows])
}
