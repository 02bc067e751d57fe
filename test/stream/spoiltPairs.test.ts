/**
 * Two documents of one series, the second spoilt in any way: whatever it is taken for, no value that both agree on is ever
 * superseded, and none that it does not have plainly takes the place of one that is known.
 *
 * What a document plainly says is found out without the service's reader. `PENSTOCK_FUZZ=20000` tries that many pairs,
 * `PENSTOCK_FUZZ_SEED` others.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { SaxesXmlScanner } from "../../layers/hilltop/SaxesXmlScanner.ts"
import { seeded, type SeededRandom } from "../../scripts/simulators/SeededRandom.ts"
import { readDocument } from "../../src/crawl/readDocument.ts"
import type { UsableSource } from "../../src/crawl/FetchPlan.ts"
import type { ClaimedTask } from "../../src/domain/FetchTask.ts"
import { HtsUrl } from "../../src/hilltop/HilltopUrl.ts"
import { decodeText } from "../../src/hilltop/HilltopText.ts"
import { formatHilltopTime } from "../../src/hilltop/Nzst.ts"
import { MemoryObservations } from "../../src/stream/MemoryObservations.ts"
import { mapRecord } from "../../src/stream/ObservationMapper.ts"
import { fromObservationRecord } from "../../src/stream/observationRecord.ts"
import { ObservationStore } from "../../src/stream/ObservationStore.ts"
import { spoiltBytes } from "../support/spoiltDocuments.ts"

const pairs = Number(process.env["PENSTOCK_FUZZ"] ?? 800)
const seed = process.env["PENSTOCK_FUZZ_SEED"] ?? "1"

const htsUrl = HtsUrl.make("https://hilltop.example.nz/data.hts")
const source: UsableSource = { id: 1, councilId: 9, htsUrl, configuration: { measurementNames: ["Flow"] } }
const details = { siteName: "Awa-a-Tāne", measurementName: "Flow", measurement: "Flow", item: 1 }
const month = `${htsUrl}?Service=Hilltop&Request=GetData&Site=Awa&Measurement=Flow&from=2025-03-01T00:00&to=2025-03-31T23:59:59`
const task: ClaimedTask = {
  sourceId: 1,
  requestType: "MEASUREMENT_DATA",
  fetchUrl: month,
  details,
  id: 1,
  fence: 1,
  refresh: undefined,
  runs: [],
  follows: false,
  followers: 0,
  attempts: 0,
  councilId: 9,
  htsUrl,
  configuration: {},
  previousHash: undefined,
  previousDigest: undefined,
  server: { origin: "https://hilltop.example.nz", epoch: 0 }
}
const start = Date.parse("2025-03-01T00:00:00+12:00")
const hour = 3_600_000
const fetchedAt = Date.parse("2025-05-01T00:00:00Z")

interface Row {
  readonly time: string
  readonly value: string
}
const rowOf = ({ time, value }: Row) => `<E><T>${time}</T><I1>${value}</I1></E>`
const documentOf = (rows: ReadonlyArray<Row>) =>
  `<?xml version="1.0" ?>\n<Hilltop>\n<Agency>Demo</Agency>\n<Measurement SiteName="Awa-a-Tāne">\n` +
  `<DataSource Name="Flow" NumItems="1">\n<TSType>StdSeries</TSType>\n<DataType>SimpleTimeSeries</DataType>\n` +
  `<ItemInfo ItemNumber="1"><ItemName>Flow</ItemName><ItemFormat>F</ItemFormat><Units>l/s</Units></ItemInfo>\n</DataSource>\n` +
  `<Data DateFormat="Calendar" NumItems="1">\n${rows.map(rowOf).join("\n")}\n</Data>\n</Measurement>\n</Hilltop>\n`

const rowsFrom = (random: SeededRandom): ReadonlyArray<Row> =>
  Array.from({ length: random.int(2, 30) }, (_, at) => ({
    time: formatHilltopTime(start + at * 12 * hour),
    value: `${random.int(1, 999)}.${random.int(0, 9)}`
  }))

/** The same series some weeks later: mostly as it was, with a correction and a removal here and there. */
const later = (rows: ReadonlyArray<Row>, random: SeededRandom): ReadonlyArray<Row> =>
  rows.flatMap((row) => (random.chance(0.05) ? [] : [random.chance(0.05) ? { ...row, value: "7.5" } : row]))

