/**
 * What the lists and documents of a site leave in doubt, for whoever runs the source: nothing that is wanted is there, something
 * wanted is there no more, a list and its documents disagree about units.
 *
 * Pure. A doubt stops nothing: it is shown beside the source until a list or document ends it. A series is written as the JSON of
 * its data source's name and its measurement's.
 */
import { Schema } from "effect"
import type { HilltopSource } from "../domain/HilltopSource.ts"
import type { TaskDetails } from "../domain/FetchTask.ts"
import type { MeasurementList } from "../hilltop/HilltopDocument.ts"
import { wantedNames } from "./wantedNames.ts"

export const SiteNote = Schema.Struct({
  /** Whether a list was read, and not only documents. */
  listed: Schema.Boolean,
  /** Wanted series that the last list had. */
  found: Schema.Array(Schema.String),
  /** Those that an earlier one had. */
  vanished: Schema.Array(Schema.String),
  /** What the list has that is most like what is wanted, where it has nothing wanted. */
  nearby: Schema.Array(Schema.String),
  /** Series whose documents have other units than the list, and both. */
  units: Schema.Array(Schema.String)
})
export type SiteNote = typeof SiteNote.Type

export const nothingNoted: SiteNote = { listed: false, found: [], vanished: [], nearby: [], units: [] }

export const sameNote = (a: SiteNote, b: SiteNote): boolean =>
  a.listed === b.listed &&
  a.found.join("\n") === b.found.join("\n") &&
  a.vanished.join("\n") === b.vanished.join("\n") &&
  a.nearby.join("\n") === b.nearby.join("\n") &&
  a.units.join("\n") === b.units.join("\n")

const seriesText = (dataSource: string, measurement: string) => JSON.stringify([dataSource, measurement])
const sorted = (list: Iterable<string>): ReadonlyArray<string> => [...new Set(list)].sort()

/** Names shown of one list, and of a source. */
export const mostNearby = 5

/** As a person would compare names: without the data source in brackets, and whatever the case, the form and the white space. */
const alike = (name: string): string =>
  name
    .replace(/ *\[[^\]]*\] *$/, "")
    .normalize("NFKC")
    .toLowerCase()
    .replaceAll(/\s+/g, " ")
    .trim()

const nearbyIn = (
  { measurementNames }: HilltopSource["configuration"],
  list: MeasurementList
): ReadonlyArray<string> => {
  const wanted = measurementNames.map(alike)
  const closeness = (name: string) => {
    const plain = alike(name)
    return wanted.includes(plain) ? 2 : wanted.some((one) => plain.includes(one) || one.includes(plain)) ? 1 : 0
  }
  return list.dataSources
    .filter(({ tsType }) => tsType === "StdSeries")
    .flatMap(({ measurements, name }) =>
      measurements
        .filter(({ virtual }) => !virtual)
        .map((measurement) => ({
          text: seriesText(name, measurement.name),
          close: Math.max(closeness(name), closeness(measurement.name))
        }))
    )
    .sort((a, b) => b.close - a.close || (a.text < b.text ? -1 : 1))
    .slice(0, mostNearby)
    .map(({ text }) => text)
}

/** The note after a list, in which `found` is wanted. Differences of units are found again by the documents to come. */
export const noteOfList = (
  { configuration }: HilltopSource,
  list: MeasurementList,
  found: ReadonlyArray<TaskDetails>,
  before: SiteNote = nothingNoted
): SiteNote => {
  const now = sorted(
    found.map(({ measurement = "", measurementName = "" }) => seriesText(measurementName, measurement))
  )
  const { isWanted: isWantedName } = wantedNames(configuration)
  const isWanted = (series: string) => namesOf(series).every(isWantedName)
  const gone = [...before.found, ...before.vanished].filter((series) => !now.includes(series) && isWanted(series))
  return {
    listed: true,
    found: now,
    vanished: sorted(gone),
    nearby: now.length > 0 ? [] : nearbyIn(configuration, list),
    units: []
  }
}

