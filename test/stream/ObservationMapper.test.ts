/**
 * What the sample documents become on the observations topic, down to the text of the messages: readers of the topic
 * depend on field names, digits and partitions, and none of it may be taken from the code that writes it.
 */
import { readFileSync } from "node:fs"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Metric } from "effect"
import { SaxesXmlScanner } from "../../layers/hilltop/SaxesXmlScanner.ts"
import { mapBatch } from "../../src/stream/mappingStage.ts"
import { mapRecord } from "../../src/stream/ObservationMapper.ts"
import { partitionOf } from "../../src/stream/Partitioner.ts"
import type { TopicRecord } from "../../src/stream/TopicReader.ts"

const sample = (path: string) => readFileSync(new URL(`../samples/${path}`, import.meta.url), "utf8")
const site = "Tawa Stream at Mill Road"
const at = "2026-01-01T00:00:00.000Z"

const rawRecord = (value: unknown, headers: Readonly<Record<string, string>> = {}): TopicRecord => ({
  topic: "hilltop_raw",
  partition: 3,
  offset: 17,
  key: "{}",
  value: typeof value === "string" ? value : JSON.stringify(value),
  headers,
  at: 0
})
const base = { councilId: 9, hilltopBaseUrl: "https://h.example/a.hts", at, hilltopUrl: "https://h.example/a.hts?x" }
const sitesList = (xml: string) => rawRecord({ type: "SITES_LIST", ...base, xml })
const measured = (
  xml: string,
  measurementName: string,
  headers: Readonly<Record<string, string>> = {},
  siteName = site
) => rawRecord({ type: "MEASUREMENT_DATA", ...base, siteName, measurementName, yearMonth: "2025-01", xml }, headers)

const map = (record: TopicRecord) => mapRecord(record, "observations").pipe(Effect.provide(SaxesXmlScanner))
const valuesOf = (record: TopicRecord) => Effect.map(map(record), ({ records }) => records.map(({ value }) => value))
const reasonOf = (record: TopicRecord) => Effect.map(Effect.flip(map(record)), ({ reason }) => reason)
const rowsXml = (rows: ReadonlyArray<string>) =>
  sample("synthetic/getdata-stage-5min.xml").replace(/<E>[\s\S]*<\/E>/, rows.join("\n"))
const row = (time: string, value: string) => `<E><T>${time}</T><I1>${value}</I1></E>`

/** What every message says of where it is from. */
const mapped = { fetched_at: at, raw_partition: "3", raw_offset: "17", source: base.hilltopBaseUrl }

const phosphorus = (observations: string) =>
  `{"type":"OBSERVATION_DATA","councilId":9,"siteName":"Tawa Stream at Mill Road","measurementName":"Total Phosphorus","observations":[${observations}]}`

