/** Raw records as the crawler sends them, with invented series whose values change from one fetch to the next. */
import { type RawValue, rawPartitionKey, rawPartitions } from "../../src/domain/HilltopMessage.ts"
import { formatInstant } from "../../src/domain/Instant.ts"
import { yearMonth } from "../../src/hilltop/Nzst.ts"
import type { OutgoingRecord } from "../../src/stream/KafkaSink.ts"
import { partitionOf } from "../../src/stream/Partitioner.ts"

export const rawTopic = "hilltop_raw"
export const observationsTopic = "observations"

const recordOf = (value: RawValue, headers: Readonly<Record<string, string>> = {}): OutgoingRecord => {
  const { hilltopUrl: _, xml: __, ...key } = value
  return {
    topic: rawTopic,
    partition: partitionOf(rawPartitionKey(value), rawPartitions),
    key: JSON.stringify(key),
    value: JSON.stringify(value),
    headers
  }
}
const baseUrl = (councilId: number) => `https://council-${councilId}.example/data.hts`

export const siteListRecord = (councilId: number, at: number, names: ReadonlyArray<string>): OutgoingRecord =>
  recordOf({
    type: "SITES_LIST",
    councilId,
    hilltopBaseUrl: baseUrl(councilId),
    at: formatInstant(at),
    hilltopUrl: baseUrl(councilId),
    xml: `<HilltopServer><Agency>A</Agency><Projection>NZTM2000</Projection>${names
      .map((name, n) => `<Site Name="${name}"><Easting>${1_700_000 + n}</Easting><Northing>5400000</Northing></Site>`)
      .join("")}</HilltopServer>`
  })

/** `rows` as `[time, value]` with times as Hilltop writes them. */
export const dataRecord = (options: {
  readonly councilId: number
  readonly at: number
  readonly siteName: string
  readonly measurementName: string
  readonly rows: ReadonlyArray<readonly [time: string, value: string]>
  /** The server's address, where it is not the council's only one. */
  readonly source?: string
}): OutgoingRecord => {
  const { at, councilId, measurementName, rows, siteName, source = baseUrl(councilId) } = options
  const elements = rows.map(([time, value]) => `<E><T>${time}</T><I1>${value}</I1></E>`).join("\n")
  return recordOf(
    {
      type: "MEASUREMENT_DATA",
      councilId,
      hilltopBaseUrl: source,
      at: formatInstant(at),
      siteName,
      measurementName,
      yearMonth: yearMonth(Date.parse(`${rows[0]?.[0]}+12:00`)),
      hilltopUrl: `${source}?Service=Hilltop&Request=GetData&Site=${encodeURIComponent(siteName)}&Measurement=${encodeURIComponent(measurementName)}&TimeInterval=P35D/now`,
      xml: `<Hilltop><Agency>A</Agency><Measurement SiteName="${siteName}"><DataSource Name="${measurementName}" NumItems="1"><TSType>StdSeries</TSType><ItemInfo ItemNumber="1"><ItemName>${measurementName}</ItemName></ItemInfo></DataSource><Data DateFormat="Calendar">${elements}</Data></Measurement></Hilltop>`
    },
    { item: "1", units: "l/s" }
  )
}
