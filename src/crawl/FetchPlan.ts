/**
 * What a list makes worth asking next: sites lead to their measurement lists, those to data by calendar month.
 *
 * Pure. A DataSource counts when its name is wanted, it is a `StdSeries`, and it has a wanted measurement that the server
 * does not compute (`VM`); the `RequestAs` of each of those is asked for, since each is a series of its own.
 */
import type { HilltopSource } from "../domain/HilltopSource.ts"
import type { NewTask } from "../domain/FetchTask.ts"
import type { Instant } from "../domain/Instant.ts"
import type { ListedDataSource, ListedMeasurement, MeasurementList, SiteList } from "../hilltop/HilltopDocument.ts"
import { halvesOf } from "../hilltop/halves.ts"
import { isQualified } from "../hilltop/qualifiedRequest.ts"
import { wantedNames } from "./wantedNames.ts"
import {
  type HtsUrl,
  measurementDataLatestUrl,
  measurementDataUrls,
  measurementsListUrl,
  sitesListUrl
} from "../hilltop/HilltopUrl.ts"
import { monthsBetween, parseNzst, yearMonth } from "../hilltop/Nzst.ts"

/** No list of anybody leads to so many requests; one that does is mistaken or hostile, and is not planned. */
export const mostFollowUps = 100_000

/** Characters. Web servers take few longer ones, and PostgreSQL's index of tasks none of more than 2,600. */
export const longestUrl = 2_500

/** A source whose address was checked too. */
export interface UsableSource extends HilltopSource {
  readonly htsUrl: HtsUrl
}

/** The task everything of a source begins with. */
export const sitesListTask = (source: UsableSource): NewTask => ({
  sourceId: source.id,
  requestType: "SITES_LIST",
  fetchUrl: sitesListUrl(source.htsUrl),
  details: {}
})

/** A measurement list for each site that is not excluded; of more than `mostFollowUps` one too many. */
export const afterSitesList = (source: UsableSource, list: SiteList): ReadonlyArray<NewTask> => {
  const { isExcluded } = wantedNames(source.configuration)
  const names = new Set(list.sites.map((site) => site.name))
  return [...names]
    .filter((name) => !isExcluded(name))
    .slice(0, mostFollowUps + 1)
    .map((siteName) => ({
      sourceId: source.id,
      requestType: "MEASUREMENTS_LIST",
      fetchUrl: measurementsListUrl(source.htsUrl, siteName),
      details: { siteName }
    }))
}

/** Data by month for every wanted series, and its latest data when it is still alive; of more than `mostFollowUps` not all. */
export const afterMeasurementsList = (
  source: UsableSource,
  list: MeasurementList,
  siteName: string | undefined,
  now: Instant
): ReadonlyArray<NewTask> => {
  const tasks: Array<NewTask> = []
  const planned = new Set<string>()
  /** Of two data sources of one name the first says which column its address is of: else they took turns at it. */
  const plan = (task: NewTask) => {
    const key = `${task.requestType} ${task.fetchUrl}`
    if (planned.has(key)) return
    planned.add(key)
    tasks.push(task)
  }
  const wanted = list.dataSources.flatMap((dataSource) => {
    const site = dataSource.site ?? siteName
    return site === undefined ? [] : [{ site, dataSource, measurements: wantedMeasurements(source, dataSource) }]
  })
  const askFor = apart(wanted)
  for (const { dataSource, measurements, site } of wanted) {
    const { first, last } = extent(dataSource, now)
    const months = first === undefined || last === undefined ? [] : plannedMonths(first, last, now)
    for (const measurement of measurements) {
      if (tasks.length > mostFollowUps) return tasks
      const requestAs = askFor(site, dataSource, measurement)
      const details = {
        siteName: site,
        measurementName: dataSource.name,
        measurement: measurement.name,
        ...(measurements.length > 1 ? { isOneOfSeveral: true } : {}),
        item: measurement.item,
        ...(measurement.units === undefined ? {} : { units: measurement.units })
      }
      if (isAlive(last, now)) {
        plan({
          sourceId: source.id,
          requestType: "MEASUREMENT_DATA_LATEST",
          fetchUrl: measurementDataLatestUrl(source.htsUrl, site, requestAs),
          details
        })
      }
      for (const fetchUrl of measurementDataUrls(source.htsUrl, site, requestAs, months)) {
        plan({ sourceId: source.id, requestType: "MEASUREMENT_DATA", fetchUrl, details })
      }
    }
  }
  return tasks
}

