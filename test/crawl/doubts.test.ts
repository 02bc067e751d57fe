/**
 * A good answer, doubtful ones, a good answer: all is as if the doubtful ones had never come, and nothing is published twice.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { TestClock } from "effect/testing"
import { formatHilltopTime } from "../../src/hilltop/Nzst.ts"
import { type Bytes, crawledWorld, htsUrl } from "./crawledWorld.ts"

const minute = 60_000
const hour = 60 * minute
const day = 24 * hour
const now = Date.parse("2026-02-20T12:00:00+12:00")
const query = `${htsUrl}?Service=Hilltop&Request=GetData&Site=Te%20Awa-a-T%C4%81ne&Measurement=Rainfall`
const month = `${query}&from=2026-02-01T00:00&to=2026-02-28T23:59:59`
const latest = `${query}&TimeInterval=P35D/now`
const sitesList = `${htsUrl}?Service=Hilltop&Request=SiteList&Location=Yes`
const measurementsList = `${htsUrl}?Service=Hilltop&Request=MeasurementList&Site=Te%20Awa-a-T%C4%81ne`
const site = "Te Awa-a-Tāne"
const details = { siteName: site, measurementName: "Rainfall", measurement: "Rainfall", item: 1, units: "mm" }

interface Row {
  readonly at: number
  readonly value: number
}
const document = (rows: ReadonlyArray<Row>, siteName = site): string =>
  `<?xml version="1.0" ?>\n<Hilltop>\n<Agency>Council</Agency>\n<Measurement SiteName="${siteName}">\n` +
  `<DataSource Name="Rainfall" NumItems="1">\n<TSType>StdSeries</TSType>\n` +
  `<ItemInfo ItemNumber="1"><ItemName>Rainfall</ItemName><Units>mm</Units></ItemInfo>\n</DataSource>\n` +
  `<Data DateFormat="Calendar" NumItems="1">\n` +
  rows.map(({ at, value }) => `<E><T>${formatHilltopTime(at)}</T><I1>${value}</I1></E>\n`).join("") +
  `</Data>\n</Measurement>\n</Hilltop>\n`
const listOfSites = (names: ReadonlyArray<string>) =>
  `<HilltopServer><Agency>Council</Agency>${names
    .map((name, n) => `<Site Name="${name}"><Easting>${1_700_000 + n}</Easting><Northing>5400000</Northing></Site>`)
    .join("")}</HilltopServer>`
const listOfMeasurements = (names: ReadonlyArray<string>, siteName = site) =>
  `<HilltopServer><Agency>Council</Agency>${names
    .map(
      (name) =>
        `<DataSource Name="${name}" Site="${siteName}"><TSType>StdSeries</TSType><From>2026-01-05T00:00:00</From>` +
        `<To>2026-02-20T11:00:00</To><Measurement Name="${name}"><RequestAs>${name}</RequestAs></Measurement></DataSource>`
    )
    .join("")}</HilltopServer>`

/** The document with one of its bytes as none of UTF-8. */
const spoilt = (text: string, at: string): Uint8Array => {
  const bytes = new TextEncoder().encode(text)
  bytes[Buffer.from(text).indexOf(at)] = 0xff
  return bytes
}
const error = "<Error>Cannot read the file</Error>"

/** What may come in place of any good answer. */
const insteadOf: Readonly<Record<string, (good: string) => Bytes | undefined>> = {
  "no connection": () => undefined,
  "an error as the root": () => error,
  "an error": () => `<HilltopServer>${error}</HilltopServer>`,
  "an exception report": () =>
    `<?xml version="1.0"?><ows:ExceptionReport><ows:Exception><ows:ExceptionText>No</ows:ExceptionText></ows:Exception></ows:ExceptionReport>`,
  "half of it": (good) => good.slice(0, good.length / 2),
  "a page": () => "<html><body>Error File Not Found</body></html>",
  nothing: () => "",
  "an agency alone": (good) =>
    `<${good.includes("<Hilltop>") ? "Hilltop" : "HilltopServer"}><Agency>Council</Agency></${good.includes("<Hilltop>") ? "Hilltop" : "HilltopServer"}>`
}
const dataInstead: typeof insteadOf = {
  ...insteadOf,
  "no rows": () => document([]),
  "an error beside the data": (good) => good.replace("</Measurement>", `</Measurement>${error}`),
  "an error in a measurement": (good) => good.replace("<DataSource", `${error}<DataSource`),
  "an error in the data": (good) => good.replace("</Data>", `${error}</Data>`),
  "another site": (good) => good.replace(site, "Somewhere Else").replaceAll("<I1>", "<I1>9"),
  "a list": () => listOfSites([site]),
  "a byte of a value that is no text": (good) => spoilt(good, "</I1>"),
  "a byte of a time that is no text": (good) => spoilt(good, "2026-"),
  "a byte of the units that is no text": (good) => spoilt(good, "mm<"),
  "another item": (good) =>
    good
      .replace("</ItemInfo>", `</ItemInfo><ItemInfo ItemNumber="3"/>`)
      .replaceAll('ItemNumber="1"', 'ItemNumber="2"')
      .replaceAll("I1>", "I2>")
}
const kindsOfData = Object.keys(dataInstead)

