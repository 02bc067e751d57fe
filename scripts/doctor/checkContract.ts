/**
 * Whether an adapter keeps the contract, tried with one accounting point that it knows: what it answers, whom it lets in, what it
 * says of what is not there, and how soon. Each thing that it does wrong is named, by the names of fields and never by their values.
 */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { ByteSize, Clock, Data, Duration, Effect, Redacted, Schema, Stream } from "effect"
import { HttpClient, type HttpClientError, HttpClientRequest } from "effect/http"
import { decompressedBody } from "../../layers/http/decompressedBody.ts"
import { Settings } from "../../layers/Settings.ts"
import { AdapterBody, answerFromBody } from "../../src/domain/AccountingPoint.ts"
import type { Gsrn } from "../../src/domain/Identifiers.ts"
import { formatInstant, type Instant } from "../../src/domain/Instant.ts"
import { describeFaults } from "../../src/running/describeFaults.ts"
import { nobodysGsrn } from "./checkNeighbours.ts"
import { codeBeneath, failed, type Finding, ok, warning, whyUnreached } from "./Finding.ts"

class Unanswered extends Data.TaggedError("Unanswered")<{ readonly why: string }> {}

interface Asked {
  readonly gsrn: string
  readonly validFrom: string
  readonly key: string | undefined
}

interface Answer {
  readonly status: number
  readonly contentType: string
  readonly text: string
  readonly millis: number
}

const mostBytes = ByteSize.mebibytes(1)
const damaged = () => new Unanswered({ why: "the compressed answer is damaged" })
const tooLarge = () => Stream.fail(new Unanswered({ why: "the answer is larger than 1 MiB" }))

/** Asks as the service does. */
const asker = (url: string, patience: Duration.Duration) => {
  const base = url.replace(/\/+$/, "")
  return ({ gsrn, key, validFrom }: Asked): Effect.Effect<Answer, Unanswered, HttpClient.HttpClient> =>
    Effect.gen(function* () {
      const startedAt = yield* Clock.currentTimeMillis
      const request = HttpClientRequest.get(`${base}/accounting_point/${gsrn}`).pipe(
        HttpClientRequest.setUrlParam("valid_from", validFrom),
        HttpClientRequest.acceptJson
      )
      const response = yield* HttpClient.execute(
        key === undefined ? request : HttpClientRequest.bearerToken(request, key)
      )
      const body = yield* decompressedBody(response.stream, response.headers["content-encoding"], damaged)
      const text = yield* body.pipe(
        Stream.limitBytes<HttpClientError.HttpClientError | Unanswered, never>(mostBytes, tooLarge),
        Stream.decodeText,
        Stream.mkString
      )
      const millis = (yield* Clock.currentTimeMillis) - startedAt
      return { status: response.status, contentType: response.headers["content-type"] ?? "none", text, millis }
    }).pipe(
      Effect.scoped,
      Effect.catchTag("HttpClientError", (error) => {
        const code = codeBeneath(error)
        return Effect.fail(
          new Unanswered({ why: whyUnreached(new URL(url).host, code) ?? `no answer (${code ?? "cut off"})` })
        )
      }),
      Effect.timeoutOrElse({
        duration: patience,
        orElse: () => Effect.fail(new Unanswered({ why: `no answer within ${Duration.format(patience)}` }))
      })
    )
}

const decode = Schema.decodeUnknownEffect(Schema.fromJsonString(AdapterBody), { errors: "all" })

const bodyFindings = (gsrn: Gsrn, { contentType, text }: Answer) =>
  decode(text).pipe(
    Effect.map((body): ReadonlyArray<Finding> => {
      const answer = answerFromBody(gsrn, body)
      if (typeof answer === "string") return [failed("body", answer, "see docs/adapter-authors.md")]
      const rows = Object.values(answer.timelines).reduce((sum, timeline) => sum + timeline.length, 0)
      return [ok("body", `as the contract has it, ${rows} rows`)]
    }),
    Effect.catchTag("SchemaError", (error) =>
      Effect.succeed([failed("body", describeFaults("the answer", error), "see docs/adapter-authors.md")])
    ),
    Effect.map((findings) =>
      /^application\/(?:[\w.-]+\+)?json\b/.test(contentType)
        ? findings
        : [...findings, warning("content type", `is ${contentType}`, "send application/json")]
    )
  )

