/**
 * A request as the routes read it: its body without compression, and a CloudEvent whose attributes came as headers (binary mode)
 * as one whose attributes are the body.
 *
 * The body is read and decompressed only when a route asks for it, so after the caller has shown its key, and no further than
 * bodies may be long: a small bomb stays small.
 */
import { type ByteSize, Option, Stream } from "effect"
import { Headers, HttpServerError, HttpServerRequest } from "effect/http"
import { binaryCloudEvent } from "../domain/ThinEvent.ts"

/** Where events are posted; elsewhere `ce-` headers mean nothing. */
export const eventPath = "/accounting_point/event"

/** The encodings that are read here, as `Content-Encoding` and as the platform call them. */
const formats: Readonly<Record<string, string>> = {
  gzip: "gzip",
  "x-gzip": "gzip",
  deflate: "deflate",
  br: "brotli"
}

/** The encodings that this platform reads, for `Accept-Encoding`. */
export const readableEncodings: string = ["gzip", "deflate", "br"]
  .filter((name) => Option.isSome(decompressor(formats[name])))
  .join(", ")

function decompressor(format: string | undefined): Option.Option<DecompressionStream> {
  if (format === undefined) return Option.none()
  // Not every platform knows every format, and one that does not throws.
  return Option.liftThrowable(
    () => new DecompressionStream(format as ConstructorParameters<typeof DecompressionStream>[0])
  )()
}

const withBody = (
  request: HttpServerRequest.HttpServerRequest,
  headers: Headers.Headers,
  body: ReadableStream | string
): HttpServerRequest.HttpServerRequest =>
  HttpServerRequest.fromWeb(
    new Request("http://penstock.invalid", { method: request.method, body, duplex: "half" } as RequestInit)
  ).modify({ headers, url: request.url, remoteAddress: request.remoteAddress })

/** Percent-encoded, as CloudEvents have it in headers; what is not stays as it is. */
const decoded = (value: string): string =>
  Option.getOrElse(Option.liftThrowable(decodeURIComponent)(value), () => value)

/** The request with a body of JSON, `undefined` when its compression is none that is read here. */
export const plainRequest = (
  request: HttpServerRequest.HttpServerRequest,
  isEvent: boolean,
  maxBody: ByteSize.ByteSize
): HttpServerRequest.HttpServerRequest | undefined => {
  const { headers } = request
  const event = isEvent ? binaryCloudEvent(headers, "ce-") : undefined
  if (event !== undefined) {
    const attributes = Object.fromEntries(Object.entries(event).map(([name, value]) => [name, decoded(value)]))
    const plain = Headers.set(
      Headers.removeMany(headers, ["content-encoding", "content-length", "transfer-encoding"]),
      "content-type",
      "application/cloudevents+json"
    )
    return withBody(request, plain, JSON.stringify(attributes))
  }
  const encoding = headers["content-encoding"]?.trim().toLowerCase() ?? ""
  if (encoding === "" || encoding === "identity") return request
  return Option.match(decompressor(formats[encoding]), {
    onNone: () => undefined,
    onSome: (decompress) => {
      const sent = Stream.limitBytes(request.stream, maxBody, () =>
        Stream.fail(
          new HttpServerError.HttpServerError({
            reason: new HttpServerError.RequestParseError({ request, reason: "BodyTooLarge" })
          })
        )
      )
      const plain = Headers.removeMany(headers, ["content-encoding", "content-length", "transfer-encoding"])
      return withBody(request, plain, Stream.toReadableStream(sent).pipeThrough(decompress))
    }
  })
}
