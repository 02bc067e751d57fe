/** Of several series in an answer: the one of the right name, at the right site, and not its quality series. */
import { assert, it } from "@effect/vitest"
import { askedSeries, otherSites } from "../../src/hilltop/askedSeries.ts"
import { DataColumns } from "../../src/hilltop/DataColumns.ts"
import type { DataSeries } from "../../src/hilltop/HilltopDocument.ts"

const series = (siteName: string, name: string, tsType?: string): DataSeries => ({
  siteName,
  dataSource: { name, ...(tsType === undefined ? {} : { tsType }), items: [] },
  item: 1,
  rows: DataColumns.of([]),
  gapsBefore: [],
  skipped: { unreadableTime: 0, noValue: 0, asterisk: 0, notANumber: 0 },
  divisorApplied: true
})
const asked = { siteName: "Awa", measurementName: "Flow" }

it.each([
  ["by its name, wherever it stands", [series("Awa", "Stage"), series("Awa", "Flow")], 1],
  ["by its site", [series("Other", "Flow"), series("Awa", "Flow")], 1],
  ["rather by its site than by its name", [series("Elsewhere", "Flow"), series("Awa", "Stage")], 1],
  ["by its site in another form", [series("Elsewhere", "Flow"), series(" awa", "Stage")], 1],
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

it.each([
  [[], "Awa"],
  [["Awa"], undefined],
  [["Elsewhere", "Awa"], "Awa"],
  [["Awa \u0304"], "Awa \u0304"],
  [[" Awa  Tāne"], "Awa Ta\u0304ne "],
  [["AWA"], "Awa"],
  [["Awa-a-T\uFFFDne"], "Awa-a-Tāne"],
  [["Awa-a-T\uFFFD"], "Awa-a-Tāne"]
] as const)("a document about %j is about the asked site %j", (found, asked) => {
  assert.isUndefined(otherSites(found, asked))
})

it.each([
  [["Elsewhere"], "Awa", 'an answer about "Elsewhere" where "Awa" was asked for'],
  [["Elsewhere", "Nowhere"], "Awa", 'an answer about "Elsewhere" where "Awa" was asked for'],
  [["Awa at Bridge"], "Awa", 'an answer about "Awa at Bridge" where "Awa" was asked for'],
  [[""], "Awa", 'an answer about "" where "Awa" was asked for'],
  [["\uFFFD"], "Awa", 'an answer about "\uFFFD" where "Awa" was asked for'],
  [["A\uFFFDB\uFFFDne"], "Awa-a-Tāne", 'an answer about "A\uFFFDB\uFFFDne" where "Awa-a-Tāne" was asked for'],
  [["Aw\uFFFDwa"], "Awa", 'an answer about "Aw\uFFFDwa" where "Awa" was asked for']
] as const)("a document about %j is not about %j", (found, asked, message) => {
  assert.strictEqual(otherSites(found, asked), message)
})
