/**
 * What the simulated Hilltop servers say when all is well: the layout of lists, names, requests, times, values, samples.
 * Documents are read with regular expressions and a strict parser, so that layout counts too.
 */
import { assert, describe, it, layer } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, Scope } from "effect"
import { readFileSync, readdirSync } from "node:fs"
import { gunzipSync } from "node:zlib"
import { HilltopSimulator } from "../../scripts/simulators/HilltopSimulator.ts"
import {
  ask,
  data,
  encode,
  fetch,
  month,
  rowsOf,
  simulated,
  siteWith,
  still,
  unescape,
  wellFormed
} from "./askHilltop.ts"

layer(simulated(), { excludeTestServices: true })("Hilltop simulator, time standing still", (it) => {
  describe("lists", () => {
    it.effect("writes a SiteList in the layout of real servers, integers on the old grid", () =>
      Effect.gen(function* () {
        const xml = yield* ask(901, { Request: "SiteList", Location: "Yes" })
        assert.match(
          xml,
          /^<\?xml version="1\.0" \?>\n<HilltopServer>\n<Agency>[^\n]+<\/Agency>\n<Version>2303\.2\.2\.47<\/Version>\n<Projection>NZMG<\/Projection>\n(<Site Name="[^"\n]+">\n(<Easting>\d{7}<\/Easting><Northing>\d{7}<\/Northing>\n)?<\/Site>\n)+<CRC>\d+<\/CRC>\n<\/HilltopServer>\n$/
        )
      })
    )

    it.effect("has three councils with a grid each of its own, or with latitudes and longitudes only", () =>
      Effect.gen(function* () {
        const lists = yield* Effect.forEach([901, 902, 903], (id) => ask(id, { Request: "SiteList", Location: "Yes" }))
        assert.deepStrictEqual(
          lists.map((xml) => /<Projection>(.*)<\/Projection>/.exec(xml)?.[1]),
          ["NZMG", "NZTM2000", undefined]
        )
        assert.deepStrictEqual(
          lists.map((xml) => xml.includes("<Latitude>")),
          [false, false, true]
        )
        assert.strictEqual(new Set(lists.map((xml) => /<Version>(.*)<\/Version>/.exec(xml)?.[1])).size, 3)
        assert.isTrue(lists.every(wellFormed))
      })
    )

    it.effect("lists one site twice, some without a location, and one that answers not at all", () =>
      Effect.gen(function* () {
        const { sites } = yield* HilltopSimulator
        const xml = yield* ask(902, { Request: "SiteList", Location: "Yes" })
        const names = [...xml.matchAll(/<Site Name="(.*)">/g)].map(([, name = ""]) => unescape(name))
        assert.strictEqual(names.length, 25)
        assert.strictEqual(new Set(names).size, 24)
        assert.include(xml, '">\n</Site>')
        const unlisted = sites(902).find((site) => site.listed === 0)?.name ?? ""
        assert.notInclude(names, unlisted)
        assert.include(yield* ask(902, { Request: "MeasurementList", Site: unlisted }), "<DataSource ")
      })
    )

    it.effect("answers for every name it lists, whatever characters it has", () =>
      Effect.gen(function* () {
        const { sites } = yield* HilltopSimulator
        const all = [901, 902, 903].flatMap((id) => sites(id))
        for (const character of ["'", "@", "/", "&", "(", "[", "%", "ā", "#", '"', "+", "<", "=", ";", "?"]) {
          assert.isTrue(
            all.some((site) => site.name.includes(character)),
            `no name with ${character}`
          )
        }
        assert.isTrue(all.some((site) => /^\d+$/.test(site.name)))
        yield* Effect.forEach(
          all,
          (site) =>
            Effect.gen(function* () {
              const xml = yield* ask(site.councilId, { Request: "MeasurementList", Site: site.name })
              assert.isTrue(wellFormed(xml))
              const [, name = ""] = /<DataSource Name="[^"]+" Site="([^"]*)" >/.exec(xml) ?? []
              assert.strictEqual(unescape(name), site.name)
              const count = xml.split("<DataSource ").length - 1
              assert.isTrue(count >= 5 && count <= 20, `${count} DataSources at ${site.name}`)
            }),
          { concurrency: 4 }
        )
      })
    )

    it.effect("gives a RequestAs with brackets exactly where the bare name is ambiguous, and each answers", () =>
      Effect.gen(function* () {
        const site = yield* siteWith(901, "river")
        const names = site.series.map((one) => one.requestAs)
        assert.includeMembers(names, ["Stage", "Flow", "Rainfall [Rainfall]", "Rainfall [SCADA Rainfall]"])
        assert.include(names, "Stage [Gauging Results]")
        assert.strictEqual(new Set(names).size, names.length)
        const ambiguous = yield* data(901, site.name, "Rainfall", month)
        assert.strictEqual(
          ambiguous,
          "<HilltopServer><Error>There is more than one data source with the Rainfall measurement and no default is assigned</Error></HilltopServer>"
        )
        const bodies = yield* Effect.forEach(names, (name) => data(901, site.name, name))
        assert.isTrue(bodies.every((xml) => xml.includes("<Measurement SiteName=") && wellFormed(xml)))
      })
    )

    it.effect("keeps dead sites in the list, with a To that lies far back", () =>
      Effect.gen(function* () {
        const { sites } = yield* HilltopSimulator
        const dead = [901, 902, 903].flatMap((id) => sites(id)).filter((site) => !site.alive && site.listed > 0)
        assert.isAbove(dead.length, 3)
        for (const site of dead) {
          const xml = yield* ask(site.councilId, { Request: "MeasurementList", Site: site.name })
          const ends = [...xml.matchAll(/<To>(.*)<\/To>/g)].map(([, end = ""]) => end)
          assert.isTrue(ends.every((end) => end < "2026-09-11"))
        }
      })
    )

    it.effect("answers collections, names and site information", () =>
      Effect.gen(function* () {
        const site = yield* siteWith(901, "river")
        const bodies = yield* Effect.forEach(
          [
            { Request: "CollectionList" },
            { Request: "MeasurementList" },
            { Request: "MeasurementList", Units: "Yes" },
            { Request: "SiteInfo", Site: site.name }
          ],
          (query) => ask(901, query)
        )
        assert.isTrue(bodies.every((xml) => xml.startsWith("<?xml") && wellFormed(xml)))
        const [collections = "", names = "", units = ""] = bodies
        assert.include(collections, '<Collection Name="Groundwater &amp; Bores">')
        assert.include(names, '<Measurement Name="Stage" />')
        assert.include(units, '<Measurement Name="Stage"><Units>mm</Units></Measurement>')
      })
    )
  })

  describe("requests", () => {
    it.effect("reads keys in any case and values exactly", () =>
      Effect.gen(function* () {
        const { sources } = yield* HilltopSimulator
        const url = sources[0]?.htsUrl
        const usual = yield* fetch(`${url}?Service=Hilltop&Request=SiteList`)
        const odd = yield* fetch(`${url}?sErViCe=Hilltop&REQUEST=SiteList`)
        assert.deepStrictEqual(odd.body, usual.body)
        const wrong = yield* fetch(`${url}?Service=hilltop&Request=SiteList`)
        assert.include(wrong.body.toString(), "<Error>Unrecognised request</Error>")
      })
    )

    it.effect("takes a + for a plus, so that a site asked for with it is unknown", () =>
      Effect.gen(function* () {
        const site = yield* siteWith(901, "river")
        const { sources } = yield* HilltopSimulator
        const plus = site.name.replaceAll(" ", "+")
        const missing = yield* fetch(
          `${sources[0]?.htsUrl}?Service=Hilltop&Request=GetData&Site=${plus}&Measurement=Stage`
        )
        assert.strictEqual(missing.status, 200)
        assert.strictEqual(
          missing.body.toString(),
          `<HilltopServer><Error>No data for site ${plus}</Error></HilltopServer>`
        )
        const list = yield* fetch(`${sources[1]?.htsUrl}?Service=Hilltop&Request=MeasurementList&Site=a+b`)
        assert.notInclude(list.body.toString(), "<DataSource")
      })
    )

    it.effect("answers a web page without a query, and 404 at what is no .hts file", () =>
      Effect.gen(function* () {
        const { origins, sources } = yield* HilltopSimulator
        const page = yield* fetch(sources[0]?.htsUrl ?? "")
        assert.strictEqual(page.headers["content-type"], "text/html")
        assert.isFalse(wellFormed(page.body.toString()))
        assert.strictEqual((yield* fetch(`${origins[0]}/data.aspx?Service=Hilltop`)).status, 404)
        const doubled = yield* fetch(`${origins[0]}/Hilltop//data.hts?Service=Hilltop&Request=SiteList`)
        assert.include(doubled.body.toString(), "<Site Name=")
      })
    )

    it.effect("sends text/xml without a charset, gzip only to who asks for it", () =>
      Effect.gen(function* () {
        const { sources } = yield* HilltopSimulator
        const url = `${sources[0]?.htsUrl}?Service=Hilltop&Request=SiteList`
        const plain = yield* fetch(url)
        const zipped = yield* fetch(url, { "accept-encoding": "gzip, deflate" })
        assert.strictEqual(plain.headers["content-type"], "text/xml")
        assert.isUndefined(plain.headers["content-encoding"])
        assert.strictEqual(zipped.headers["content-encoding"], "gzip")
        assert.deepStrictEqual(gunzipSync(zipped.body), plain.body)
      })
    )
  })

  describe("times", () => {
    it.effect("gives the most recent value where no time is asked for", () =>
      Effect.gen(function* () {
        const site = yield* siteWith(901, "river")
        const rows = rowsOf(yield* data(901, site.name, "Rainfall [SCADA Rainfall]"))
        assert.strictEqual(rows.length, 1)
        assert.match(rows[0]?.[0] ?? "", /^2026-10-20T08:[45]\d:00$/)
      })
    )

    it.effect("reads a date in every form that clients send", () =>
      Effect.gen(function* () {
        const site = yield* siteWith(901, "river")
        const days = (more: Readonly<Record<string, string>>) =>
          Effect.map(data(901, site.name, "Water Temperature", more), rowsOf)
        const expected = yield* days({ From: "2026-09-03T00:00:00", To: "2026-09-05T00:00:00" })
        assert.strictEqual(expected.at(0)?.[0], "2026-09-03T00:00:00")
        assert.strictEqual(expected.at(-1)?.[0], "2026-09-05T00:00:00")
        for (const more of [
          { from: "2026-09-03", to: "2026-09-05" },
          { From: "3/9/2026", To: "05/09/2026 00:00:00" },
          { From: "20260903", To: "5-Sep-2026 00:00:00" },
          { From: "2026-09-02T12:00:00Z", To: "2026-09-05T01:00:00+13:00" },
          { TimeInterval: "2026-09-03/2026-09-05" },
          { TimeInterval: "2026-09-03T00:00:00/P2D" },
          { TimeInterval: "P2D/2026-09-05" },
          { TimeInterval: "3/9/2026/5/9/2026" },
          { TimeInterval: "2026-09-02T13:00/2026-09-05", Alignment: "00:00" }
        ]) {
          assert.deepStrictEqual(yield* days(more), expected, JSON.stringify(more))
        }
      })
    )

    it.effect("counts a lone duration back from the end of the data, and one with now from now", () =>
      Effect.gen(function* () {
        const { sites } = yield* HilltopSimulator
        const dead = sites(901).find(
          (site) => !site.alive && site.series.some((one) => one.requestAs === "Battery Voltage")
        )
        const name = dead?.name ?? ""
        const lastDay = rowsOf(yield* data(901, name, "Battery Voltage", { TimeInterval: "P1D" }))
        assert.isAbove(lastDay.length, 10)
        assert.deepStrictEqual(rowsOf(yield* data(901, name, "Battery Voltage", { TimeInterval: "P1D/now" })), [])
        const all = rowsOf(yield* data(901, name, "Battery Voltage", { TimeInterval: "Data Start/Data End" }))
        assert.deepStrictEqual(all.at(-1), lastDay.at(-1))
        assert.deepStrictEqual(all, rowsOf(yield* data(901, name, "Battery Voltage", { From: "1800-01-01" })))
      })
    )

    it.effect("has twenty-four hours on both days on which New Zealand's clocks change", () =>
      Effect.gen(function* () {
        const { expected, sites } = yield* HilltopSimulator
        const gauges = [901, 902, 903].flatMap((id) => sites(id)).filter((site) => site.alive && site.kind === "rain")
        for (const date of ["2026-04-05", "2026-09-27"]) {
          const days = yield* Effect.forEach(gauges, (site) =>
            expected(site.name, "Rainfall [SCADA Rainfall]", date, `${date}T23:59:59`)
          )
          // Some gauge has no gap on that day.
          const whole = days.find((rows) => rows.length === 288)
          assert.isDefined(whole, date)
          assert.isTrue(whole?.every((row, index) => row.at - (whole[0]?.at ?? 0) === index * 300_000))
          assert.isTrue(whole?.every((row) => row.observedAt.endsWith("+12:00")))
        }
      })
    )
  })

  describe("values", () => {
    it.effect("serves exactly the rows that `expected` tells of, for every series of every kind of site", () =>
      Effect.gen(function* () {
        const { expected, sites } = yield* HilltopSimulator
        const chosen = [901, 902, 903].flatMap((id) => sites(id).slice(0, 8))
        yield* Effect.forEach(chosen, (site) =>
          Effect.forEach(
            site.series.filter((one) => one.item === 1 && one.dataType !== "WQSample"),
            (one) =>
              Effect.gen(function* () {
                const served = rowsOf(yield* data(site.councilId, site.name, one.requestAs, month))
                const held = yield* expected(site.name, one.requestAs, month.From, month.To)
                assert.deepStrictEqual(
                  served.map(([time, value]) => [`${time}+12:00`, unescape(value)]),
                  held.map((row) => [row.observedAt, row.value])
                )
              })
          )
        )
      })
    )

    it.effect("writes what is typical of each kind of series", () =>
      Effect.gen(function* () {
        const { expected, sites } = yield* HilltopSimulator
        const values = (councilId: number, requestAs: string, from = month.From) =>
          Effect.map(
            Effect.forEach(
              sites(councilId).filter((site) => site.series.some((one) => one.requestAs === requestAs)),
              (site) => expected(site.name, requestAs, from, "2027-01-01")
            ),
            (all) => all.flat().map((row) => row.value)
          )
        const stage = yield* values(901, "Stage")
        assert.isTrue(stage.every((value) => /^\d{2,4}$/.test(value)))
        const rain = yield* values(901, "Rainfall [SCADA Rainfall]")
        assert.isTrue(rain.every((value) => /^\d+(\.[02468])?$/.test(value)))
        assert.isTrue(rain.includes("0") && rain.includes("0.2"))
        assert.isTrue((yield* values(902, "Rainfall [SCADA Rainfall]")).every((value) => /^\d+(\.5)?$/.test(value)))
        // Trailing zeros are digits of the source.
        assert.isTrue((yield* values(902, "Air Temperature")).every((value) => /^-?\d+\.\d\d$/.test(value)))
        assert.isTrue((yield* values(903, "Water Temperature")).some((value) => value.length > 16))
        const bacteria = yield* values(903, "E-Coli <CFU>", "2020-01-01")
        const share = (start: string) => bacteria.filter((value) => value.startsWith(start)).length / bacteria.length
        assert.isAbove(share("<"), 0.02)
        assert.isBelow(share("<"), 0.16)
        assert.isBelow(share("*"), 0.05)
      })
    )

    it.effect("adds a meter's volumes up to its readings where nobody corrected them", () =>
      Effect.gen(function* () {
        const { expected } = yield* HilltopSimulator
        const site = yield* siteWith(903, "meter")
        const [from, to] = ["2026-02-01", "2026-10-01"]
        const volumes = yield* expected(site.name, "Water Meter Volume", from, to)
        const readings = yield* expected(site.name, "Water Meter Reading", from, to)
        const agreeing = volumes.slice(1).filter((volume, index) => {
          const used = Number(readings[index + 1]?.value) - Number(readings[index]?.value)
          return Math.abs(used - Number(volume.value)) < 0.15
        })
        assert.isAbove(agreeing.length / volumes.length, 0.6)
        assert.isTrue(readings.slice(1).every((row, index) => Number(row.value) > Number(readings[index]?.value)))
      })
    )

    it.effect("shows a gap where values are missing", () =>
      Effect.gen(function* () {
        const { sites } = yield* HilltopSimulator
        const bodies = yield* Effect.forEach(
          sites(901).filter((site) => site.kind === "rain" && site.alive),
          (site) => data(901, site.name, "Rainfall [SCADA Rainfall]", month)
        )
        assert.isTrue(bodies.some((xml) => /<\/E>\n<Gap\/>\n<E>/.test(xml)))
        const body = bodies.find((xml) => xml.includes("<Gap/>")) ?? ""
        const [, site = "", before = "", after = ""] =
          /SiteName="([^"]*)"[^]*<T>([^<]*)<\/T><I1>[^<]*<\/I1><\/E>\n<Gap\/>\n<E><T>([^<]*)</.exec(body) ?? []
        assert.isAbove(Date.parse(after) - Date.parse(before), 900_000)
        // What is asked for from within a gap begins with its first value.
        const from = new Date(Date.parse(`${before}Z`) + 360_000).toISOString().slice(0, 19)
        const later = yield* data(901, unescape(site), "Rainfall [SCADA Rainfall]", { From: from, To: month.To })
        assert.match(later, new RegExp(`<Data [^>]*>\\n<E><T>${after}<`))
      })
    )

    it.effect("numbers the columns of gaugings 1, 3, 2 and leaves an empty comment an empty element", () =>
      Effect.gen(function* () {
        const { sites } = yield* HilltopSimulator
        const bodies = yield* Effect.forEach(
          sites(903).filter((site) => site.kind === "river"),
          (site) => data(903, site.name, "Discharge [Gauging Results]", { From: "2024-01-01" })
        )
        for (const xml of bodies) {
          assert.deepStrictEqual(
            [...xml.matchAll(/<ItemInfo ItemNumber="(\d)">/g)].map(([, number]) => number),
            ["1", "3", "2"]
          )
        }
        assert.isTrue(bodies.some((xml) => xml.includes("<I3/></E>")))
      })
    )

    it.effect("offers quality codes, the quality series, mowsecs and averages", () =>
      Effect.gen(function* () {
        const site = yield* siteWith(901, "river")
        const [rain, day] = ["Rainfall [SCADA Rainfall]", { From: "2026-09-03", To: "2026-09-05" }]
        assert.match(yield* data(901, site.name, "Stage", { ...day, ShowQuality: "Yes" }), /<\/I1><Q1>\d+<\/Q1><\/E>/)
        const codes = yield* data(901, site.name, "Stage", { ...month, tsType: "StdQualSeries" })
        assert.include(codes, "<TSType>StdQualSeries</TSType>")
        assert.isTrue(rowsOf(codes).every(([, code]) => /^[1-6]00$/.test(code)))
        const native = yield* data(901, site.name, rain, { ...day, Format: "Native" })
        assert.match(native, /<Data [^>]*DateFormat="mowsecs"[^>]*>\n<V>2735164800 \d+<\/V>\n/)
        const rows = rowsOf(yield* data(901, site.name, rain, day))
        const averages = rowsOf(yield* data(901, site.name, rain, { ...day, Method: "Average", Interval: "1 day" }))
        const within = rows.filter(([time]) => time > "2026-09-03T00:00:00" && time <= "2026-09-04T00:00:00")
        assert.strictEqual(averages[0]?.[0], "2026-09-04T00:00:00")
        assert.approximately(
          Number(averages[0]?.[1]),
          within.reduce((sum, [, value]) => sum + Number(value), 0) / within.length,
          0.001
        )
      })
    )
  })
})

