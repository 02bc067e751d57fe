/**
 * Nothing is green for long while nobody can be served: not while an instance's database is out of reach, and not while
 * no lookup of an instance succeeds, whatever the reason.
 */
import type { Asked } from "./ChaosLedger.ts"
import { checked } from "./Checked.ts"

/** So long health may be wrong about what has just broken. */
export const greenFor = 10_000

/** A time in which an instance could not reach its database. */
export interface Severed {
  readonly instance: number
  readonly from: number
  readonly to: number
}

const seconds = (millis: number) => `${(millis / 1_000).toFixed(1)} s`

const greenWithoutDatabase = (asked: ReadonlyArray<Asked>, severed: ReadonlyArray<Severed>, startedAt: number) =>
  severed.flatMap(({ from, instance, to }) =>
    (["ready", "progress"] as const).flatMap((kind) => {
      const green = asked.filter(
        (one) =>
          one.kind === kind &&
          one.instance === instance &&
          one.status === 200 &&
          one.at > from + greenFor &&
          one.until < to
      )
      return green.length === 0
        ? []
        : [
            `${kind} of instance ${instance} was 200 ${green.length} times from ${seconds(green[0]!.at - startedAt)} on, though its database could not be reached since ${seconds(from - startedAt)}`
          ]
    })
  )

/** Enough that chance does not make a window, at two lookups a second and more. */
const fewest = 8

/** Windows in which no lookup of an instance was served: from the first that failed to the last. */
const unserved = (lookups: ReadonlyArray<Asked>): ReadonlyArray<readonly [from: number, to: number]> => {
  const windows: Array<readonly [number, number]> = []
  let run: Array<Asked> = []
  const close = () => {
    if (run.length >= fewest) windows.push([run[0]!.at, run.at(-1)!.at])
    run = []
  }
  for (const lookup of lookups.toSorted((a, b) => a.at - b.at)) {
    if (lookup.status !== undefined && lookup.status < 500) close()
    else run.push(lookup)
  }
  close()
  return windows
}

const greenWhileNobodyServed = (asked: ReadonlyArray<Asked>, startedAt: number) =>
  [...Map.groupBy(asked, ({ instance }) => instance)].flatMap(([instance, own]) =>
    unserved(own.filter(({ kind }) => kind === "lookup")).flatMap(([from, to]) => {
      const green = own.filter(
        ({ at, kind, status, until }) => kind === "ready" && status === 200 && at > from + greenFor && until < to
      )
      return green.length === 0
        ? []
        : [
            `instance ${instance} said ${green.length} times that it is ready, though none of its lookups was served from ${seconds(from - startedAt)} to ${seconds(to - startedAt)}`
          ]
    })
  )

export const healthPromises = (asked: ReadonlyArray<Asked>, severed: ReadonlyArray<Severed>, startedAt: number) =>
  checked("healthy", asked.filter(({ kind }) => kind === "ready" || kind === "progress").length, "answers of health", [
    ...greenWithoutDatabase(asked, severed, startedAt),
    ...greenWhileNobodyServed(asked, startedAt)
  ])
