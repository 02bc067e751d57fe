/**
 * A server that has the documents ready and packed: what it does for an answer is next to nothing, so that the machine is the
 * crawl's.
 */
import { createServer } from "node:http"
import { gzipSync } from "node:zlib"
import { costDocument } from "./CostDocument.ts"

const packed = new Map<string, Buffer>()

const server = createServer((request, response) => {
  const site = new URL(request.url ?? "/", "http://localhost").searchParams.get("Site") ?? ""
  let body = packed.get(site)
  if (body === undefined) packed.set(site, (body = gzipSync(costDocument(site))))
  response.writeHead(200, { "content-type": "text/xml", "content-encoding": "gzip", "content-length": body.length })
  response.end(body)
})
server.listen(0, "127.0.0.1", () => {
  const address = server.address()
  if (address !== null && typeof address === "object")
    process.stdout.write(`ready at http://127.0.0.1:${address.port}\n`)
})
