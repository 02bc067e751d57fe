/**
 * What fails holds up nobody else: while a fault goes on, those whom it is not about are served and asked as before.
 *
 * Judged only of faults that began when all was well and lasted long enough to tell; and of a server only if it was asked now and then just
 * before, since it may have nothing that is due, or be left alone for what an earlier fault made of it, but for a trial.
 */
import { Effect } from "effect"
import type { ChaosWorld, Spared } from "./ChaosFault.ts"
import type { Asked } from "./ChaosLedger.ts"
import { checked } from "./Checked.ts"

/** Milliseconds; shorter tells nothing. */
const enough = 6_000
/** What a fault did at its beginning may take so long to be noticed. */
const notice = 2_000
const before = 4_000
const fewestLookups = 4
const fewestRequests = 4

export interface Lasted {
  readonly text: string
  readonly from: number
  readonly to: number
  readonly spares: Spared
}

const served = ({ at, kind, status }: Asked, instance: Asked["instance"], number: number, { from, to }: Lasted) =>
  kind === "lookup" && instance === number && at > from + notice && at < to - notice ? [status] : []

const lookupsAt = (number: number, fault: Lasted, asked: ReadonlyArray<Asked>): ReadonlyArray<string> => {
  const statuses = asked.flatMap((one) => served(one, one.instance, number, fault))
  const good = statuses.filter((status) => status !== undefined && status < 500).length
  return statuses.length < fewestLookups || 2 * good >= statuses.length
    ? []
    : [`of ${statuses.length} lookups at instance ${number} ${good} were served during ${fault.text}`]
}

/** `startedAt` of the run is for the texts. */
export const sparedPromises = Effect.fnUntraced(function* (
  { hilltop }: ChaosWorld,
  fault: Lasted,
  asked: ReadonlyArray<Asked>
) {
  const { from, spares, text, to } = fault
  const { councils = [], lookupsAt: instances = [] } = spares
  if (to - from < enough) return checked("spared", 0, "looks at who is not meant by a fault")
  const idle = yield* Effect.forEach(councils, (council) =>
    Effect.gen(function* () {
      const origin = hilltop.origins[council - 1]
      const earlier = yield* hilltop.requestsBetween(from - before, from, origin)
      const meanwhile = yield* hilltop.requestsBetween(from + notice, to, origin)
      return earlier.length < fewestRequests || meanwhile.length > 0
        ? []
        : [`Hilltop server ${council} was not asked during ${text}`]
    })
  )
  return checked("spared", councils.length + instances.length, "looks at who is not meant by a fault", [
    ...idle.flat(),
    ...instances.flatMap((number) => lookupsAt(number, fault, asked))
  ])
})
