/**
 * The page over HTTP. It shows nothing of the service: what it shows it asks the API for, with the key of whoever opened it, so it
 * needs no key itself.
 *
 * The browser is told to run nothing and to ask nothing that does not come from here, whatever a name in the data may hold.
 */
import { Effect, Layer } from "effect"
import { HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"
import { problemResponse } from "./Problems.ts"
import { type PageFile, PageFiles } from "./PageFiles.ts"

/** As the router has them, and the table of methods. */
export const pagePaths = ["/", "/web/*"] as const

const policy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'"
].join("; ")

const security = {
  "content-security-policy": policy,
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
  // Neither the address nor what was looked at goes to anybody else.
  "referrer-policy": "no-referrer",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "permissions-policy": "camera=(), geolocation=(), microphone=()"
}

const answer = (file: PageFile, cacheControl: string, known: string | undefined) => {
  const headers = { ...security, etag: file.etag, vary: "accept-encoding", "cache-control": cacheControl }
  const isKnown = known?.split(",").some((tag) => tag.trim().replace(/^W\//, "") === file.etag) ?? false
  return isKnown
    ? HttpServerResponse.empty({ status: 304, headers })
    : HttpServerResponse.uint8Array(file.bytes, {
        contentType: file.contentType,
        headers: file.encoding === undefined ? headers : { ...headers, "content-encoding": file.encoding }
      })
}

const serve = Effect.fnUntraced(function* (files: PageFiles["Service"], cacheControl: string) {
  const request = yield* HttpServerRequest.HttpServerRequest
  const address = (request.url.split("?", 1)[0] ?? "").slice(1)
  const file = yield* files.find(address, request.headers["accept-encoding"] ?? "")
  return file === undefined
    ? yield* problemResponse("route-unknown", "the page has no such file, or has another version by now")
    : answer(file, cacheControl, request.headers["if-none-match"])
})

export const PageRoutes = Layer.unwrap(
  Effect.map(PageFiles, (files) =>
    Layer.merge(
      HttpRouter.add("GET", pagePaths[0], serve(files, "no-cache")),
      HttpRouter.add("GET", pagePaths[1], serve(files, "public, max-age=31536000, immutable"))
    )
  )
)