/** What is plainly there: rows that stand as they were written, outside of comments and the like, each time once. */
const plainly = (text: string): ReadonlyMap<string, string> => {
  const visible = text.replaceAll(/<!--[^]*?(?:-->|$)|<!\[CDATA\[[^]*?(?:\]\]>|$)|<\?[^]*?(?:\?>|$)/g, "\u0000")
  const found = new Map<string, string | undefined>()
  for (const [, time = "", value = ""] of visible.matchAll(/<E><T>([^<]*)<\/T><I1>([^<]*)<\/I1><\/E>/g)) {
    found.set(time, found.has(time) && found.get(time) !== value ? undefined : value)
  }
  return new Map([...found].flatMap(([time, value]) => (value === undefined ? [] : [[time, value] as const])))
}

/** A document as it goes through the crawl, the mapping and the store. False where it is refused on the way. */
const taken = Effect.fnUntraced(function* (bytes: Uint8Array, at: number, offset: number) {
  const xml = decodeText(bytes)
  const reading = yield* Effect.option(readDocument(task, source, xml, at))
  if (reading._tag === "None" || reading.value.key === undefined) return false
  const raw = {
    topic: "raw",
    partition: 0,
    offset,
    at,
    key: JSON.stringify(reading.value.key),
    headers: { item: "1" },
    value: JSON.stringify({ ...reading.value.key, hilltopUrl: month, xml })
  }
  const { records } = yield* mapRecord(raw, "observations")
  const messages = yield* Effect.forEach(records, (record, index) =>
    fromObservationRecord({ headers: {}, ...record, offset: offset * 1_000 + index, at })
  )
  const store = yield* ObservationStore
  yield* store.store({ topic: "observations", partition: 0, messages })
  return true
})

const oneStore = Layer.merge(SaxesXmlScanner, MemoryObservations.layer)

describe("the second document of a series, spoilt", () => {
  it.live(
    `supersedes nothing that it agrees on, in ${pairs} pairs`,
    () =>
      Effect.gen(function* () {
        let [read, refused] = [0, 0]
        for (let number = 0; number < pairs; number++) {
          const random = seeded(seed, "pair", number)
          const rows = rowsFrom(random)
          const second = spoiltBytes(new TextEncoder().encode(documentOf(later(rows, random))), random)
          const pair = Effect.gen(function* () {
            assert.isTrue(yield* taken(new TextEncoder().encode(documentOf(rows)), fetchedAt, 0))
            const wasRead = yield* taken(second, fetchedAt + 24 * hour, 1)
            const series = (yield* MemoryObservations).series(9, "Awa-a-Tāne", "Flow")
            return { wasRead, versions: series?.versions ?? [] }
          })
          const { versions, wasRead } = yield* Effect.provide(pair, Layer.fresh(oneStore))
          const name = `pair ${number} of seed ${seed}`
          if (wasRead) read++
          else refused++
          const agreed = plainly(decodeText(second))
          for (const { time, value } of rows) {
            const ofTime = versions.filter(({ at }) => formatHilltopTime(at) === time)
            if (!wasRead || agreed.get(time) === value) {
              assert.strictEqual(ofTime.length, 1, `${name}, ${time}`)
              assert.deepInclude(ofTime[0], { value, supersededAt: undefined }, `${name}, ${time}`)
            }
          }
        }
        // Neither all nor none: otherwise the test would not look at what it says.
        assert.isAbove(read, pairs / 10)
        assert.isAbove(refused, pairs / 20)
      }),
    60_000 + pairs * 20
  )
})
