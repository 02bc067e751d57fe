/**
 * Which sites and measurements a source wants, by their names: the only rule about it, for what a list leads to, for tasks that are there
 * already, for a source that is tried and for what is said of its lists.
 *
 * Names are compared as `nameKey` has them; a server's own spelling is what is asked for.
 */
import type { SourceConfiguration } from "../domain/HilltopSource.ts"
import { nameKey } from "../hilltop/nameKey.ts"

export interface WantedNames {
  readonly isExcluded: (siteName: string) => boolean
  /** Of a data source, and of each measurement of one. */
  readonly isWanted: (name: string) => boolean
}

/** Made once for a source, which has some 100,000 tasks. */
export const wantedNames = ({
  excludedSitesNames,
  measurementNames
}: Pick<SourceConfiguration, "excludedSitesNames" | "measurementNames">): WantedNames => {
  const excluded = new Set(excludedSitesNames?.map(nameKey))
  const wanted = new Set(measurementNames.map(nameKey))
  return {
    // Nearly every source excludes nothing, and normalizing a name is the most of what this takes.
    isExcluded: (siteName) => excluded.size > 0 && excluded.has(nameKey(siteName)),
    isWanted: (name) => wanted.has(nameKey(name))
  }
}
