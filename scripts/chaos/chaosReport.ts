/**
 * What a run tells: a line for each fault as it ends, and tables at the end.
 */
import { faultNamed } from "./allFaults.ts"
import { type Checked, checked, promiseNames, promises } from "./Checked.ts"
import { type Asked, type RequestKind } from "./ChaosLedger.ts"
import { type Episode } from "./chaosPlan.ts"
import { backWithin, type Recovery } from "./recovery.ts"

/** A fault that has been. */
export interface PastFault extends Episode {
  /** Milliseconds since the start of the run. */
  readonly at: number
  readonly lasted: number
  /** What is to be said of it. */
  readonly detail: string | undefined
  /** None: the next one did not wait for it. */
  readonly recovery: Recovery | undefined
}

const seconds = (millis: number) => `${(millis / 1_000).toFixed(1)} s`

const backText = (recovery: Recovery | undefined) => {
  if (recovery === undefined) return "the next follows at once"
  if (recovery.millis === undefined) return `NOT BACK: ${recovery.missing.join("; ")}`
  const text = `back after ${seconds(recovery.millis)}`
  if (recovery.missing.length === 0) return text
  const starved = `no processor for ${Math.round(100 * (recovery.starved ?? 0))} % of it`
  const late = recovery.millis > backWithin ? "LATE" : "later by the clock"
  return `${text}; ${late} (${starved}): ${recovery.missing.join("; ")}`
}

export const textOf = ({ detail, kind, target }: Pick<PastFault, "detail" | "kind" | "target">) =>
  `${target}: ${faultNamed(kind).text}${detail === undefined ? "" : ` (${detail})`}`

export const faultLine = (fault: PastFault) =>
  [
    seconds(fault.at).padStart(8),
    textOf(fault).padEnd(70),
    (fault.lasted < 100 ? "" : seconds(fault.lasted)).padStart(7),
    ` ${backText(fault.recovery)}`
  ].join("  ")

/** What was promised of the time after a fault. */
export const recoveryPromises = (faults: ReadonlyArray<PastFault>): Checked => {
  const waitedFor = faults.filter(({ recovery }) => recovery !== undefined)
  return checked(
    "back",
    waitedFor.length,
    "faults",
    waitedFor
      .filter(({ recovery }) => recovery?.millis === undefined || recovery.millis > backWithin)
      .map((fault) => {
        const after = fault.recovery?.millis === undefined ? "never seen" : `after ${seconds(fault.recovery.millis)}`
        return `not everything was back ${backWithin / 1_000} s after ${textOf(fault)}, at ${seconds(fault.at)} (${after}): ${fault.recovery?.missing.join("; ")}`
      })
  )
}

/** Whether each promise was kept, and how much was looked at. */
export const promiseTable = (all: ReadonlyArray<Checked>): ReadonlyArray<string> =>
  promiseNames.flatMap((name) => {
    const those = all.filter(({ promise }) => promise === name)
    const broken = those.reduce((sum, one) => sum + one.broken.length, 0)
    const looked = those.map(({ facts, of }) => `${facts} ${of}`).join(", ")
    return [`  ${promises[name].padEnd(46)}  ${(broken === 0 ? "kept" : `BROKEN (${broken})`).padEnd(11)}  ${looked}`]
  })

/** A sentence for each broken promise. */
export const brokenSentences = (all: ReadonlyArray<Checked>): ReadonlyArray<string> =>
  all.flatMap(({ broken, promise }) => broken.map((what) => `${promises[promise]}: ${what}`))

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
    const sorted = seen.toSorted((a, b) => (b.recovery?.millis ?? Infinity) - (a.recovery?.millis ?? Infinity))
    const time = ({ recovery }: PastFault) => (recovery?.millis === undefined ? "not back" : seconds(recovery.millis))
    const [slowest, middle] = [sorted[0], sorted[Math.floor(sorted.length / 2)]]
    const { room } = faultNamed(kind)
    return [
      kind,
      room,
      String(list.length),
      middle === undefined ? "–" : time(middle),
      slowest === undefined ? "–" : time(slowest),
      slowest?.target ?? ""
    ]
  })
  const sorted = rows.toSorted(
    ([a = "", one = ""], [b = "", other = ""]) => one.localeCompare(other) || a.localeCompare(b)
  )
  return table([["faults", "room", "count", "back (median)", "slowest", "of"], ...sorted])
}