const Case = Schema.Struct({
  url: Schema.Literals([month, latest]),
  rows: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 40 })),
  change: Schema.Literals(["none", "more", "corrected", "removed"]),
  doubts: Schema.Array(Schema.Literals(kindsOfData)).check(Schema.isMinLength(1), Schema.isMaxLength(5)),
  pause: Schema.Literals([1, 5, 20, 50])
})
type Case = typeof Case.Type

const firstRows = (count: number): ReadonlyArray<Row> =>
  Array.from({ length: count }, (_, i) => ({ at: now - (count - i) * hour, value: i % 7 }))

const changed = (rows: ReadonlyArray<Row>, change: Case["change"]): ReadonlyArray<Row> => {
  const half = Math.floor(rows.length / 2)
  if (change === "more") return [...rows, { at: now, value: 1 }]
  if (change === "corrected") return rows.with(half, { ...rows[half]!, value: 99 })
  return change === "removed" && rows.length > 1 ? rows.toSpliced(half, 1) : rows
}

describe("a good answer, doubtful ones, a good answer", () => {
  it.effect.prop(
    "leave the observations as they are without the doubtful ones, and nothing is published twice",
    { scenario: Case },
    ({ scenario: { change, doubts, pause, rows, url } }) =>
      Effect.gen(function* () {
        const before = firstRows(rows)
        const good = [document(before), document(changed(before, change))] as const
        const end = now + (doubts.length + 1) * pause * minute
        const sequence = Effect.fnUntraced(function* (between: ReadonlyArray<string>) {
          yield* TestClock.setTime(now)
          const world = yield* crawledWorld
          yield* world.add(url === month ? "MEASUREMENT_DATA" : "MEASUREMENT_DATA_LATEST", url, details)
          const published = [...(yield* world.run(url, good[0]))]
          for (const kind of between) {
            yield* TestClock.adjust(pause * minute)
            const at = now + pause * minute * (between.indexOf(kind) + 1)
            assert.deepStrictEqual(yield* world.run(url, dataInstead[kind]!(good[0])), [], kind)
            assert.isAbove(world.task(url).attempts, 0, kind)
            assert.isAbove(world.task(url).nextFetchAt, at, kind)
          }
          yield* TestClock.setTime(end)
          published.push(...(yield* world.run(url, good[1])))
          assert.strictEqual(world.task(url).attempts, 0)
          return {
            published,
            stored: yield* world.stored(site, "Rainfall"),
            digest: world.task(url).previousDigest,
            hash: world.task(url).previousHash
          }
        })
        const with_ = yield* Effect.scoped(sequence(doubts))
        assert.deepStrictEqual(with_, yield* Effect.scoped(sequence([])))
        assert.strictEqual(new Set(with_.published).size, with_.published.length)
        assert.isAtLeast(with_.stored?.count ?? 0, 1)
      }),
    { arbitrary: { runs: 120 } }
  )

  const names = Array.from({ length: 9 }, (_, n) => `Awā ${n}`)
  const lists: ReadonlyArray<readonly [string, "SITES_LIST" | "MEASUREMENTS_LIST", string, string, typeof insteadOf]> =
    [
      [
        "sites",
        "SITES_LIST",
        sitesList,
        listOfSites(names),
        {
          ...insteadOf,
          "the smaller part": () => listOfSites(names.slice(0, 4)),
          "those of another server": () => listOfSites(names.map((name) => `Other ${name}`)),
          "a list of measurements": () => listOfMeasurements(["Rainfall"]),
          "a byte of a name that is no text": (good) => spoilt(good, "wā 3")
        }
      ],
      [
        "measurements",
        "MEASUREMENTS_LIST",
        measurementsList,
        listOfMeasurements(["Rainfall", "Stage", "Wind"]),
        {
          ...insteadOf,
          "the smaller part": () => listOfMeasurements(["Wind"]),
          "that of another site": () => listOfMeasurements(["Rainfall", "Stage", "Wind"], "Somewhere Else"),
          "a list of sites": () => listOfSites([site]),
          "a byte of a name that is no text": (good) => spoilt(good, "tage")
        }
      ]
    ]
  for (const [what, type, url, good, instead] of lists) {
    for (const [kind, doubtful] of Object.entries(instead)) {
      it.effect(`leave the list of ${what} as it was: ${kind}`, () =>
        Effect.gen(function* () {
          yield* TestClock.setTime(now)
          const world = yield* crawledWorld
          yield* world.add(type, url, type === "SITES_LIST" ? {} : { siteName: site })
          assert.deepStrictEqual(yield* world.run(url, good), [good])
          const [planned, digest] = [world.tasks.size, world.task(url).previousDigest]
          for (let n = 1; n <= 3; n++) {
            yield* TestClock.adjust("10 minutes")
            assert.deepStrictEqual(yield* world.run(url, doubtful(good)), [])
            assert.isAbove(world.task(url).attempts, 0)
            // An error document is asked again after half an hour, and twice that after each more.
            assert.isAtMost(world.task(url).nextFetchAt, now + n * 10 * minute + 2.4 * hour)
          }
          assert.deepStrictEqual(yield* world.run(url, good), [])
          assert.deepInclude(world.task(url), { attempts: 0, previousDigest: digest })
          assert.strictEqual(world.tasks.size, planned)
        })
      )
    }
  }
})

