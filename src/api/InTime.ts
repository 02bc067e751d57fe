/**
 * A deadline over a whole request. Each statement and each call has one of its own, but a request makes several, and where all
 * are slow and none is late their sum would keep the caller waiting.
 *
 * Every group has it, or says that it keeps a deadline by itself (`KeepsTime`); a test goes through all of them.
 */
import { Context, type Duration, Effect, Layer, Option } from "effect"
import { HttpApiMiddleware } from "effect/http-api"
import { answerWithin, besidesOthers } from "../lookup/answerWithin.ts"
import { AdapterClient } from "../sync/AdapterClient.ts"
import { problems, refuse } from "./Problems.ts"

/** Of a group whose requests are given up by the programs that answer them, which costs less or may be told more exactly. */
export class KeepsTime extends Context.Service<KeepsTime, true>()("penstock/api/KeepsTime") {}

/** Of a group that asks others than the adapter: how long these may take together. */
export class OthersMayTake extends Context.Service<OthersMayTake, Duration.Duration>()("penstock/api/OthersMayTake") {}

export const tooSlow = () => refuse("too-slow", "this could not be answered in time", { "retry-after": 1 })

export class InTime extends HttpApiMiddleware.Service<InTime>()("penstock/api/InTime", { error: problems[503] }) {
  static readonly layer = Layer.effect(
    InTime,
    Effect.map(AdapterClient, (adapter) => {
      const usual = answerWithin(adapter)
      return InTime.of((answer, { group }) => {
        const others = Context.getOption(group.annotations, OthersMayTake)
        const duration = Option.match(others, { onNone: () => usual, onSome: besidesOthers })
        return Effect.timeoutOrElse(answer, { duration, orElse: tooSlow })
      })
    })
  )
}
