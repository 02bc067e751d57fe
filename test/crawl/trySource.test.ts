/**
 * A source that is tried before it is saved.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Ref } from "effect"
import { TestClock } from "effect/testing"
import { SaxesXmlScanner } from "../../layers/hilltop/SaxesXmlScanner.ts"
import { TrialBudget, type Turn } from "../../src/crawl/TrialBudget.ts"
import { sentenceOf, trySource } from "../../src/crawl/trySource.ts"
import { HilltopClient } from "../../src/hilltop/HilltopClient.ts"
import { HtsUrl, sitesListUrl, sitesWithMeasurementUrl } from "../../src/hilltop/HilltopUrl.ts"

const address = HtsUrl.make("https://hilltop.example.nz/data.hts?key=verysecretkey")
const list = (names: ReadonlyArray<string>) =>
  `<HilltopServer><Agency>Test</Agency>${names
    .map((name) => `<Site Name="${name}"><Easting>1748735</Easting><Northing>5427916</Northing></Site>`)
    .join("")}</HilltopServer>`
const sites = ["Awa", "Tui", "Weir", "Weir"]

const tried = (
  documents: Readonly<Record<string, string>>,
  measurementNames: ReadonlyArray<string>,
  turn: Effect.Effect<Turn> = Effect.succeed({ _tag: "taken" })
) =>
  Effect.gen(function* () {
    const answers = yield* Ref.make<ReadonlyMap<string, string>>(new Map(Object.entries(documents)))
    return yield* trySource(address, { measurementNames, excludedSitesNames: ["Tui"] }).pipe(
      Effect.provide(
        Layer.mergeAll(
          HilltopClient.layerMemory(answers),
          Layer.succeed(TrialBudget, TrialBudget.of({ turn: () => turn })),
          SaxesXmlScanner
        )
      )
    )
  })

describe("a source that is tried", () => {
  it.effect("is told as many excluded sites as the crawl would leave out", () =>
    Effect.gen(function* () {
      const { excluded } = yield* tried({ [sitesListUrl(address)]: list(["TUI", "Tui ", "Tui"]) }, ["Rainfall"])
      assert.strictEqual(excluded, 1)
    })
  )

  it.effect("is told with its sites and those that have what is wanted, in one line", () =>
    Effect.gen(function* () {
      const trial = yield* tried(
        {
          [sitesListUrl(address)]: list(sites),
          [sitesWithMeasurementUrl(address, "Rainfall")]: list(["Awa", "Weir"]),
          [sitesWithMeasurementUrl(address, "Stage")]:
            "<HilltopServer><Error>No data verysecretkey</Error></HilltopServer>"
        },
        ["Rainfall", "Stage", "Flow", "Turbidity"]
      )
      assert.strictEqual(sentenceOf(trial), "answers, 3 sites, 2 have Rainfall")
      assert.deepInclude(trial, { sites: 3, located: 3, excluded: 1, requests: 4, problem: undefined })
      const [, stage, flow, turbidity] = trial.measurements
      assert.strictEqual(stage!.problem, "the server says: No data [secret]")
      assert.strictEqual(flow!.problem, "no connection")
      assert.strictEqual(turbidity!.problem, "not tried: the first 3 are")
    })
  )

  it.effect("is told with how many of its sites say where they are", () =>
    Effect.gen(function* () {
      const lost = `<Site Name="Lost"></Site><Site Name="Adrift"><Easting>x</Easting><Northing>1</Northing></Site>`
      const document = list(["Awa", "Tui"]).replace("</Agency>", `$&${lost}`)
      const trial = yield* tried({ [sitesListUrl(address)]: document }, ["Rainfall"])
      assert.deepInclude(trial, { sites: 4, located: 2 })
    })
  )

  it.effect("says why it is none that can be crawled, and asks no more then", () =>
    Effect.gen(function* () {
      const none = yield* tried({}, ["Rainfall"])
      assert.strictEqual(sentenceOf(none), "cannot be used: no connection")
      assert.strictEqual(none.requests, 1)
      const html = yield* tried({ [sitesListUrl(address)]: "<html><body>Hello</body></html>" }, ["Rainfall"])
      assert.strictEqual(html.problem, "an HTML page where XML was expected")
    })
  )

  it.effect("leaves alone whom the crawl leaves alone, and waits for its turn no longer than 20 s", () =>
    Effect.gen(function* () {
      const alone = yield* tried({}, ["Rainfall"], Effect.succeed({ _tag: "left_alone", until: 0 }))
      assert.deepStrictEqual(
        [alone.problem, alone.requests],
        ["the server is left alone until 1970-01-01T00:00:00.000Z", 0]
      )
      const waiting = yield* Effect.forkChild(tried({}, ["Rainfall"], Effect.succeed({ _tag: "wait" })))
      yield* TestClock.adjust("21 seconds")
      const { problem, requests } = yield* Fiber.join(waiting)
      assert.deepStrictEqual([problem, requests], ["no answer within 20 s", 0])
    })
  )
})
