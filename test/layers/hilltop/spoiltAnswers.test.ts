/**
 * Answers with small damage, from the socket to what is read of them: what can be read without guessing is read as if it were
 * whole, and what cannot is refused or left out. Each fault of the simulator is held against the same answer without it.
 */
import { assert, layer } from "@effect/vitest"
import { ConfigProvider, Effect, Layer } from "effect"
import { SaxesXmlScanner } from "../../../layers/hilltop/SaxesXmlScanner.ts"
import { UndiciHilltopClient } from "../../../layers/hilltop/UndiciHilltopClient.ts"
import { HilltopSimulator } from "../../../scripts/simulators/HilltopSimulator.ts"
import type { FaultSetting } from "../../../scripts/simulators/hilltop/HilltopFaults.ts"
import type { SpoiltKind } from "../../../scripts/simulators/hilltop/SpoiltText.ts"
import { HilltopClient } from "../../../src/hilltop/HilltopClient.ts"
import { RedirectBudget } from "../../../src/hilltop/RedirectBudget.ts"
import { readText } from "../../../src/hilltop/HilltopText.ts"
import { parseData, parseMeasurementList, parseSiteList } from "../../../src/hilltop/HilltopXml.ts"
import { otherSites } from "../../../src/hilltop/askedSeries.ts"

const client = UndiciHilltopClient.pipe(
  Layer.provide(RedirectBudget.layerUnlimited),
  Layer.provide(ConfigProvider.layer(ConfigProvider.fromEnvRecord({ CRAWL_ALLOW_PRIVATE: "true" })))
)
const simulator = HilltopSimulator.layer({ sites: 24, start: "2026-10-20T09:00:00", speed: 0, historyDays: 200 })

