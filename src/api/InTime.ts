/**
 * A deadline over a whole request. Each statement and each call has one of its own, but a request makes several, and where all
 * are slow and none is late their sum would keep the caller waiting.
 *
 * Lookups do without: theirs is in `Lookup`, where it costs nothing as long as the copy answers.
 */
import { Effect, Layer } from "effect"
import { HttpApiMiddleware } from "effect/http-api"
import { answerWithin } from "../lookup/answerWithin.ts"
import { AdapterClient } from "../sync/AdapterClient.ts"
import { problems, refuse } from "./Problems.ts"

export const tooSlow = () => refuse("too-slow", "this could not be answered in time", { "retry-after": 1 })

export class InTime extends HttpApiMiddleware.Service<InTime>()("penstock/api/InTime", { error: problems[503] }) {
  static readonly layer = Layer.effect(
    InTime,
    Effect.map(AdapterClient, (adapter) => {
      const duration = answerWithin(adapter)
      return InTime.of((answer) => Effect.timeoutOrElse(answer, { duration, orElse: tooSlow }))
    })
  )
}
