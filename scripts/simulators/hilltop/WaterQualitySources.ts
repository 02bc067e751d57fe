/**
 * Monthly water samples: laboratory results as text (`<0.002`, `*`, `>2400`), weeks late, with their parameters.
 *
 * All results of a month have the same time, because they are of one bottle.
 */
import { seeded } from "../SeededRandom.ts"
import { remark } from "./LevelSources.ts"
import { hash01 } from "./Noise.ts"
import { measured, number, seriesOf, withQuality } from "./SeriesBuilding.ts"
import { analytes, qualityCode, result } from "./SeriesShapes.ts"
import { laboratory } from "./Arrival.ts"
import { monthly } from "./SeriesWorld.ts"
import type { DraftSource, Item, Station } from "./DataSource.ts"

const laboratories = ["Demo Lab", "Kea & Co Analytical", "Field <meter>"]

export const waterQuality = (site: Station): ReadonlyArray<DraftSource> => {
  const draw = seeded(site.key("analytes"))
  // One sample bottle, so one time for all of a month's results.
  const sampled = monthly(site.key("sampled"))
  const arrival = laboratory(site.key("laboratory"))
  const lab = laboratories[draw.int(0, 2)] ?? "Demo Lab"
  const count = draw.int(5, analytes.length)
  const results = analytes.slice(0, count).flatMap((analyte, index) => {
    const key = site.key(analyte.name)
    const write = result(key, analyte)
    const series = seriesOf(
      site,
      analyte.name,
      sampled,
      arrival,
      (slot, _, { factor }) => (hash01(key + 7, slot) < 0.04 ? undefined : [write(slot, factor)]),
      {
        longer: 4,
        correctBy: { by: "factor", size: 0.3 },
        // Most rows of some real servers have no code.
        quality: (time) => (hash01(key + 8, time) < 0.4 ? qualityCode(key, time) : undefined),
        parameters: (slot) =>
          hash01(key + 9, slot) < 0.7
            ? [
                ["Lab", lab],
                ["Method", "APHA 4500-P & ISO"]
              ]
            : [["Lab", lab]]
      }
    )
    const source = measured(analyte.name, number(analyte.name, analyte.units || undefined, "#.####"), series, {
      dataType: "WQData",
      interpolation: "Discrete"
    })
    return index < 4 ? withQuality(site, source) : [source]
  })
  const samplers = site.key("samplers")
  const samples = seriesOf(site, "WQ Sample", sampled, arrival, () => [], {
    longer: 4,
    parameters: (slot) => [
      ["Project", "State of the Environment"],
      ["Sampler", remark(samplers, slot) || "Field team"]
    ]
  })
  const item: Item = { name: "WQ Sample", format: "S", units: "", pattern: "$$$" }
  return [...results, measured("WQ Sample", item, samples, { dataType: "WQSample", interpolation: "Discrete" })]
}