layer(simulated({ ...still, sites: 8, servers: "one", latLong: "nothing", gzip: "always", charset: "utf-8" }), {
  excludeTestServices: true
})("Hilltop simulator, one server for all", (it) => {
  it.effect("tells councils apart by their paths", () =>
    Effect.gen(function* () {
      const { origins, sources } = yield* HilltopSimulator
      assert.strictEqual(origins.length, 1)
      const agencies = yield* Effect.forEach(sources, ({ htsUrl }) =>
        Effect.map(fetch(`${htsUrl}?${encode({ Request: "SiteList", Location: "Yes" })}`), ({ body }) => {
          const xml = gunzipSync(body).toString("utf8")
          return [/<Agency>(\S+)/.exec(xml)?.[1], xml.includes("<Latitude>")]
        })
      )
      assert.deepStrictEqual(agencies, [
        ["Kererū", false],
        ["Tussock", false],
        ["Lower", false]
      ])
      const unknown = yield* fetch(`${origins[0]}/nowhere/data.hts?Service=Hilltop&Request=SiteList`)
      assert.strictEqual(unknown.status, 404)
    })
  )

  it.effect("names the charset it is told to, and compresses unasked", () =>
    Effect.gen(function* () {
      const { sources } = yield* HilltopSimulator
      const { headers } = yield* fetch(`${sources[0]?.htsUrl}?${encode({ Request: "SiteList" })}`)
      assert.strictEqual(headers["content-type"], "text/xml; charset=utf-8")
      assert.strictEqual(headers["content-encoding"], "gzip")
    })
  )
})

