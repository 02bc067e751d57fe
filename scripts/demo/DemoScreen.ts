/**
 * The demo's one screen, as text: where everything is, what was asked, what was kept, what is due, and lines to paste.
 */
import type { DemoKeys } from "./DemoSettings.ts"
import type { DemoProgress } from "./DemoProgress.ts"
import { rowsOf, type ScreenLine } from "./DemoTerminal.ts"

const number = (value: number): string => Math.round(value).toLocaleString("en")
const seconds = (value: number | null): string =>
  value === null ? "–" : `${value < 10 ? value.toFixed(1) : number(value)} s`
const millis = (value: number | null): string => (value === null ? "–" : `${number(value)} ms`)

export interface DemoAddresses {
  /** Of the page, with the keys in its fragment, which no server is told: one click opens it signed in. */
  readonly page: string
  readonly api: string
  /** Lines to paste into a shell. */
  readonly calls: ReadonlyArray<string>
  readonly psql: string | undefined
  readonly log: string
  /** The file that has all of this. */
  readonly file: string
}

/** Where everything is, with calls that work when pasted. */
export const addressesOf = (options: {
  readonly url: string
  readonly keys: DemoKeys
  readonly gsrn: string
  readonly endUser: string
  readonly psql: string | undefined
  readonly log: string
  readonly file: string
  /** Where its database lies, by which commands find it. */
  readonly data: string
}): DemoAddresses => {
  const { data, endUser, file, gsrn, keys, log, psql, url } = options
  return {
    page: `${url}/#read=${keys.read}&admin=${keys.admin}`,
    api: `${url}/docs`,
    calls: [
      `curl -s ${url}/controllable_unit/lookup -H 'Authorization: Bearer ${keys.lookup}' -H 'Content-Type: application/json' -d '{"end_user":"${endUser}","accounting_point":"${gsrn}"}'`,
      `curl -s ${url}/accounting_point/${gsrn} -H 'Authorization: Bearer ${keys.read}'`,
      `curl -s '${url}/hilltop/task?limit=3' -H 'Authorization: Bearer ${keys.admin}'`,
      `curl -s ${url}/health/progress`,
      `PENSTOCK_DATA=${data} npx penstock source list`
    ],
    psql,
    log,
    file
  }
}

/** All of it as text, for a log and for a file. */
export const addressesText = ({ api, calls, log, page, psql }: DemoAddresses): string =>
  [
    `Its page:  ${page}`,
    `Its API:   ${api}`,
    "",
    "Try it from another terminal:",
    ...calls.map((call) => `  ${call}`),
    ...(psql === undefined ? [] : [`  ${psql}`]),
    "",
    `Its log: ${log}`
  ].join("\n")

/** Both flows in two columns of figures, no wider than 80. */
export const progressLines = (progress: DemoProgress): ReadonlyArray<string> => {
  const { hilltop, points } = progress
  const row = (label: string, value: number, note = "") => ` ${label.padEnd(8)}${number(value).padStart(11)}  ${note}`
  return [
    `Accounting points (simulated adapter), ${number(progress.units)} controllable units`,
    row("asked", progress.adapterAsked, "calls to the adapter"),
    row("kept", points.synced, `accounting points; ${number(points.relevant)} of them are relevant`),
    row("followed", progress.eventsRecorded, `events, ${millis(points.follow_millis)} from change to copy (median)`),
    row("lookups", points.matched + points.mismatched, `answered; ${number(points.mismatched)} for the wrong end user`),
    row(
      "due",
      points.pending,
      `with an event, ${number(points.failing)} failing; longest unsynced ${seconds(points.oldest_seconds)}`
    ),
    `Hilltop (simulated councils), ${number(progress.sources)} sources`,
    row("asked", progress.serversAsked, "requests to the servers"),
    row(
      "kept",
      hilltop.observations,
      `observations of ${number(hilltop.series)} series at ${number(hilltop.sites)} sites`
    ),
    row("topics", hilltop.raw, `documents, ${number(hilltop.mapped)} messages; ${number(hilltop.set_aside)} set aside`),
    row(
      "fetched",
      hilltop.fetched,
      `of ${number(hilltop.tasks)} tasks; ${number(hilltop.failing)} answered with an error`
    ),
    row(
      "due",
      hilltop.due,
      `wait for their budgets, ${number(hilltop.in_flight)} in flight; next other in ${seconds(hilltop.next_seconds)}`
    )
  ]
}

/** Errors and warnings in the log. */
export const notedText = ({ errors, warnings }: { readonly errors: number; readonly warnings: number }): string =>
  `${errors} ${errors === 1 ? "error" : "errors"} and ${warnings} ${warnings === 1 ? "warning" : "warnings"} in the log`

/** The screen as far as it fits: the page and the figures always, of the calls as many as there is room for. */
export const screenOf =
  (addresses: DemoAddresses, figures: ReadonlyArray<string>, noted: string, elapsedSeconds: number) =>
  (columns: number, rows: number): ReadonlyArray<ScreenLine> => {
    const since = `${number(elapsedSeconds)} s since the start`
    const title = "Penstock's demo. Ctrl-C ends it."
    const head: ReadonlyArray<ScreenLine> = [
      { text: `${title}${" ".repeat(Math.max(1, columns - title.length - since.length - 1))}${since}` },
      { text: addresses.page, whole: true },
      { text: "" },
      ...figures.map((text) => ({ text })),
      { text: "" }
    ]
    const foot: ReadonlyArray<ScreenLine> = [{ text: `More calls, and the keys: ${addresses.file}  (${noted})` }]
    const { calls, psql } = addresses
    const shortest = [...calls, ...(psql === undefined ? [] : [psql])].toSorted((a, b) => a.length - b.length)
    let left = rows - [...head, ...foot].reduce((sum, line) => sum + rowsOf(line, columns), 0)
    const shown: Array<ScreenLine> = []
    for (const text of shortest) {
      const line = { text, whole: true }
      left -= rowsOf(line, columns)
      if (left < 0) break
      shown.push(line)
    }
    return [...head, ...shown, ...foot]
  }

/** The same in one line, for a log instead of a terminal. */
export const progressLine = (
  { adapterAsked, eventsRecorded, hilltop, points, serversAsked, sources, units }: DemoProgress,
  elapsedSeconds: number
): string =>
  `${String(Math.round(elapsedSeconds)).padStart(4)} s  points: ${units} units, ${adapterAsked} asked, ${points.synced} kept, ${eventsRecorded} events followed (${millis(points.follow_millis)}), ` +
  `${points.matched} lookups matched | Hilltop: ${sources} sources, ${serversAsked} asked, ${hilltop.observations} observations at ${hilltop.sites} sites, ${hilltop.due} due`

/** What is left of it. */
export const farewell = (room: string, places: ReadonlyArray<string>): string =>
  [
    `It used ${room} on disk. Its data stay, and the next demo goes on with them.`,
    `To remove them: rm -r ${places.map((place) => (/^[\w./-]+$/.test(place) ? place : `'${place.replaceAll("'", `'\\''`)}'`)).join(" ")}`
  ].join("\n")
