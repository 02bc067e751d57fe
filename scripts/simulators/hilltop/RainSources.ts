/**
 * Rain, twice, as on real servers: `Rainfall` is the bucket's own record (irregular seconds, dry times left out, sent in
 * batches) and `SCADA Rainfall` the same rain in five-minute steps by telemetry. Uncorrected, their totals agree.
 */
import { hash01 } from "./Noise.ts"
import { column, measured, number, seriesOf, virtual, withQuality } from "./SeriesBuilding.ts"
import { tips } from "./SeriesShapes.ts"
import { logger, telemetry } from "./Arrival.ts"
import { irregular, regular } from "./SeriesWorld.ts"
import type { DraftSource, Station } from "./DataSource.ts"
import { day, minute } from "./WallTime.ts"

export const rain = (site: Station): ReadonlyArray<DraftSource> => {
  const { tip } = site.council.dialect
  const falls = tips(site.key("rain"), tip)
  const text = (count: number): string => String(Math.round(count * tip * 10) / 10)
  const item = number("Rainfall", "mm", "####.#", 1_000)
  const bucket = seriesOf(
    site,
    "Rainfall",
    irregular(site.key("bucket"), 5 * minute),
    logger(site.key("logger")),
    (slot, _, { factor }) => {
      const count = falls(slot)
      // A dry day still has its row at nine in the morning or soon after: proof that the gauge was there.
      if (count === 0) return slot % 288 === 108 ? ["0"] : undefined
      return [text(Math.max(1, Math.round(count * factor)))]
    },
    { correctBy: { by: "factor", size: 0.5 } }
  )
  const scada = seriesOf(
    site,
    "SCADA Rainfall",
    regular(5 * minute),
    telemetry(site.key("telemetry")),
    // The row at the end of five minutes holds what fell within them.
    (slot, _, { factor }) => [text(Math.round(falls(slot - 1) * factor))],
    { gaps: true, correctBy: { by: "factor", size: 0.5 } }
  )
  const spells = site.key("dry")
  const dry = virtual(site, "Rainfall", "Dry Days", "days < 2.5mm", (time) =>
    Math.floor(12 * hash01(spells, Math.floor(time / (9 * day))))
  )
  return [
    ...withQuality(
      site,
      measured("Rainfall", item, bucket, {
        dataType: "Rain6",
        interpolation: "Incremental",
        itemFormat: 0,
        measurements: [{ ...column(item), series: bucket, items: [item] }, dry]
      })
    ),
    ...withQuality(
      site,
      measured("SCADA Rainfall", item, scada, { interpolation: "Incremental", itemFormat: 0, sensorGroup: "Rainfall" })
    )
  ]
}
