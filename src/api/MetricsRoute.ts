/**
 * What is measured, at `/metrics`. No key is needed: labels are our own words and the addresses of servers, never what callers sent.
 *
 * What is found out by looking is looked at first, and waited for two seconds at most.
 */
import { Effect } from "effect"
import { HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"
import { lookAround } from "../running/Observed.ts"
import { allSnapshots } from "../running/OtherSnapshots.ts"
import { contentTypes, formatFor, metricsText } from "./metricsText.ts"

export const MetricsRoute = HttpRouter.add(
  "GET",
  "/metrics",
  Effect.gen(function* () {
    const { headers } = yield* HttpServerRequest.HttpServerRequest
    const format = formatFor(headers["accept"])
    yield* lookAround
    return HttpServerResponse.text(metricsText(yield* allSnapshots, format), {
      contentType: contentTypes[format],
      headers: { vary: "accept" }
    })
  })
)