const samples = new URL("../samples/", import.meta.url)

const file = (name: string) => readFileSync(new URL(name, samples))

const get = (url: string | undefined, query: Readonly<Record<string, string>>) =>
  Effect.map(fetch(`${url}?${encode(query)}`), ({ body }) => body)

layer(simulated({ ...still, sites: 1, gzip: "never" }), { excludeTestServices: true })("Hilltop samples", (it) => {
  const files = ["eop-mit", "synthetic", "thecolab-mit-synthetic"].flatMap((folder) =>
    readdirSync(new URL(folder, samples)).map((name) => `${folder}/${name}`)
  )

  it.effect("serves every sample file byte for byte", () =>
    Effect.gen(function* () {
      const { origins } = yield* HilltopSimulator
      assert.isAbove(files.length, 35)
      for (const name of files) {
        const { body, status } = yield* fetch(`${origins[1]}/samples/${name}`)
        assert.strictEqual(status, 200)
        assert.isTrue(body.equals(file(name)), name)
      }
      for (const outside of ["eop-mit/..%2f..%2fpackage.json", "../package.json", "eop-mit/nothing.xml"]) {
        assert.strictEqual((yield* fetch(`${origins[0]}/samples/${outside}`)).status, 404)
      }
    })
  )

  it.effect("answers whole crawls with them", () =>
    Effect.gen(function* () {
      const { sampleSources } = yield* HilltopSimulator
      const [eop, , synthetic] = sampleSources
      assert.deepStrictEqual(yield* get(eop?.htsUrl, { Request: "SiteList" }), file("eop-mit/SitesResponse-list.xml"))
      // Each is about the site that was asked for.
      const about = (name: string, own: string, asked: string) =>
        Buffer.from(file(name).toString().replaceAll(`="${own}"`, `="${asked}"`))
      assert.deepStrictEqual(
        yield* get(eop?.htsUrl, { Request: "MeasurementList", Site: "Wrens Creek at Graham Road" }),
        about("eop-mit/MeasurementsResponse-list.xml", "Ahuahu at Te Tuhi Junction", "Wrens Creek at Graham Road")
      )
      assert.deepStrictEqual(
        yield* get(eop?.htsUrl, { Request: "GetData", Site: "A & B", Measurement: "Rainfall [Rainfall]" }),
        about("eop-mit/MeasurementValuesResponse.xml", "R26/6804", "A &amp; B")
      )
      const own = /SiteName="([^"]*)"/.exec(file("synthetic/getdata-wqdata-censored.xml").toString())?.[1] ?? ""
      assert.deepStrictEqual(
        yield* get(synthetic?.htsUrl, { Request: "GetData", Site: own, Measurement: "E. coli <CFU>" }),
        file("synthetic/getdata-wqdata-censored.xml")
      )
    })
  )
})

