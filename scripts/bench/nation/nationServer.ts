/**
 * The Hilltop servers of a nation whose series have a value every five minutes: what they do for an answer is next to nothing, so that
 * the machine is the crawl's.
 *
 * Every series has the values of all others, and its newest one at a moment of its own within the five minutes: so the rows are written
 * once, and packed with a head that names the site. Prints its addresses, one for each server.
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import { gzipSync } from "node:zlib"
import { measurement } from "../cost/CostDocument.ts"
import { lateness, step } from "./fiveMinutes.ts"

const servers = Number(process.argv[2] ?? 1)
const nzst = 12 * 3_600_000
const window = (35 * 86_400_000) / step

/** A walk that comes back, as the stage of a river; a function of the time alone. */
const valueAt = (slot: number): string =>
  (3 + Math.sin(slot / 173) + 0.5 * Math.sin(slot / 29) + ((slot * 7_919) % 41) / 1_000).toFixed(3)
const rowAt = (slot: number): string =>
  `<E><T>${new Date(slot * step + nzst).toISOString().slice(0, 19)}</T><I1>${valueAt(slot)}</I1></E>\n`

const written = new Map<string, string>()
/** The rows of both slots and all between them, and what ends a document. */
const rows = (from: number, to: number): string => {
  const key = `${from} ${to}`
  const known = written.get(key)
  if (known !== undefined) return known
  const rows = Array.from({ length: to - from + 1 }, (_, n) => rowAt(from + n)).join("")
  // Windows move on.
  if (written.size > 20) written.clear()
  const text = `${rows}</Data>\n</Measurement>\n</Hilltop>\n`
  written.set(key, text)
  return text
}

const head = (site: string): string =>
  `<?xml version="1.0" ?>\n<Hilltop>\n<Agency>Nation</Agency>\n<Measurement SiteName="${site}">\n` +
  `<DataSource Name="${measurement}" NumItems="1">\n<TSType>StdSeries</TSType>\n<DataType>SimpleTimeSeries</DataType>\n` +
  `<Interpolation>Instant</Interpolation>\n<ItemInfo ItemNumber="1">\n<ItemName>${measurement}</ItemName>\n` +
  `<ItemFormat>F</ItemFormat>\n<Units>m3/s</Units>\n<Format>###.###</Format>\n</ItemInfo>\n</DataSource>\n` +
  '<Data DateFormat="Calendar" NumItems="1">\n'

const slotOf = (text: string): number => Math.floor((Date.parse(`${text.slice(0, 16)}:00Z`) - nzst) / step)

const answer = (request: IncomingMessage, response: ServerResponse) => {
  const asked = new URL(request.url ?? "/", "http://localhost").searchParams
  const site = asked.get("Site") ?? ""
  const [from, to] = [asked.get("from"), asked.get("to")]
  const last = Math.floor((Date.now() - lateness(Number(/\d+$/.exec(site)?.[0] ?? 0))) / step)
  const data =
    from === null || to === null ? rows(last - window + 1, last) : rows(slotOf(from), Math.min(slotOf(to), last))
  const body = gzipSync(`${head(site)}${data}`, { level: 1 })
  response.writeHead(200, { "content-type": "text/xml", "content-encoding": "gzip", "content-length": body.length })
  response.end(body)
}

const addresses: Array<string> = []
for (let n = 0; n < servers; n++) {
  const server = createServer(answer)
  server.listen(0, "127.0.0.1", () => {
    const address = server.address()
    if (address !== null && typeof address === "object") addresses.push(`http://127.0.0.1:${address.port}`)
    if (addresses.length === servers) process.stdout.write(`ready at ${addresses.join(" ")}\n`)
  })
}
