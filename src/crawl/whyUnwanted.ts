/**
 * Whether a task that is there is one that its source wants (`wantedNames`, at its address): for a changed configuration (`HilltopSources.replan`) and
 * before each request (`runTask`), since a list that was under way during a change queues what nobody wants any more.
 *
 * Pure. Made once for a source, because it judges each of some 100,000 tasks. A task that was queued by hand (without details) may
 * be of any address.
 */
import type { NewTask } from "../domain/FetchTask.ts"
import { askedSite } from "../hilltop/AskedRange.ts"
import { sourcePrefix } from "../hilltop/HilltopUrl.ts"
import type { UsableSource } from "./FetchPlan.ts"
import { wantedNames } from "./wantedNames.ts"

export type Judgement = "excluded" | "unwanted" | undefined

/** Why `source` does not want a task; nothing when it does. */
export const whyUnwanted = ({
  configuration,
  htsUrl
}: Pick<UsableSource, "configuration" | "htsUrl">): ((task: Omit<NewTask, "sourceId">) => Judgement) => {
  const { isExcluded, isWanted } = wantedNames(configuration)
  const excludesAny = (configuration.excludedSitesNames ?? []).length > 0
  const prefix = sourcePrefix(htsUrl)
  return ({ details, fetchUrl, requestType }) => {
    const isSitesList = requestType === "SITES_LIST"
    const site = isSitesList || !excludesAny ? undefined : (details.siteName ?? askedSite(fetchUrl))
    if (site !== undefined && isExcluded(site)) return "excluded"
    const { measurement, measurementName } = details
    if (measurementName !== undefined && !isWanted(measurementName)) return "unwanted"
    if (measurement !== undefined && !isWanted(measurement)) return "unwanted"
    const isPlanned = isSitesList || Object.values(details).some((detail) => detail !== undefined)
    return isPlanned && !fetchUrl.startsWith(prefix) ? "unwanted" : undefined
  }
}
