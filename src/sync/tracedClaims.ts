/**
 * Where the traces of claimed syncs begin: with the event that is followed, or with the claim.
 *
 * A sync goes on in the trace of the event it follows. Where one request told of many accounting points, their syncs would make
 * a trace of thousands of spans: then they belong to the claim and are linked to the request, as the one is to the claim.
 */
import { Effect } from "effect"
import { lookWhereTraced } from "../running/spanWhereTraced.ts"
import { linkTo, spanOfTraceparent } from "../running/traceContext.ts"
import type { Claim } from "./LockStore.ts"

/** The claim, with where each of its syncs belongs in a trace; without a tracer the claims as they are. */
export const tracedClaims = <E, R>(
  claim: Effect.Effect<ReadonlyArray<Claim>, E, R>
): Effect.Effect<ReadonlyArray<Claim>, E, R> =>
  Effect.map(
    lookWhereTraced(claim, ({ length }) =>
      length === 0 ? undefined : { name: "claim accounting points", attributes: { "penstock.claim.size": length } }
    ),
    ([claims, span]) => {
      if (span === undefined) return claims
      const told = Map.groupBy(claims, ({ eventTrace }) => eventTrace)
      return claims.map((one): Claim => {
        const event = spanOfTraceparent(one.eventTrace)
        if (event === undefined) return { ...one, trace: { parent: span } }
        const isAlone = told.get(one.eventTrace)?.length === 1
        return {
          ...one,
          trace: isAlone ? { parent: event, links: [linkTo(span)] } : { parent: span, links: [linkTo(event)] }
        }
      })
    }
  )