describe("a doubt", () => {
  /** Asks as often as it is asked for again, with this answer, until it is believed; how long that took. */
  const believedAfter = Effect.fnUntraced(function* (url: string, rows: number, answer: string) {
    yield* TestClock.setTime(now)
    const world = yield* crawledWorld
    yield* world.add("MEASUREMENT_DATA_LATEST", url, details)
    yield* world.run(url, document(firstRows(rows)))
    for (let time = now + minute; ; time = Math.max(time + minute, world.task(url).nextFetchAt)) {
      yield* TestClock.setTime(time)
      const published = yield* world.run(url, answer)
      const run = world.task(url).history.at(-1)!
      if (run.result === "SUCCESS") return { after: time - now, published, runs: world.task(url).history.length }
      assert.match(run.detail ?? "", /doubtful: no data, where \d+ rows were known/)
      assert.isAtMost(world.task(url).nextFetchAt, time + hour)
    }
  })

  it.effect(
    "is believed when it was repeated, for the longer the more was known, and asked within the hour until then",
    () =>
      Effect.gen(function* () {
        const short = yield* believedAfter(latest, 3, document([]))
        assert.isTrue(short.after >= 6 * hour && short.after <= 8 * hour, `${short.after / hour}`)
        assert.deepStrictEqual(short.published, [document([])])
        const long = yield* believedAfter(latest, 30, document([]))
        assert.isTrue(long.after >= 30 * hour && long.after <= 32 * hour, `${long.after / hour}`)
      })
  )

  it.effect("is none where nothing was known, or where all that was known is older than what was asked for", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(now)
      const world = yield* crawledWorld
      yield* world.add("MEASUREMENT_DATA_LATEST", latest, details)
      yield* world.run(latest, document([]))
      assert.strictEqual(world.task(latest).history.at(-1)?.result, "SUCCESS")
      yield* world.run(latest, document(firstRows(3)))
      yield* TestClock.adjust("36 days")
      yield* world.run(latest, document([]))
      assert.deepInclude(world.task(latest), { attempts: 0 })
      // A doubt is asked again within the hour.
      assert.isAbove(world.task(latest).nextFetchAt, now + 36 * day + hour)
    })
  )

  it.effect("of bytes that are no text is believed when they come again for six hours, and then is none any more", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(now)
      const world = yield* crawledWorld
      yield* world.add("SITES_LIST", sitesList)
      yield* world.run(sitesList, listOfSites(["Awa", "Te Awā"]))
      const results: Array<string | undefined> = []
      for (const names of [
        ["Awa", "Te Awā", "New"],
        ["Awa", "Te Awā", "New"],
        ["Awa", "Te Awā", "New"],
        ["Awa", "Te Awā", "New", "Newer"]
      ]) {
        yield* TestClock.adjust("3 hours")
        yield* world.run(sitesList, spoilt(listOfSites(names), 'wa"'))
        results.push(world.task(sitesList).history.at(-1)?.result)
      }
      assert.deepStrictEqual(results, ["PARSE_ERROR", "PARSE_ERROR", "SUCCESS", "SUCCESS"])
    })
  )

  it.effect("of a list is believed in the end, and what is new in it is asked for then", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(now)
      const world = yield* crawledWorld
      yield* world.add("SITES_LIST", sitesList)
      yield* world.run(sitesList, listOfSites(["Awa", "Te Awa", "Wai"]))
      const other = listOfSites(["Roto"])
      for (let n = 0; n < 2; n++) {
        yield* world.run(sitesList, other)
        assert.strictEqual(world.tasks.size, 4)
        yield* TestClock.adjust("4 hours")
      }
      assert.deepStrictEqual(yield* world.run(sitesList, other), [other])
      assert.strictEqual(world.tasks.size, 5)
    })
  )
})
