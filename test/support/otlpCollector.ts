/**
 * A collector on loopback: takes OTLP in JSON, and tells the spans that came, each with what its resource says of the service.
 */
import { Effect, Schedule, Schema } from "effect"
import { gunzipSync } from "node:zlib"
import { createServer, type IncomingHttpHeaders } from "node:http"

const Value = Schema.Struct({
  stringValue: Schema.optional(Schema.String),
  intValue: Schema.optional(Schema.Union([Schema.Number, Schema.NumberFromString])),
  doubleValue: Schema.optional(Schema.Number),
  boolValue: Schema.optional(Schema.Boolean)
})
const Attributes = Schema.Array(Schema.Struct({ key: Schema.String, value: Value }))
const TracesBody = Schema.fromJsonString(
  Schema.Struct({
    resourceSpans: Schema.Array(
      Schema.Struct({
        resource: Schema.Struct({ attributes: Attributes }),
        scopeSpans: Schema.Array(
          Schema.Struct({
            spans: Schema.Array(
              Schema.Struct({
                traceId: Schema.String.check(Schema.isPattern(/^[0-9a-f]{32}$/)),
                spanId: Schema.String.check(Schema.isPattern(/^[0-9a-f]{16}$/)),
                parentSpanId: Schema.optional(Schema.String.check(Schema.isPattern(/^[0-9a-f]{16}$/))),
                name: Schema.String,
                kind: Schema.Int,
                startTimeUnixNano: Schema.String,
                endTimeUnixNano: Schema.String,
                attributes: Attributes,
                status: Schema.Struct({ code: Schema.Int }),
                links: Schema.Array(Schema.Struct({ traceId: Schema.String, spanId: Schema.String }))
              })
            )
          })
        )
      })
    )
  })
)
const decodeTraces = Schema.decodeUnknownSync(TracesBody)

type Attribute = string | number | boolean | undefined
const attributesOf = (attributes: typeof Attributes.Type): Readonly<Record<string, Attribute>> =>
  Object.fromEntries(
    attributes.map(({ key, value }) => [
      key,
      value.stringValue ?? value.intValue ?? value.doubleValue ?? value.boolValue
    ])
  )

type Sent = (typeof TracesBody.Type)["resourceSpans"][number]["scopeSpans"][number]["spans"][number]
export interface CollectedSpan extends Omit<Sent, "attributes"> {
  readonly attributes: Readonly<Record<string, Attribute>>
  readonly resource: Readonly<Record<string, Attribute>>
}

interface CollectedRequest {
  readonly path: string
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

/** Numbers of the protocol. */
export const spanKind = { internal: 1, server: 2, client: 3, producer: 4, consumer: 5 } as const

export const otlpCollector = Effect.gen(function* () {
  const requests: Array<CollectedRequest> = []
  const spans: Array<CollectedSpan> = []
  /** What is answered to each request. */
  const answer = { status: 200, hangs: false }
  const server = createServer((request, response) => {
    const pieces: Array<Buffer> = []
    request.on("data", (piece: Buffer) => pieces.push(piece))
    request.on("end", () => {
      const sent = Buffer.concat(pieces)
      const body = (request.headers["content-encoding"] === "gzip" ? gunzipSync(sent) : sent).toString()
      const path = request.url ?? ""
      requests.push({ path, headers: request.headers, body })
      if (answer.hangs) return
      if (answer.status === 200 && path.endsWith("/v1/traces") && request.headers["content-type"]?.includes("json")) {
        for (const { resource, scopeSpans } of decodeTraces(body).resourceSpans)
          for (const scope of scopeSpans)
            for (const span of scope.spans)
              spans.push({
                ...span,
                attributes: attributesOf(span.attributes),
                resource: attributesOf(resource.attributes)
              })
      }
      response.writeHead(answer.status, { "content-type": "application/json" }).end("{}")
    })
  })
  const url = yield* Effect.acquireRelease(
    Effect.callback<string>((resume) => {
      server.listen(0, "127.0.0.1", () => {
        const address = server.address()
        resume(Effect.succeed(`http://127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}`))
      })
    }),
    () =>
      Effect.callback<void>((done) => {
        server.close(() => done(Effect.void))
        server.closeAllConnections()
      })
  )

  /** Waits until `find` finds what it looks for among the spans; says what there was instead when that takes too long. */
  const until = <A>(what: string, find: (spans: ReadonlyArray<CollectedSpan>) => A | undefined) =>
    Effect.suspend(() => {
      const found = find(spans)
      return found === undefined ? Effect.fail("not there") : Effect.succeed(found)
    }).pipe(
      Effect.retry(Schedule.upTo(Schedule.spaced("50 millis"), { duration: "60 seconds" })),
      Effect.catch(() =>
        Effect.die(new Error(`no span for: ${what}\n${[...new Set(spans.map(({ name }) => name))].sort().join("\n")}`))
      )
    )
  return { url, requests, spans, answer, until }
})
