/** Of several series in an answer: the one of the right name, at the right site, and not its quality series. */
import { assert, it } from "@effect/vitest"
import { askedSeries } from "../../src/hilltop/askedSeries.ts"
import type { DataSeries } from "../../src/hilltop/HilltopDocument.ts"

const series = (siteName: string, name: string, tsType?: string): DataSeries => ({
  siteName,
  dataSource: { name, ...(tsType === undefined ? {} : { tsType }), items: [] },
  item: 1,
  rows: [],
  gapsBefore: [],
  skipped: { unreadableTime: 0, noValue: 0, asterisk: 0, notANumber: 0 },
  divisorApplied: true
})
const asked = { siteName: "Awa", measurementName: "Flow" }

it.each([
  ["by its name, wherever it stands", [series("Awa", "Stage"), series("Awa", "Flow")], 1],
  ["by its site", [series("Other", "Flow"), series("Awa", "Flow")], 1],
  ["rather by its name than by its site", [series("Awa", "Stage"), series("Elsewhere", "Flow")], 1],
  ["not its quality series", [series("Awa", "Flow", "StdQualSeries"), series("Awa", "Flow", "StdSeries")], 1],
  ["not its check series", [series("Awa", "Flow", "CheckSeries"), series("Awa", "Flow")], 1],
  ["the first of equals", [series("Awa", "Flow"), series("Awa", "Flow")], 0],
  ["the only one, whatever it is called", [series("awa", "flow", "StdQualSeries")], 0]
] as const)("is found %s", (_, measurements, index) => {
  assert.strictEqual(askedSeries({ measurements }, asked), measurements[index])
})

it("is the first standard series where nothing is known of what was asked, and none in an empty answer", () => {
  const measurements = [series("Awa", "Flow", "StdQualSeries"), series("Awa", "Flow"), series("Awa", "Stage")]
  assert.strictEqual(askedSeries({ measurements }, {}), measurements[1])
  assert.isUndefined(askedSeries({ measurements: [] }, asked))
})
