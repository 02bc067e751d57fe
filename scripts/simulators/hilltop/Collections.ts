/**
 * The collections a council publishes: named lists of sites and what is measured there, as web pages use them.
 *
 * A collection names at most fifty sites, so that asking for a whole one stays an ordinary request.
 */
import type { Council, Site, SiteKind } from "./Council.ts"
import type { Measurement } from "./DataSource.ts"
import type { World } from "./World.ts"

interface Rule {
  readonly name: string
  readonly kinds: ReadonlyArray<SiteKind>
  readonly holds: (measurement: Measurement, source: string) => boolean
}

const rules: ReadonlyArray<Rule> = [
  { name: "Flows", kinds: ["river"], holds: (one) => one.rated },
  { name: "Rainfall", kinds: ["river", "rain", "weather"], holds: (_, source) => source === "SCADA Rainfall" },
  { name: "Water Quality", kinds: ["quality", "lake"], holds: (one) => one.name === "Total Phosphorus" },
  { name: "Water Use", kinds: ["meter"], holds: (one) => one.name === "Water Meter Volume" },
  { name: "Groundwater & Bores", kinds: ["bore"], holds: (one) => one.name === "Groundwater Level" }
]

export const collectionNames: ReadonlyArray<string> = rules.map((rule) => rule.name)

export interface CollectedSeries {
  readonly site: Site
  readonly measurement: Measurement
}

/** What the collection of this name holds; nothing where there is none of that name. */
export const collectionItems = (world: World, council: Council, name: string): ReadonlyArray<CollectedSeries> =>
  rules
    .filter((rule) => rule.name === name)
    .flatMap((rule) =>
      council.sites
        .filter((site) => site.listed > 0 && rule.kinds.includes(site.kind))
        .slice(0, 50)
        .flatMap((site) =>
          world
            .sources(council, site)
            .filter((source) => source.tsType === "StdSeries")
            .flatMap((source) => source.measurements.filter((one) => rule.holds(one, source.name)))
            .map((measurement) => ({ site, measurement }))
        )
    )