const statusFinding = (check: string, expected: ReadonlyArray<number>, { status }: Answer, remedy: string): Finding =>
  expected.includes(status)
    ? ok(check, `answers ${status}`)
    : failed(check, `answers ${status}, and ${expected.join(" or ")} is expected`, remedy)

/** The same moment as it is written with an offset, whose plus sign must survive its way. */
const withOffset = (instant: Instant): string => formatInstant(instant + 3_600_000).replace("Z", "+01:00")

/** An accounting point's number with a wrong check digit. */
const misspelt = (gsrn: string): string => `${gsrn.slice(0, -1)}${(Number(gsrn.at(-1)) + 1) % 10}`

export const checkContract = Effect.fnUntraced(function* (gsrn: Gsrn) {
  const url = yield* Settings.ADAPTER_URL.config
  if (url === undefined) return [failed("adapter", "ADAPTER_URL is not set", "set it, and ADAPTER_API_KEY")]
  const secret = yield* Settings.ADAPTER_API_KEY.config
  const key = secret === undefined ? undefined : Redacted.value(secret)
  const patience = yield* Settings.ADAPTER_TIMEOUT.config
  const now = yield* Clock.currentTimeMillis
  const ask = asker(url, patience)
  const asked = { gsrn, key, validFrom: formatInstant(now) }
  const tried = (check: string, one: Asked, judge: (answer: Answer) => Finding) =>
    ask(one).pipe(
      Effect.map(judge),
      Effect.catchTag("Unanswered", ({ why }) => Effect.succeed(failed(check, why, "answer each request")))
    )

  const known = yield* Effect.result(ask(asked))
  if (known._tag === "Failure") {
    return [failed("known", known.failure.why, "check ADAPTER_URL, and whether the adapter runs")]
  }
  const first = known.success
  // Behind a key that is refused nothing can be told.
  if (first.status === 401 || first.status === 403) {
    const found =
      key === undefined ? "ADAPTER_API_KEY is not set" : `the adapter refuses ADAPTER_API_KEY (${first.status})`
    return [failed("known", found, "set the key that the adapter knows")]
  }
  const findings: Array<Finding> = [
    statusFinding("known", [200], first, "ask for an accounting point that the adapter knows; see its log")
  ]
  if (first.status === 200) {
    findings.push(...(yield* bodyFindings(gsrn, first)))
    const slow = first.millis > Duration.toMillis(patience) / 2
    findings.push(
      slow
        ? warning(
            "speed",
            `took ${first.millis} ms of ${Duration.format(patience)}`,
            "answer sooner, or raise ADAPTER_TIMEOUT"
          )
        : ok("speed", `${first.millis} ms`)
    )
    findings.push(
      yield* tried("time with an offset", { ...asked, validFrom: withOffset(now) }, (answer) =>
        statusFinding(
          "time with an offset",
          [200],
          answer,
          "read valid_from as RFC 3339 with any offset, %2B being a plus sign"
        )
      ),
      yield* tried("earlier time", { ...asked, validFrom: formatInstant(now - 365 * 86_400_000) }, (answer) =>
        statusFinding("earlier time", [200], answer, "a time before the first row is answered with what there is")
      )
    )
  }
  findings.push(
    yield* tried("unknown", { ...asked, gsrn: nobodysGsrn }, (answer) =>
      statusFinding("unknown", [404], answer, "an accounting point that does not exist is a 404, and nothing else is")
    ),
    yield* tried("misspelt", { ...asked, gsrn: misspelt(gsrn) }, (answer) =>
      statusFinding("misspelt", [400, 404], answer, "a GSRN with a wrong check digit is no accounting point's")
    ),
    yield* tried("without a key", { ...asked, key: undefined }, (answer) =>
      statusFinding("without a key", [401, 403], answer, "let nobody in without a key: the answers are personal data")
    ),
    yield* tried("wrong key", { ...asked, key: "no-key-of-this-adapter" }, (answer) =>
      statusFinding("wrong key", [401, 403], answer, "refuse a key that was never given out")
    )
  )
  return findings
}, Effect.provide(NodeHttpClient.layerUndici))
