/**
 * How one accounting point is brought up to date: ask the adapter, compare with the copy, write under the update lock.
 *
 * Two ways in. A lookup asks again within its deadline, and writes unless an answer fetched later is kept already; a background
 * sync writes only if nobody wrote since its claim. Either way no older payload overwrites a newer one.
 */
import { Clock, Effect } from "effect"
import { type AccountingPointAnswer, difference } from "../domain/AccountingPoint.ts"
import type { Gsrn } from "../domain/Identifiers.ts"
import type { Instant } from "../domain/Instant.ts"
import { askFrom } from "../domain/OsloDay.ts"
import { noteWhereTraced, spanWhereTraced } from "../running/spanWhereTraced.ts"
import { AccountingPointStore, type CopyAtVersion } from "./AccountingPointStore.ts"
import { AdapterClient } from "./AdapterClient.ts"
import { fetchWithinDeadline } from "./fetchWithinDeadline.ts"
import { type Claim, type FetchTicket, LockStore } from "./LockStore.ts"

/** `superseded`: someone kept newer data meanwhile, so nothing was written. */
export type SyncOutcome = "changed" | "unchanged" | "superseded"

/**
 * In microseconds. The fetch of a claim is dated by the claim, whose answer may have been on its way for so long: what was
 * fetched within that time of each other may have been fetched in either order.
 */
const uncertainty = 1_000_000

/** Fetches and merges on behalf of a lookup; the accounting point is created if it was not here. */
export const refresh = (gsrn: Gsrn) =>
  refreshOnce(gsrn).pipe(
    Effect.repeat({ until: (outcome): outcome is SyncOutcome => outcome !== "unclear" }),
    spanWhereTraced("synchronize.refresh")
  )

/** `unclear`: somebody else wrote meanwhile, and nobody can say whose answer is the newer one. */
const refreshOnce = Effect.fnUntraced(function* (gsrn: Gsrn) {
  const locks = yield* LockStore
  const ticket = yield* locks.ticket(gsrn)
  const { answer, asked } = yield* fetch(ticket, fetchWithinDeadline)
  const id = ticket.accountingPointId ?? (yield* AccountingPointStore.use((store) => store.ensure(gsrn)))
  return yield* keep(id, ticket, answer, asked, ({ fetchedAt, version }) => {
    if (fetchedAt >= ticket.startedAt) return "superseded"
    return version !== ticket.version && fetchedAt > ticket.startedAt - uncertainty ? "unclear" : undefined
  })
})

/** What the adapter said of a claim, and since when it is wanted. */
export interface ClaimAnswer {
  readonly claim: Claim
  readonly ticket: FetchTicket
  readonly answer: AccountingPointAnswer
  readonly asked: Instant
}

/** Why what was fetched for a claim is not written over this copy. */
export const obstacleFor =
  (claim: Claim) =>
  ({ version }: CopyAtVersion): "superseded" | undefined =>
    version === claim.version ? undefined : "superseded"

/** Keeps what was fetched for one claim, waiting for whoever holds its row. */
export const keepAlone = ({ answer, asked, claim, ticket }: ClaimAnswer) =>
  keep(claim.accountingPointId, ticket, answer, asked, obstacleFor(claim))

/**
 * Fetches and merges what the background sync has claimed. A claim may have waited minutes for its turn, and its answer is as
 * old as its fetch: else a lookup that began in between would take its own older answer for the newer one.
 */
export const syncClaim = (claim: Claim, keepAnswer: typeof keepAlone = keepAlone) =>
  Effect.flatMap(fetchClaim(claim), keepAnswer).pipe(
    Effect.tap((outcome) => noteWhereTraced(() => ({ "penstock.sync.outcome": outcome }))),
    spanWhereTraced("synchronize.syncClaim", () => ({
      ...claim.trace,
      attributes: { "penstock.accounting_point.id": claim.accountingPointId, "penstock.sync.failures": claim.failures }
    }))
  )

const fetchClaim = Effect.fnUntraced(function* (claim: Claim) {
  const waited = Number((yield* Clock.monotonicTimeNanos) - claim.receivedAt) / 1000
  const ticket: FetchTicket = { ...claim, startedAt: claim.startedAt + Math.max(0, waited) }
  const { answer, asked } = yield* fetch(ticket, (adapter, gsrn, asked) => adapter.fetch(gsrn, asked))
  return { claim, ticket, answer, asked } satisfies ClaimAnswer
})

/** Asks as `ask` does for the time from which the ticket's data are wanted. */
const fetch = Effect.fnUntraced(function* (ticket: FetchTicket, ask: typeof fetchWithinDeadline) {
  const adapter = yield* AdapterClient
  const asked = askFrom(yield* Clock.currentTimeMillis, ticket.earliestStartDate)
  return { answer: yield* ask(adapter, ticket.gsrn, asked), asked }
})

/**
 * Two round trips: read, and write if the copy is still the one that was read. If it is not, someone else has written, and
 * what they wrote is looked at anew; that ends, since each time around another writer has made progress.
 */
const keep = Effect.fnUntraced(function* <Obstacle extends string>(
  id: number,
  ticket: FetchTicket,
  answer: AccountingPointAnswer,
  asked: Instant,
  obstacleIn: (copy: CopyAtVersion) => Obstacle | undefined
): Effect.fn.Return<
  SyncOutcome | Obstacle,
  Effect.Error<ReturnType<LockStore["Service"]["update"]>>,
  LockStore | AccountingPointStore
> {
  const locks = yield* LockStore
  const store = yield* AccountingPointStore
  while (true) {
    const copy = yield* store.read(id)
    const obstacle = obstacleIn(copy)
    if (obstacle !== undefined) return obstacle
    const change = difference(copy, answer, asked)
    if (yield* locks.update(id, { version: copy.version, ticket, change })) {
      return change === undefined ? "unchanged" : "changed"
    }
  }
})