layer(Layer.mergeAll(client, simulator, SaxesXmlScanner), { excludeTestServices: true })("a spoilt answer", (it) => {
  /** The text of an answer while these faults are in force. */
  const answer = Effect.fnUntraced(function* (
    query: Readonly<Record<string, string>>,
    faults: ReadonlyArray<FaultSetting> = []
  ) {
    const world = yield* HilltopSimulator
    yield* world.faults.set(faults)
    const parameters = Object.entries({ Service: "Hilltop", ...query })
      .map(([key, value]) => `${key}=${encodeURIComponent(value)}`)
      .join("&")
    const response = HilltopClient.use(({ fetch }) => fetch(`${world.sources[0]!.htsUrl}?${parameters}`))
    const { bytes } = yield* Effect.ensuring(response, Effect.orDie(world.faults.set([])))
    return readText(Uint8Array.from(bytes))
  }, Effect.scoped)

  const siteOf = Effect.fnUntraced(function* (dataType: string) {
    const { sites, sources } = yield* HilltopSimulator
    const isWanted = (series: { readonly dataType: string; readonly virtual: boolean }) =>
      series.dataType === dataType && !series.virtual
    const site = sites(sources[0]!.councilId).find((each) => each.alive && each.series.some(isWanted))!
    return { site, series: site.series.find(isWanted)! }
  })
  const dataOf = Effect.fnUntraced(function* (dataType: string, faults: ReadonlyArray<FaultSetting> = []) {
    const { series, site } = yield* siteOf(dataType)
    const period = { from: "2026-08-01T00:00", to: "2026-09-30T23:59:59", ShowQuality: "Yes" }
    return yield* answer({ Request: "GetData", Site: site.name, Measurement: series.requestAs, ...period }, faults)
  })

  it.effect.each(["before", "behind", "ampersand", "control", "stray-byte"] satisfies ReadonlyArray<SpoiltKind>)(
    "keeps all its rows and sites: %s",
    (kind) =>
      Effect.gen(function* () {
        const [whole, spoilt] = [
          yield* dataOf("SimpleTimeSeries"),
          yield* dataOf("SimpleTimeSeries", [{ fault: "spoilt-text", kind }])
        ]
        assert.notStrictEqual(spoilt.text, whole.text)
        assert.strictEqual(spoilt.spoilt, kind === "stray-byte" ? 1 : 0)
        const { measurements } = yield* parseData(whole.text)
        assert.isAbove(measurements[0]!.rows.length, 1_000)
        assert.deepStrictEqual((yield* parseData(spoilt.text)).measurements, measurements)

        const list = { Request: "SiteList", Location: "Yes" }
        const sites = yield* parseSiteList((yield* answer(list)).text)
        assert.deepStrictEqual(
          (yield* parseSiteList((yield* answer(list, [{ fault: "spoilt-text", kind }])).text)).sites,
          sites.sites
        )
      })
  )

  it.effect("with a name that was cut loses that name and no other", () =>
    Effect.gen(function* () {
      const list = { Request: "SiteList" }
      const whole = yield* parseSiteList((yield* answer(list)).text)
      const cut = yield* answer(list, [{ fault: "spoilt-text", kind: "cut-name" }])
      const read = yield* parseSiteList(cut.text)
      assert.deepStrictEqual([cut.spoilt, read.spoilt], [1, 1])
      assert.deepStrictEqual(read.sites, whole.sites.slice(1))
    })
  )

  it.effect("with an error among its data is an error", () =>
    Effect.gen(function* () {
      const within: ReadonlyArray<FaultSetting> = [{ fault: "spoilt-text", kind: "error-within" }]
      const { site } = yield* siteOf("SimpleTimeSeries")
      const { text: data } = yield* dataOf("SimpleTimeSeries", within)
      const { text: list } = yield* answer({ Request: "MeasurementList", Site: site.name }, within)
      for (const parsed of [Effect.asVoid(parseData(data)), Effect.asVoid(parseMeasurementList(list))]) {
        const error = yield* Effect.flip(parsed)
        assert.deepInclude(error, { _tag: "HilltopErrorDocument", message: "The archive is locked" })
      }
    })
  )

  it.effect("about another site is none", () =>
    Effect.gen(function* () {
      const { site } = yield* siteOf("SimpleTimeSeries")
      const { measurements } = yield* parseData((yield* dataOf("SimpleTimeSeries", [{ fault: "other-site" }])).text)
      const found = measurements.map(({ siteName }) => siteName)
      assert.match(otherSites(found, site.name) ?? "", /^an answer about ".* \(Elsewhere\)" where/)
      const list = yield* answer({ Request: "MeasurementList", Site: site.name }, [{ fault: "other-site" }])
      const { dataSources } = yield* parseMeasurementList(list.text)
      assert.isTrue(dataSources.every((source) => source.site === `${site.name} (Elsewhere)`))
    })
  )

  it.effect("with day numbers for times has no row, and none of 1940", () =>
    Effect.gen(function* () {
      const { measurements } = yield* parseData((yield* dataOf("SimpleTimeSeries", [{ fault: "day-numbers" }])).text)
      assert.strictEqual(measurements[0]!.rows.length, 0)
      assert.isAbove(measurements[0]!.skipped.unreadableTime, 1_000)
    })
  )

  it.effect("of a laboratory says the same beside its values as in them", () =>
    Effect.gen(function* () {
      const { sites, sources } = yield* HilltopSimulator
      const period = { from: "2026-04-10T00:00", to: "2026-09-30T23:59:59" }
      let censored = 0
      for (const { name, series } of sites(sources[0]!.councilId)) {
        for (const { dataType, requestAs, virtual } of series) {
          if (dataType !== "WQData" || virtual) continue
          const query = { Request: "GetData", Site: name, Measurement: requestAs, ...period }
          const [whole] = (yield* parseData((yield* answer(query)).text)).measurements
          const { text } = yield* answer(query, [{ fault: "beside-values" }])
          assert.deepStrictEqual((yield* parseData(text, { item: 1 })).measurements[0]?.rows, whole?.rows)
          assert.notInclude(text, "<Value>")
          censored += [...(whole?.rows ?? [])].filter(({ qualifier }) => qualifier !== undefined).length
        }
      }
      assert.isAbove(censored, 3)
    })
  )
})
