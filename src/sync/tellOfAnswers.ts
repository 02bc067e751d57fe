/**
 * Says in the log which accounting points the adapter answers about in a way that cannot be used, and what is wrong: a line when
 * it begins or becomes another fault, and one when it is over, however often the point is asked for in between.
 *
 * A point is named by its GSRN, a fault by fields and rules. What an instance has said is forgotten when it ends.
 */
import { Effect } from "effect"
import type { Gsrn } from "../domain/Identifiers.ts"
import type { AdapterClient } from "./AdapterClient.ts"

/** Points whose faults are remembered; beyond that the oldest are forgotten, and logged again. */
const remembered = 10_000

/** The client, which tells of its answers. */
export const tellOfAnswers = (client: AdapterClient["Service"]): AdapterClient["Service"] => {
  const told = new Map<Gsrn, string>()
  const note = (gsrn: Gsrn, fault: string) =>
    Effect.suspend(() => {
      if (told.get(gsrn) === fault) return Effect.void
      const [oldest] = told.keys()
      if (told.size >= remembered && oldest !== undefined) told.delete(oldest)
      told.set(gsrn, fault)
      return Effect.annotateLogs(
        Effect.logWarning(`adapter: the answer about an accounting point cannot be used: ${fault}`),
        "accounting_point",
        gsrn
      )
    })
  const clear = (gsrn: Gsrn) =>
    Effect.suspend(() =>
      told.delete(gsrn)
        ? Effect.annotateLogs(
            Effect.logInfo("adapter: the answer about an accounting point can be used again"),
            "accounting_point",
            gsrn
          )
        : Effect.void
    )
  return {
    ...client,
    fetch: (gsrn, validFrom, within) =>
      client.fetch(gsrn, validFrom, within).pipe(
        Effect.tap(() => clear(gsrn)),
        Effect.tapError((error) =>
          error._tag === "AdapterFailure" && error.kind === "invalid" ? note(gsrn, error.detail) : Effect.void
        )
      )
  }
}