/** The note after a document whose units are not those of the list. */
export const noteOfUnits = (
  { measurement = "", measurementName = "", units = "" }: TaskDetails,
  own: string,
  before: SiteNote = nothingNoted
): SiteNote => ({
  ...before,
  units: sorted([
    ...before.units,
    `${shown(seriesText(measurementName, measurement))} (listed in ${JSON.stringify(units)}, sent in ${JSON.stringify(own)})`
  ])
})

const decodeNames = Schema.decodeUnknownOption(Schema.fromJsonString(Schema.Array(Schema.String)))
const namesOf = (series: string): ReadonlyArray<string> => {
  const names = decodeNames(series)
  return names._tag === "Some" ? names.value : [series]
}
/** The wanted series of a site, those too that its list has no more: the name of each one's data source, and its measurement's. */
export const seriesNoted = ({ found, vanished }: SiteNote): ReadonlyArray<readonly [string, string]> =>
  [...found, ...vanished].flatMap((series) => {
    const [dataSource, measurement] = namesOf(series)
    return dataSource === undefined || measurement === undefined ? [] : [[dataSource, measurement] as const]
  })

const shown = (series: string): string =>
  namesOf(series)
    .map((name) => JSON.stringify(name))
    .join(" with ")

const Told = Schema.Array(Schema.Tuple([Schema.String, Schema.String]))

/** What is noted of a source's sites, together. */
export const NoteSummary = Schema.Struct({
  lists: Schema.Int,
  /** Lists that have anything wanted. */
  matching: Schema.Int,
  nearby: Schema.Array(Schema.String),
  vanished: Schema.Int,
  /** The first few, each behind its site. */
  vanishedAt: Told,
  units: Schema.Int,
  unitsAt: Told
})
export type NoteSummary = typeof NoteSummary.Type

/** How many of a kind are told one by one. */
export const mostTold = 3

const byText = <A extends readonly [string, string]>(list: ReadonlyArray<A>): ReadonlyArray<A> =>
  list.toSorted(([a, x], [b, y]) => (a < b ? -1 : a > b ? 1 : x < y ? -1 : 1))

export const summaryOf = (notes: ReadonlyMap<string, SiteNote>): NoteSummary => {
  const all = [...notes]
  const vanished = byText(all.flatMap(([site, note]) => note.vanished.map((one) => [site, one] as const)))
  const units = byText(all.flatMap(([site, note]) => note.units.map((one) => [site, one] as const)))
  return {
    lists: all.filter(([, { listed }]) => listed).length,
    matching: all.filter(([, { found }]) => found.length > 0).length,
    nearby: sorted(all.flatMap(([, { nearby }]) => nearby)).slice(0, mostNearby),
    vanished: vanished.length,
    vanishedAt: vanished.slice(0, mostTold),
    units: units.length,
    unitsAt: units.slice(0, mostTold)
  }
}

const listed = (told: ReadonlyArray<string>, all: number) =>
  told.join(", ") + (all > told.length ? ` and ${all - told.length} more` : "")

/** The doubt in words; none where there is nothing to doubt. */
export const doubtOf = (summary: NoteSummary): string | undefined => {
  const { lists, matching, nearby, units, unitsAt, vanished, vanishedAt } = summary
  const doubts: Array<string> = []
  if (lists > 0 && matching === 0 && vanished === 0) {
    doubts.push(
      "no list of measurements read so far has a series of which measurementNames hold both names, that of its data source and that of its measurement, letter by letter; " +
        (nearby.length === 0 ? "no series is listed" : `listed are ${nearby.map(shown).join(", ")}`)
    )
  }
  if (vanished > 0) {
    const told = vanishedAt.map(([site, series]) => `${shown(series)} at ${JSON.stringify(site)}`)
    doubts.push(`listed no more: ${listed(told, vanished)}`)
  }
  if (units > 0) {
    const told = unitsAt.map(([site, text]) => `${text} at ${JSON.stringify(site)}`)
    doubts.push(`other units in the document than in the list: ${listed(told, units)}`)
  }
  return doubts.length === 0 ? undefined : doubts.join("; ")
}