describe("ObservationMapper", () => {
  it.effect("makes a SITE_DETAILS of every named site, keyed and partitioned by the site", () =>
    Effect.gen(function* () {
      const { records } = yield* map(sitesList(sample("synthetic/sitelist-location-yes.xml")))
      assert.deepStrictEqual(
        records.map(({ value }) => value),
        [
          `{"type":"SITE_DETAILS","councilId":9,"siteName":"Tawa Stream at Mill Road","location":{"easting":1769471,"northing":5426917}}`,
          `{"type":"SITE_DETAILS","councilId":9,"siteName":"O'Neill Creek @ SH2 (u/s bridge)","location":{"easting":1770012.5,"northing":5427001.25}}`,
          `{"type":"SITE_DETAILS","councilId":9,"siteName":"Awa-a-Tāne at Ngā Puna","location":{"easting":1771000,"northing":5428000}}`,
          `{"type":"SITE_DETAILS","councilId":9,"siteName":"Smith & Sons Bore R99/0001","location":{"easting":1772000,"northing":5429000}}`,
          `{"type":"SITE_DETAILS","councilId":9,"siteName":"344999","location":null}`,
          `{"type":"SITE_DETAILS","councilId":9,"siteName":"Kea Drain d/s Pump 2","location":null}`
        ]
      )
      assert.strictEqual(records[2]?.key, `{"type":"SITE_DETAILS","councilId":9,"siteName":"Awa-a-Tāne at Ngā Puna"}`)
      assert.strictEqual(records[2]?.partition, partitionOf("9#Awa-a-Tāne at Ngā Puna", 64))
      assert.isTrue(records.every(({ topic }) => topic === "observations"))
      assert.deepStrictEqual(records[0]?.headers, { ...mapped, projection: "NZTM2000" })
      assert.deepStrictEqual(records[5]?.headers, mapped)
    })
  )

  it.effect("says of a place without a named grid which one it can only be, and not that it was named", () =>
    Effect.gen(function* () {
      const places = [
        ["1748735", "5427925", "NZTM2000"],
        ["2658735", "5989925", "NZMG"],
        // On both, and on neither.
        ["2050000", "5500000"],
        ["50000", "60000"]
      ]
      for (const [easting = "", northing = "", inferred] of places) {
        const xml = `<HilltopServer><Agency>A</Agency><Site Name="Awa"><Easting>${easting}</Easting><Northing>${northing}</Northing></Site></HilltopServer>`
        const { headers } = (yield* map(sitesList(xml))).records[0]!
        const said = inferred === undefined ? mapped : { ...mapped, projection_inferred: inferred }
        assert.deepStrictEqual(headers, said)
      }
    })
  )

  it.effect("says beside a message what was asked for, whose server said it, and both units where they differ", () =>
    Effect.gen(function* () {
      const xml = `<Hilltop><Agency>A</Agency><Measurement SiteName="Awa"><DataSource Name="Water Level" NumItems="1"><TSType>StdSeries</TSType><ItemInfo ItemNumber="1"><ItemName>Flow</ItemName><Units>m3/s</Units></ItemInfo></DataSource><Data DateFormat="Calendar"><E><T>2025-01-01T00:00:00</T><I1>2</I1></E></Data></Measurement></Hilltop>`
      const asked = (query: string, headers: Readonly<Record<string, string>>, text = xml) =>
        map(
          rawRecord(
            {
              type: "MEASUREMENT_DATA",
              ...base,
              hilltopUrl: `${base.hilltopBaseUrl}?Service=Hilltop&Request=GetData&Site=Awa&${query}`,
              siteName: "Awa",
              measurementName: "Water Level",
              yearMonth: "2025-01",
              xml: text
            },
            headers
          )
        )
      const flow = { ...mapped, measurement: "Flow", item: "1" }
      for (const name of ["Flow", "Flow%20%5BWater%20Level%5D"]) {
        const { records } = yield* asked(`measurement=${name}`, { item: "1", units: "l/s" })
        const { covers_from: _, covers_until: __, ...headers } = records[0]!.headers!
        assert.deepStrictEqual(headers, { ...flow, units: "m3/s", listed_units: "l/s" })
        assert.notInclude(records[0]!.value, "l/s")
        assert.strictEqual(
          records[0]!.key,
          `{"type":"OBSERVATION_DATA","councilId":9,"siteName":"Awa","measurementName":"Water Level","yearMonth":"2025-01"}`
        )
      }
      const agreeing = yield* asked(
        "Measurement=Stage",
        { item: "2", units: "mm" },
        xml.replace("<Units>m3/s</Units>", "")
      )
      assert.deepInclude(agreeing.records[0]!.headers, { measurement: "Stage", item: "2", units: "mm" })
      assert.notProperty(agreeing.records[0]!.headers, "listed_units")
    })
  )

  it.effect("passes over the sites that the source excludes", () =>
    Effect.gen(function* () {
      const xml = `<HilltopServer><Agency>A</Agency><Site Name="Awa"/><Site Name="Other"/></HilltopServer>`
      const names = Effect.fnUntraced(function* (excluded: string) {
        const { records } = yield* map({ ...sitesList(xml), headers: { excluded_sites: excluded } })
        return records.map(({ value }) => JSON.parse(value).siteName)
      })
      assert.deepStrictEqual(yield* names(`["Awa"]`), ["Other"])
      assert.deepStrictEqual(yield* names("nonsense"), ["Awa", "Other"])
    })
  )

  it.effect("leaves the location null where a server gives degrees, and puts them into headers", () =>
    Effect.gen(function* () {
      const [first] = (yield* map(sitesList(sample("synthetic/sitelist-latlong.xml")))).records
      assert.strictEqual(
        first?.value,
        `{"type":"SITE_DETAILS","councilId":9,"siteName":"Tawa Stream at Mill Road","location":null}`
      )
      assert.deepStrictEqual(first?.headers, { ...mapped, latitude: "-41.2961027", longitude: "174.90985234" })
    })
  )

  it.effect("makes nothing of a list of measurements, of no sites and of no data", () =>
    Effect.gen(function* () {
      const list = { type: "MEASUREMENTS_LIST", ...base, siteName: site, xml: "not even looked at" }
      assert.deepStrictEqual(yield* valuesOf(rawRecord(list)), [])
      assert.deepStrictEqual(yield* valuesOf(sitesList(sample("synthetic/sitelist-empty.xml"))), [])
      for (const name of ["getdata-no-data-agency-only", "getdata-empty-data-element"]) {
        assert.deepStrictEqual(yield* valuesOf(measured(sample(`synthetic/${name}.xml`), "Water Level")), [])
      }
    })
  )

  it.effect("keeps digits, qualifiers and qualities, at +12:00, and counts rows without a number", () =>
    Effect.gen(function* () {
      const xml = sample("synthetic/getdata-wqdata-censored.xml")
      const { leftOut, records } = yield* map(
        measured(xml, "Total Phosphorus", { units: "g/m3", traceparent: "00-a-b-01" })
      )
      assert.deepStrictEqual(
        records.map(({ value }) => value),
        [
          phosphorus(`{"observedAt":"2025-01-14T10:30:00+12:00","value":0.002,"qualifier":"<","quality":500}`),
          phosphorus(`{"observedAt":"2025-02-11T11:00:00+12:00","value":0.014}`),
          phosphorus(`{"observedAt":"2025-03-11T11:00:00+12:00","value":2400,"qualifier":">","quality":400}`),
          phosphorus(`{"observedAt":"2025-04-08T09:45:00+12:00","value":0.015}`),
          phosphorus(`{"observedAt":"2025-05-13T10:00:00+12:00","value":-0}`)
        ]
      )
      assert.deepStrictEqual(leftOut, { unreadableTime: 0, noValue: 0, asterisk: 1, notANumber: 0 })
      assert.strictEqual(
        records[3]?.key,
        `{"type":"OBSERVATION_DATA","councilId":9,"siteName":"Tawa Stream at Mill Road","measurementName":"Total Phosphorus","yearMonth":"2025-04"}`
      )
      assert.deepStrictEqual(records[3]?.headers, {
        ...mapped,
        units: "g/m3",
        covers_from: "2025-03-31T12:00:00.000Z",
        covers_until: "2025-04-30T11:59:59.999Z",
        traceparent: "00-a-b-01"
      })
      assert.isTrue(records.every(({ partition }) => partition === partitionOf("9#Tawa Stream at Mill Road", 64)))
    })
  )

  it.effect("takes the column that the header names, the first without one, and never another's", () =>
    Effect.gen(function* () {
      const xml = sample("synthetic/getdata-gauging-results-multi-item.xml")
      const numbers = (headers: Readonly<Record<string, string>>) =>
        Effect.map(valuesOf(measured(xml, "Gauging Results", headers)), (values) =>
          values.flatMap((value) => [...value.matchAll(/"value":([^,}]+)/g)].map(([, number]) => number))
        )
      assert.deepStrictEqual(yield* numbers({}), ["612", "580"])
      assert.deepStrictEqual(yield* numbers({ item: "2" }), ["1.234", "0.871"])
      assert.deepStrictEqual(yield* numbers({ item: "3" }), [])
      assert.deepStrictEqual(yield* numbers({ item: "4" }), [])
      const [second] = (yield* map(measured(xml, "Gauging Results", { item: "2" }))).records
      assert.strictEqual(second?.headers?.["units"], "m3/sec")
      assert.match(yield* reasonOf(measured(xml, "Gauging Results", { item: "first" })), /item/)
    })
  )

  it.effect("makes one message of each month touched, by New Zealand's standard time", () =>
    Effect.gen(function* () {
      const xml = rowsXml([
        row("2025-01-31T23:55:00", "1.50"),
        row("2025-02-01T00:00:00", "2"),
        row("2025-02-28T23:59:59", "3"),
        row("2025-01-01T00:00:00", "4"),
        row("2026-01-01T00:00:00", "5")
      ])
      const { records } = yield* map(measured(xml, "Water Level"))
      const months = records.map(({ key, value }) => [
        (JSON.parse(key) as { yearMonth: string }).yearMonth,
        [...value.matchAll(/"value":([^,}]+)/g)].map(([, number]) => number)
      ])
      assert.deepStrictEqual(months, [
        ["2025-01", ["1.50", "4"]],
        ["2025-02", ["2", "3"]],
        ["2026-01", ["5"]]
      ])
    })
  )

  it.effect("takes names from the raw message, and of several series the one that was asked for", () =>
    Effect.gen(function* () {
      const xml = sample("thecolab-mit-synthetic/hilltop-get-data.xml")
      const names = [...xml.matchAll(/SiteName="([^"]+)"|<DataSource Name="([^"]+)"/g)].map(([, a, b]) => a ?? b!)
      const [, dataSource] = names
      const [value] = yield* valuesOf(measured(xml, dataSource!, {}, "As we call it"))
      assert.include(value, `"siteName":"As we call it","measurementName":"${dataSource}"`)
    })
  )

  it.effect("splits a month that is too large for one message, and loses nothing", () =>
    Effect.gen(function* () {
      const long = "1".repeat(250)
      const rows = Array.from({ length: 25_000 }, (_, n) =>
        row(new Date(Date.UTC(2025, 0, 1) + n * 1_000).toISOString().slice(0, 19), `${n}.${long}`)
      )
      const { records } = yield* map(measured(rowsXml(rows), "Water Level"))
      assert.strictEqual(records.length, 2)
      assert.strictEqual(new Set(records.map(({ key }) => key)).size, 1)
      const covered = records.map(({ headers = {} }) => [headers["covers_from"], headers["covers_until"]])
      assert.strictEqual(covered[0]?.[0], "2024-12-31T12:00:00.000Z")
      assert.strictEqual(Date.parse(covered[1]?.[0] ?? "") - Date.parse(covered[0]?.[1] ?? ""), 1)
      assert.isTrue(records.every(({ value }) => value.length < 8_100_000))
      const numbers = records.flatMap(({ value }) => [...value.matchAll(/"value":(\d+)\./g)].map(([, n]) => Number(n)))
      assert.deepStrictEqual(
        numbers,
        rows.map((_, n) => n)
      )
    })
  )

  it.effect("says why a record cannot be mapped", () =>
    Effect.gen(function* () {
      assert.match(yield* reasonOf(rawRecord("{")), /not a raw message/)
      assert.match(yield* reasonOf(rawRecord({ type: "OTHER", ...base, xml: "" })), /not a raw message/)
      assert.match(yield* reasonOf(rawRecord({ type: "SITES_LIST", ...base, at: "today", xml: "" })), /`at`/)
      assert.match(yield* reasonOf(measured(sample("synthetic/getdata-truncated.xml"), "x")), /breaks off/)
      assert.match(yield* reasonOf(sitesList(sample("synthetic/welcome.html"))), /HTML/)
      assert.match(yield* reasonOf(sitesList(sample("synthetic/error-no-measurements.xml"))), /No Measurements/)
    })
  )

  it.effect("takes a list of as many sites as a message holds", () =>
    Effect.gen(function* () {
      const names = Array.from({ length: 200_000 }, (_, i) => `<Site Name="S${i}"/>`).join("")
      const list = sitesList(`<HilltopServer><Agency>A</Agency>${names}</HilltopServer>`)
      const batch = { topic: "hilltop_raw", partition: 3, records: [list] }
      const outgoing = yield* mapBatch(batch, "observations").pipe(Effect.provide(SaxesXmlScanner))
      assert.strictEqual(outgoing.length, 200_000)
      assert.strictEqual(outgoing.at(-1)?.topic, "observations")
    })
  )

  it.effect("sets aside what cannot be mapped, in its place in the order, and goes on", () =>
    Effect.gen(function* () {
      const good = measured(sample("eop-mit/MeasurementValuesResponse.xml"), "Water Meter Volume", {}, "R26/6804")
      const bad = { ...rawRecord("nonsense 🌊", { item: "1" }), key: "its key", offset: 18 }
      const batch = { topic: "hilltop_raw", partition: 3, records: [good, bad, good] }
      const outgoing = yield* mapBatch(batch, "observations").pipe(Effect.provide(SaxesXmlScanner))
      assert.deepStrictEqual(
        outgoing.map(({ topic }) => topic),
        ["observations", "hilltop_raw_dead_letters", "observations"]
      )
      assert.deepStrictEqual(outgoing[1], {
        topic: "hilltop_raw_dead_letters",
        partition: 0,
        key: "its key",
        value: "nonsense 🌊",
        headers: {
          item: "1",
          reason: "the value is not a raw message",
          source_topic: "hilltop_raw",
          source_partition: "3",
          source_offset: "18"
        }
      })
      assert.strictEqual(
        outgoing[0]?.value,
        `{"type":"OBSERVATION_DATA","councilId":9,"siteName":"R26/6804","measurementName":"Water Meter Volume","observations":[{"observedAt":"2023-08-30T00:00:00+12:00","value":0},{"observedAt":"2023-08-31T00:00:00+12:00","value":100}]}`
      )
      const counts = (yield* Metric.snapshot).filter(({ id }) => id.startsWith("penstock.stream"))
      assert.deepStrictEqual(
        counts.map(({ attributes, id, state }) => [
          id,
          attributes?.["topic"],
          "count" in state ? state.count : undefined
        ]),
        [
          ["penstock.stream.mapped", undefined, 2],
          ["penstock.stream.dead_letters", "hilltop_raw", 1]
        ]
      )
    }).pipe(Effect.provideService(Metric.MetricRegistry, new Map()))
  )
})
