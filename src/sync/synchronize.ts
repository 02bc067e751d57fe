/**
 * How one accounting point is brought up to date: ask the adapter, then merge under the update lock.
 *
 * Two ways in. A lookup writes unless an answer fetched later is kept already; a background sync writes only if nobody
 * wrote since its claim. Either way no older payload overwrites a newer one.
 */
import { Clock, Effect } from "effect"
import type { AccountingPointAnswer } from "../domain/AccountingPoint.ts"
import { strands, timelineNames, type TimelineName } from "../domain/AccountingPoint.ts"
import type { Gsrn } from "../domain/Identifiers.ts"
import type { Instant } from "../domain/Instant.ts"
import { askFrom } from "../domain/OsloDay.ts"
import { isUnchanged, mergeTimeline, type TimelineChange } from "../domain/Timeline.ts"
import { AccountingPointStore, type AccountingPointChange, type KeptAccountingPoint } from "./AccountingPointStore.ts"
import { AdapterClient } from "./AdapterClient.ts"
import { type Claim, type FetchTicket, LockStore } from "./LockStore.ts"

/** `superseded`: someone kept newer data meanwhile, so nothing was written. */
export type SyncOutcome = "changed" | "unchanged" | "superseded"

/** Fetches and merges on behalf of a lookup; the accounting point is created if it was not here. */
export const refresh = Effect.fn("synchronize.refresh")(function* (gsrn: Gsrn) {
  const locks = yield* LockStore
  const store = yield* AccountingPointStore
  const ticket = yield* locks.ticket(gsrn)
  const asked = yield* askedFrom(ticket)
  const adapter = yield* AdapterClient
  const answer = yield* adapter.fetch(gsrn, asked)
  const id = ticket.accountingPointId ?? (yield* store.ensure(gsrn))
  return yield* locks.withUpdateLock(id, (held) =>
    held.fetchedAt >= ticket.startedAt ? Effect.succeed<SyncOutcome>("superseded") : keep(id, ticket, answer, asked)
  )
})

/** Fetches and merges what the background sync has claimed. */
export const syncClaim = Effect.fn("synchronize.syncClaim")(function* (claim: Claim) {
  const locks = yield* LockStore
  const asked = yield* askedFrom(claim)
  const adapter = yield* AdapterClient
  const answer = yield* adapter.fetch(claim.gsrn, asked)
  return yield* locks.withUpdateLock(claim.accountingPointId, (held) =>
    held.version === claim.version
      ? keep(claim.accountingPointId, claim, answer, asked)
      : Effect.succeed<SyncOutcome>("superseded")
  )
})

const askedFrom = (ticket: FetchTicket): Effect.Effect<Instant> =>
  Effect.map(Clock.currentTimeMillis, (now) => askFrom(now, ticket.earliestStartDate))

const keep = Effect.fnUntraced(function* (
  id: number,
  ticket: FetchTicket,
  answer: AccountingPointAnswer,
  asked: Instant
) {
  const locks = yield* LockStore
  const store = yield* AccountingPointStore
  const change = difference(yield* store.read(id), answer, asked)
  if (change !== undefined) yield* store.write(id, change)
  yield* locks.finalise(id, ticket)
  return (change === undefined ? "unchanged" : "changed") satisfies SyncOutcome
})

/** What must be written so that the copy agrees with the answer; none when it does. */
export const difference = (
  kept: KeptAccountingPoint,
  answer: AccountingPointAnswer,
  asked: Instant
): AccountingPointChange | undefined => {
  const timelines: Partial<Record<TimelineName, TimelineChange>> = {}
  for (const name of timelineNames) {
    const wanted = strands(name, answer.timelines[name])
    const changes = strands(name, kept.timelines[name]).map((strand, i) => mergeTimeline(strand, wanted[i]!, asked))
    const change = {
      remove: changes.flatMap((each) => each.remove),
      update: changes.flatMap((each) => each.update),
      insert: changes.flatMap((each) => each.insert)
    }
    if (!isUnchanged(change)) timelines[name] = change
  }
  const moved =
    kept.location?.latitude !== answer.location?.latitude || kept.location?.longitude !== answer.location?.longitude
  if (!moved && Object.keys(timelines).length === 0) return undefined
  return { timelines, location: moved ? (answer.location ?? null) : undefined, entityTypes: answer.entityTypes }
}
