/**
 * The documents whose cost is measured: a month of one series, some 4,000 rows, as Hilltop writes it; and where a plain server
 * has them. No two are alike, so that no digest and no memory of an earlier one helps.
 */
import { DateTime } from "effect"

/** A row every eleven minutes for 31 days. */
export const rowsOfDocument = 4_058
const between = 11 * 60_000
const from = Date.UTC(2025, 0, 1)

export const measurement = "Flow"
export const siteOf = (n: number): string => `Awa at Bridge ${n}`

/** The query of a request for the document of a site. */
export const queryOf = (site: string): string =>
  `?Service=Hilltop&Request=GetData&Site=${encodeURIComponent(site)}&Measurement=${measurement}&from=2025-01-01T00:00:00&to=2025-01-31T23:59:59`

/** A walk by chance, the same for the same site. */
export const costDocument = (site: string): string => {
  let state = [...site].reduce((sum, letter) => (sum * 31 + letter.charCodeAt(0)) >>> 0, 7)
  let value = 1_000 + (state % 9_000)
  const rows = Array.from({ length: rowsOfDocument }, (_, at) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    value = Math.max(1, value + (state % 41) - 20)
    const time = DateTime.formatIso(DateTime.makeUnsafe(from + at * between)).slice(0, 19)
    return `<E><T>${time}</T><I1>${(value / 1_000).toFixed(3)}</I1></E>\n`
  })
  const head =
    `<?xml version="1.0" ?>\n<Hilltop>\n<Agency>Bench</Agency>\n<Measurement SiteName="${site}">\n` +
    `<DataSource Name="${measurement}" NumItems="1">\n<TSType>StdSeries</TSType>\n<DataType>SimpleTimeSeries</DataType>\n` +
    `<Interpolation>Instant</Interpolation>\n<ItemInfo ItemNumber="1">\n<ItemName>${measurement}</ItemName>\n` +
    `<ItemFormat>F</ItemFormat>\n<Units>m3/s</Units>\n<Format>###.###</Format>\n</ItemInfo>\n</DataSource>\n` +
    '<Data DateFormat="Calendar" NumItems="1">\n'
  return `${head}${rows.join("")}</Data>\n</Measurement>\n</Hilltop>\n`
}
