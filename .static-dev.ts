import { createServer } from "node:http"
import { Effect, Layer } from "effect"
import { WebFiles } from "/work/wt/page/layers/page/WebFiles.ts"
import { PageFiles } from "/work/wt/page/src/api/PageFiles.ts"
const files = await Effect.runPromise(Effect.scoped(Effect.provide(PageFiles, WebFiles)))
createServer(async (q, r) => {
  const f = await Effect.runPromise(files.find(q.url!.slice(1), ""))
  if (!f) {
    r.writeHead(404)
    return r.end()
  }
  r.writeHead(200, {
    "content-type": f.contentType,
    "content-security-policy":
      "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'"
  })
  r.end(f.bytes)
}).listen(18198, "127.0.0.1")
