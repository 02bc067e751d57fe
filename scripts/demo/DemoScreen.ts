/**
 * The demo's one screen, as text: what was asked, what was kept, what is due, and lines to paste.
 */
import type { DemoKeys } from "./DemoSettings.ts"
import type { DemoProgress } from "./DemoProgress.ts"

const number = (value: number): string => Math.round(value).toLocaleString("en")
const seconds = (value: number | null): string =>
  value === null ? "–" : `${value < 10 ? value.toFixed(1) : number(value)} s`
const millis = (value: number | null): string => (value === null ? "–" : `${number(value)} ms`)

/** Where everything is, with calls that work when pasted. */
export const addresses = (options: {
  readonly url: string
  readonly keys: DemoKeys
  readonly gsrn: string
  readonly endUser: string
  readonly psql: string | undefined
  readonly log: string
}): string => {
  const { endUser, gsrn, keys, url } = options
  return [
    `Penstock is running at ${url}     its API is described at ${url}/docs`,
    "",
    "Try it from another terminal:",
    `  curl -s ${url}/controllable_unit/lookup -H 'Authorization: Bearer ${keys.lookup}' -H 'Content-Type: application/json' -d '{"end_user":"${endUser}","accounting_point":"${gsrn}"}'`,
    `  curl -s ${url}/accounting_point/${gsrn} -H 'Authorization: Bearer ${keys.read}'`,
    `  curl -s '${url}/hilltop/task?limit=3' -H 'Authorization: Bearer ${keys.admin}'`,
    `  curl -s ${url}/health/progress`,
    ...(options.psql === undefined ? [] : [`  ${options.psql}`]),
    "",
    `Its log: ${options.log}`
  ].join("\n")
}

/** Both flows in two columns of figures. */
export const progressText = (progress: DemoProgress, elapsedSeconds: number): string => {
  const { hilltop, points } = progress
  const row = (label: string, value: string, note = "") => `  ${label.padEnd(10)}${value.padStart(12)}  ${note}`
  return [
    `Accounting points (simulated adapter)                       ${number(elapsedSeconds)} s since the start`,
    row("asked", number(progress.adapterAsked), "calls to the adapter"),
    row(
      "kept",
      number(points.synced),
      `accounting points, merged ${number(points.writes)} times; ${number(points.relevant)} are relevant`
    ),
    row(
      "followed",
      number(progress.eventsRecorded),
      `events of the adapter; from the change to the copy: ${millis(points.follow_millis)} (median)`
    ),
    row(
      "lookups",
      number(points.matched + points.mismatched),
      `answered, ${number(points.mismatched)} of them for the wrong end user`
    ),
    row(
      "due",
      number(points.pending),
      `with an event pending, ${number(points.failing)} failing; the longest unsynced for ${seconds(points.oldest_seconds)}`
    ),
    "",
    "Hilltop (three simulated councils)",
    row("asked", number(progress.serversAsked), "requests to the servers"),
    row(
      "kept",
      number(hilltop.observations),
      `observations of ${number(hilltop.series)} series at ${number(hilltop.sites)} sites`
    ),
    row(
      "topics",
      number(hilltop.raw),
      `raw documents, mapped to ${number(hilltop.mapped)} messages; ${number(hilltop.set_aside)} set aside`
    ),
    row(
      "fetched",
      number(hilltop.fetched),
      `of ${number(hilltop.tasks)} tasks; ${number(hilltop.failing)} were answered with an error (mostly “No data”)`
    ),
    row(
      "due",
      number(hilltop.due),
      `waiting for the servers' budgets, ${number(hilltop.in_flight)} in flight; the next other in ${seconds(hilltop.next_seconds)}`
    )
  ].join("\n")
}

/** The same in one line, for a log instead of a terminal. */
export const progressLine = (
  { adapterAsked, eventsRecorded, hilltop, points, serversAsked }: DemoProgress,
  elapsedSeconds: number
): string =>
  `${String(Math.round(elapsedSeconds)).padStart(4)} s  points: ${adapterAsked} asked, ${points.synced} kept, ${eventsRecorded} events followed (${millis(points.follow_millis)}), ` +
  `${points.matched} lookups matched | Hilltop: ${serversAsked} asked, ${hilltop.observations} observations at ${hilltop.sites} sites, ${hilltop.due} due`
