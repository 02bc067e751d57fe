/**
 * A river or lake recorder: the level, the flow rated from it, the visits that check it, and the gaugings.
 *
 * Flow has no series of its own. It is the level of that moment through the rating, so a corrected level corrects the flow.
 */
import { seeded } from "../SeededRandom.ts"
import { hash01 } from "./Noise.ts"
import { column, columns, measured, number, seriesOf, virtual, withQuality } from "./SeriesBuilding.ts"
import { rating, stage } from "./SeriesShapes.ts"
import type { Series } from "./SeriesWorld.ts"
import { dailyUpload, laboratory, logger, telemetry } from "./Arrival.ts"
import { irregular, regular } from "./SeriesWorld.ts"
import type { DraftSource, Item, Station } from "./DataSource.ts"
import { day, isoText, minute } from "./WallTime.ts"

/** The level, its rated flow, a virtual mean, and the visits at which the recorder was checked. */
export const level = (site: Station): ReadonlyArray<DraftSource> => {
  const { flowInLitres, flowName, flowUnits, levelName, levelSource } = site.council.dialect
  const draw = seeded(site.key(levelSource))
  const height = stage(site.key(levelSource))
  const discharge = rating(site.key("rating"))
  const flowText = (flow: number): string =>
    flowInLitres ? String(Math.round(flow * 1_000)) : String(Math.round(flow * 10_000) / 10_000)
  const step = draw.chance(0.7) ? 5 * minute : draw.chance(0.5) ? 10 * minute : 15 * minute
  const arrival = draw.chance(0.8) ? telemetry(site.key("telemetry")) : logger(site.key("logger"))
  const correctBy = { by: "offset", size: 25, of: levelSource } as const
  const levels = seriesOf(
    site,
    levelSource,
    regular(step),
    arrival,
    (_, time, { offset }) => [String(Math.round(height(time) + offset))],
    { gaps: true, correctBy }
  )
  const stageItem = number(levelName, "mm", "####")
  const flowItem = number(flowName, flowUnits, flowInLitres ? "####" : "###.###")
  const flows: Series = {
    ...levels,
    key: `${levels.key} rated`,
    items: (_, time, { offset }) => [flowText(discharge(Math.round(height(time) + offset)))]
  }
  const source: DraftSource = measured(levelSource, stageItem, levels, {
    itemFormat: 0,
    measurements: [
      { ...column(stageItem), preferred: true, series: levels, items: [stageItem] },
      { ...column(flowItem), preferred: true, rated: true, series: flows, items: [flowItem] },
      virtual(site, levelSource, `${flowName} 7 Day Mean`, undefined, (time) => discharge(height(time - 3.5 * day)))
    ]
  })
  const checkItems: ReadonlyArray<Item> = [
    number("External S.G.", "mm", "####"),
    { name: "Recorder Time", format: "D", pattern: "###" },
    number("Internal S.G.", "mm", "####"),
    { name: "Comment", format: "S", pattern: "####" }
  ]
  const visits = site.key("visits")
  const office = dailyUpload(site.key("office"))
  const checks = seriesOf(site, `${levelSource} check`, irregular(visits, 23 * day), office, (slot, time) => [
    String(Math.round(height(time) + 4 * (hash01(visits, -slot) - 0.5))),
    isoText(time - (time % minute)),
    String(Math.round(height(time))),
    remark(visits + 3, slot)
  ])
  return [
    ...withQuality(site, source),
    {
      name: levelSource,
      tsType: "CheckSeries",
      dataType: "SimpleTimeSeries",
      interpolation: "Discrete",
      itemFormat: 45,
      numItems: 4,
      series: checks,
      items: checkItems,
      measurements: columns(checkItems, checks)
    }
  ]
}

const remarks = [
  "Clear, weed cut",
  "",
  "Low & clear",
  "Staff gauge < 5 mm of silt",
  "Battery changed",
  "Tāmata returned"
]

export const remark = (key: number, slot: number): string =>
  remarks[Math.floor(hash01(key, slot) * remarks.length)] ?? ""

export const gaugings = (site: Station): DraftSource => {
  const { flowInLitres, flowName, flowUnits, levelName, levelSource } = site.council.dialect
  const height = stage(site.key(levelSource))
  const discharge = rating(site.key("rating"))
  const items: ReadonlyArray<Item> = [
    number(levelName, "mm", "####"),
    number(flowName, flowUnits, "###.###"),
    { name: "Comment", format: "S", units: "", pattern: "####" }
  ]
  const key = site.key("gaugings")
  const series = seriesOf(
    site,
    "Gauging Results",
    irregular(key, 31 * day, minute),
    laboratory(key),
    (slot, time) => {
      const flow = discharge(height(time)) * (0.94 + 0.12 * hash01(key, -slot))
      return [String(Math.round(height(time))), (flowInLitres ? flow * 1_000 : flow).toFixed(3), remark(key, slot)]
    },
    { longer: 4 }
  )
  return {
    name: "Gauging Results",
    tsType: "StdSeries",
    dataType: "GaugingResults",
    interpolation: "Discrete",
    itemFormat: 140,
    numItems: 3,
    series,
    items,
    measurements: columns(items, series)
  }
}