const bodies = (seed: number) =>
  Effect.gen(function* () {
    const { sites } = yield* HilltopSimulator
    const names = sites(902).map((site) => site.name)
    const list = yield* ask(902, { Request: "SiteList", Location: "Yes" })
    return [names, list, yield* data(902, names[0] ?? "", "Flow", month)] as const
  }).pipe(Effect.provide(simulated({ ...still, seed, sites: 4 })))

describe("Hilltop worlds", () => {
  it.live("are the same for the same seed and different for another", () =>
    Effect.gen(function* () {
      const [one, same, other] = [yield* bodies(1), yield* bodies(1), yield* bodies(2)]
      assert.deepStrictEqual(same, one)
      assert.notDeepEqual(other[0], one[0])
    })
  )

  it.live("close at once, although a request hangs", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(simulated({ ...still, sites: 1, faults: [{ fault: "hang" }] }), scope)
      const hanging = yield* Effect.forkChild(Effect.exit(Effect.provide(ask(901, { Request: "SiteList" }), context)))
      const inFlight = Effect.provide(
        HilltopSimulator.use((simulator) => simulator.statistics),
        context
      )
      yield* Effect.repeat(inFlight, { until: ({ servers }) => servers[0]?.in_flight === 1 })
      yield* Effect.timeout(Scope.close(scope, Exit.void), "5 seconds")
      assert.isTrue(Exit.isFailure(yield* Fiber.join(hanging)))
    })
  )
})