/** What is asked for in place of a task whose answer is too large (`halves`); nothing when it cannot be divided further. */
export const halvedTasks = ({ details, fetchUrl, requestType, sourceId }: NewTask): ReadonlyArray<NewTask> =>
  requestType === "SITES_LIST" || requestType === "MEASUREMENTS_LIST"
    ? []
    : halvesOf(fetchUrl).map((part) => ({ sourceId, requestType, fetchUrl: part, details }))

/** The measurements of a data source that are to be asked for: each address once, whatever column it would be of. */
const wantedMeasurements = (source: HilltopSource, dataSource: ListedDataSource): ReadonlyArray<ListedMeasurement> => {
  const { isWanted } = wantedNames(source.configuration)
  if (!isWanted(dataSource.name) || dataSource.tsType !== "StdSeries") return []
  const wanted = dataSource.measurements.filter(({ name, virtual }) => isWanted(name) && !virtual)
  return wanted.filter(({ requestAs }, index) => wanted.findIndex((one) => one.requestAs === requestAs) === index)
}

interface Wanted {
  readonly site: string
  readonly dataSource: ListedDataSource
  readonly measurements: ReadonlyArray<ListedMeasurement>
}

/**
 * By what a measurement is asked for: where a list has one name for those of several data sources, as without any RequestAs, by the names of
 * those as well, since one address is one series.
 */
const apart = (wanted: ReadonlyArray<Wanted>) => {
  const keyOf = (site: string, requestAs: string) => JSON.stringify([site, requestAs])
  const dataSources = new Map<string, Set<string>>()
  for (const { dataSource, measurements, site } of wanted) {
    for (const { requestAs } of measurements) {
      const key = keyOf(site, requestAs)
      dataSources.set(key, (dataSources.get(key) ?? new Set()).add(dataSource.name))
    }
  }
  return (site: string, { name }: ListedDataSource, { requestAs }: ListedMeasurement): string => {
    const isAlone = dataSources.get(keyOf(site, requestAs))?.size === 1
    return isAlone || isQualified(requestAs) ? requestAs : `${requestAs} [${name}]`
  }
}

/**
 * When the series begins and ends. Servers give `To` before `From` now and then, and leave either out: a series without an
 * end goes on until now, and one with an end alone has at least that month.
 */
const extent = (
  dataSource: ListedDataSource,
  now: Instant
): { first: Instant | undefined; last: Instant | undefined } => {
  const [from, to] = [known(dataSource.from), known(dataSource.to)]
  if (from === undefined || to === undefined)
    return { first: from ?? to, last: to ?? (from === undefined ? from : now) }
  return { first: Math.min(from, to), last: Math.max(from, to) }
}

/** No series of anybody is older: a server that does not know a time writes the year 1, which would be 20,000 requests. */
const earliest = parseNzst("1800-01-01") ?? 0
const known = (time: Instant | undefined): Instant | undefined =>
  time === undefined || time < earliest ? undefined : time
const aMonth = 31 * 86_400_000

/**
 * The months of a series. An end in the future (a clock ahead, a mistyped year) brings the months up to the next one and
 * that of the end itself.
 */
const plannedMonths = (first: Instant, last: Instant, now: Instant): ReadonlyArray<string> => {
  const soon = now + aMonth
  const months = monthsBetween(first, Math.min(last, soon))
  return last > soon ? [...new Set([...months, yearMonth(last)])] : months
}

/**
 * Whether the latest data are worth asking for: the last observation lies in this month or the one before (in NZST), since
 * early in a month even a healthy series may not have reached it.
 */
const isAlive = (last: Instant | undefined, now: Instant): boolean =>
  last === undefined || monthsBetween(Math.min(last, now), now).length <= 2 || yearMonth(last) >= yearMonth(now)
