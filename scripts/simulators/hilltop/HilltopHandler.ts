/**
 * One request to a simulated server, from its address to what is sent or done instead.
 *
 * The order is that of the outside world: first the network and the web server fail (delay, hang, reset, status), then
 * Hilltop says something else, then its document is odd, then its bytes are. A server that stands for one council answers
 * at every `.hts` name with the same file, as some real ones do.
 */
import { NodeHttpServerRequest } from "@effect/platform-node"
import { Effect } from "effect"
import { HttpServerRequest, HttpServerResponse } from "effect/http"
import { bend } from "./BentAnswer.ts"
import type { Council } from "./Council.ts"
import { answer, writeAnswer, type Answer } from "./HilltopAnswers.ts"
import { notFoundPage } from "./HilltopDocuments.ts"
import { noiseKey } from "./Noise.ts"
import type { OpenRequest } from "./RequestLog.ts"
import { aboutSite, sampleFor } from "./Samples.ts"
import { faultOf, resetConnection, send, type Outgoing } from "./SentAnswer.ts"
import type { SimulatorParts } from "./SimulatorParts.ts"

type Handling = Effect.Effect<HttpServerResponse.HttpServerResponse, never, HttpServerRequest.HttpServerRequest>

export const notFound = HttpServerResponse.text(notFoundPage, { status: 404, contentType: "text/html" })

const folder = (path: string): string => path.slice(0, path.indexOf("/", 1) + 1).toLowerCase()

/** The council whose file this path names. */
const councilAt = (councils: ReadonlyArray<Council>, path: string): Council | undefined => {
  if (!path.toLowerCase().endsWith(".hts")) return undefined
  if (councils.length === 1) return councils[0]
  return councils.find((council) => folder(council.path) === folder(path))
}

/** What would be sent if nothing went wrong; undefined where the path names nothing. */
const rightAnswer = Effect.fnUntraced(function* (
  { clock, latLong, sampleServers, samples, world }: SimulatorParts,
  councils: ReadonlyArray<Council>,
  { path, query }: OpenRequest
) {
  const sampleServer = sampleServers[path]
  if (sampleServer !== undefined) {
    const file = yield* samples(sampleFor(sampleServer, query) ?? "")
    const unknown: Answer = { _tag: "Error", text: "Unrecognised request" }
    return file === undefined
      ? unknown
      : ({ contentType: file.contentType, pieces: [aboutSite(file.bytes, query.get("site"))] } satisfies Outgoing)
  }
  const council = councilAt(councils, path)
  return council === undefined ? undefined : answer({ world, council, query, path, now: clock.now(), latLong })
})

const statusPage = (status: number): string =>
  `<html><head><title>${status}</title></head><body><h1>Error ${status}</h1><p>Simulated.<br></body></html>\n`

/** Answers a request to this server, if nothing goes wrong and else as the faults say. */
export const hilltopHandler = (parts: SimulatorParts, councils: ReadonlyArray<Council>): Handling =>
  Effect.gen(function* () {
    const request = yield* HttpServerRequest.HttpServerRequest
    const open = parts.log.of(NodeHttpServerRequest.toIncomingMessage(request))
    if (open === undefined || request.method !== "GET") return notFound
    const right = yield* rightAnswer(parts, councils, open)
    if (right === undefined) return notFound

    const { measurement = "", path, site = "", url } = open
    const faults = parts.faults.strike({
      url,
      path,
      site,
      measurement,
      request: open.request === "other" ? undefined : open.request
    })
    open.faults = faults.map((rule) => rule.fault)
    for (const rule of faults) if (rule.fault === "delay") yield* Effect.sleep(rule.milliseconds)
    if (faultOf(faults, "hang") !== undefined) return yield* Effect.never
    if (faultOf(faults, "forbidden-without-user-agent") !== undefined && request.headers["user-agent"] === undefined) {
      return HttpServerResponse.text(statusPage(403), { status: 403, contentType: "text/html" })
    }
    if (faultOf(faults, "reset")?.after_bytes === 0) return yield* resetConnection(request)
    const status = faultOf(faults, "status")
    if (status !== undefined) {
      const headers = status.retry_after === undefined ? {} : { "retry-after": status.retry_after }
      return HttpServerResponse.text(statusPage(status.status), {
        status: status.status,
        contentType: "text/html",
        headers
      })
    }
    const redirect = faultOf(faults, "redirect")
    if (redirect !== undefined) return HttpServerResponse.redirect(redirect.to, { status: redirect.status })

    // A sample is a file: only what replaces a document altogether applies to it.
    const bent = faults.reduce<Answer | Outgoing>((one, rule) => {
      const like: Answer = "_tag" in one ? one : { _tag: "Error", text: "" }
      const next = bend(like, rule, measurement, noiseKey(parts.seed, rule.fault, url))
      return next === like ? one : next
    }, right)
    return yield* send(request, "_tag" in bent ? writeAnswer(bent) : bent, faults, parts.sending)
  })
