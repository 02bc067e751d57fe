/**
 * Says in the log that the adapter answers in a way that cannot be used, and what is wrong: for each kind of fault a line for each of
 * the first points, then at most one a minute that counts, and one when no point has it any more, however many there are and
 * however often they are asked for.
 *
 * A point is named by its GSRN, a fault by fields and rules. What an instance has said is forgotten when it ends.
 */
import { Clock, Effect } from "effect"
import type { Gsrn } from "../domain/Identifiers.ts"
import type { Instant } from "../domain/Instant.ts"
import type { AdapterClient } from "./AdapterClient.ts"

/** Points whose faults are remembered; beyond that the one that was asked for longest ago is forgotten. */
const remembered = 10_000
/** Kinds that are told apart; beyond that they are one. */
const mostKinds = 20
/** Points that are named. */
const named = 5
const minute = 60_000
/** Points that fail are asked for again every few hours; one that was not for so long is not kept any more. */
const forgottenAfter = 24 * 60 * minute

/** Of one kind of fault. It is kept for a minute after its end, so that one that comes and goes is not told each time. */
interface Spell {
  since: Instant
  /** Points that have it now, and all that had it. */
  points: number
  had: number
  /** Lines that named a point. */
  named: number
  /** Points that no line has told of yet. */
  untold: number
  lastLineAt: Instant
  isTold: boolean
}

/** The same fault in another row is the same kind. */
const kindOf = (fault: string): string => fault.replaceAll(/\[\d+\]/g, "[]").slice(0, 500)

const about = (gsrn: Gsrn, line: Effect.Effect<void>) => Effect.annotateLogs(line, "accounting_point", gsrn)

/** The client, which tells of its answers. */
export const tellOfAnswers = (client: AdapterClient["Service"]): AdapterClient["Service"] => {
  const faults = new Map<Gsrn, { readonly kind: string; readonly at: Instant }>()
  const spells = new Map<string, Spell>()

  const spellOf = (kind: string, now: Instant): Spell => {
    const known = spells.get(kind)
    if (known !== undefined && (known.points > 0 || now - known.since < minute)) return known
    const begun = { since: now, points: 0, had: 0, named: 0, untold: 0, lastLineAt: now, isTold: false }
    spells.set(kind, begun)
    return begun
  }
  const knownKind = (kind: string, now: Instant): string => {
    for (const [other, { points, since }] of spells) if (points === 0 && now - since >= minute) spells.delete(other)
    return spells.has(kind) || spells.size < mostKinds ? kind : "other faults"
  }
  /** The point has its fault no more; the spell, if that was the last one and its beginning was told. */
  const leave = (gsrn: Gsrn): { readonly kind: string; readonly spell: Spell } | undefined => {
    const kind = faults.get(gsrn)?.kind
    const spell = kind === undefined ? undefined : spells.get(kind)
    faults.delete(gsrn)
    if (kind === undefined || spell === undefined) return undefined
    spell.points -= 1
    if (spell.points > 0 || !spell.isTold) return undefined
    spell.isTold = false
    return { kind, spell }
  }
  const forgetOld = (now: Instant) => {
    for (const [gsrn, { at }] of faults) {
      if (faults.size < remembered && now - at < forgottenAfter) return
      leave(gsrn)
    }
  }
  const ended = (gsrn: Gsrn, now: Instant) => {
    const last = leave(gsrn)
    if (last === undefined) return Effect.void
    const { had, since } = last.spell
    const seconds = Math.round((now - since) / 1000)
    const whom = had === 1 ? "an accounting point" : `${had} accounting points`
    return about(
      gsrn,
      Effect.logInfo(`adapter: the answers about ${whom} can be used again, after ${seconds} s: ${last.kind}`)
    )
  }
  const note = (gsrn: Gsrn, fault: string) =>
    Effect.flatMap(Clock.currentTimeMillis, (now) => {
      const kind = knownKind(kindOf(fault), now)
      const isNew = faults.get(gsrn)?.kind !== kind
      const end = isNew ? ended(gsrn, now) : Effect.void
      faults.delete(gsrn)
      forgetOld(now)
      const spell = spellOf(kind, now)
      faults.set(gsrn, { kind, at: now })
      if (isNew) {
        spell.points += 1
        spell.had += 1
        spell.untold += 1
      }
      const isNamed = isNew && spell.named < named
      if (!isNamed && (spell.untold === 0 || now - spell.lastLineAt < minute)) return end
      const { untold } = spell
      spell.named += isNamed ? 1 : 0
      spell.untold = isNamed ? untold - 1 : 0
      spell.lastLineAt = now
      spell.isTold = true
      return Effect.andThen(
        end,
        isNamed
          ? about(gsrn, Effect.logWarning(`adapter: the answer about an accounting point cannot be used: ${fault}`))
          : Effect.logWarning(
              `adapter: the answers about ${untold} more accounting points cannot be used, ${spell.points} in all: ${kind}`
            )
      )
    })
  const clear = (gsrn: Gsrn) =>
    Effect.suspend(() =>
      faults.has(gsrn) ? Effect.flatMap(Clock.currentTimeMillis, (now) => ended(gsrn, now)) : Effect.void
    )
  return {
    ...client,
    fetch: (gsrn, validFrom, within) =>
      client.fetch(gsrn, validFrom, within).pipe(
        Effect.tap(() => clear(gsrn)),
        Effect.tapError((error) => {
          if (error._tag === "AccountingPointUnknown") return clear(gsrn)
          return error.kind === "invalid" ? note(gsrn, error.detail) : Effect.void
        })
      )
  }
}
