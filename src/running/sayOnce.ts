/**
 * One line of the log for a spell of the same trouble, however often it shows: again only after a minute without it.
 *
 * For what has no end that could be told. Where there is one, the line at the end belongs beside that at the beginning.
 */
import { Clock, Context, Effect } from "effect"

class Spells extends Context.Reference<Map<string, number>>("penstock/running/Spells", {
  defaultValue: () => new Map()
}) {}

/** In milliseconds. */
const forgottenAfter = 60_000
/** Kinds of trouble that are remembered at a time; beyond that the one that was heard of first is forgotten. */
const remembered = 1_000

/** Runs `line` unless `trouble` has shown within the last minute; that it has shown is remembered either way. */
export const sayOnce = (trouble: string, line: Effect.Effect<void>): Effect.Effect<void> =>
  Effect.gen(function* () {
    const spells = yield* Spells
    const now = yield* Clock.currentTimeMillis
    const last = spells.get(trouble)
    spells.delete(trouble)
    spells.set(trouble, now)
    const [oldest] = spells.keys()
    if (spells.size > remembered && oldest !== undefined) spells.delete(oldest)
    if (last === undefined || Math.abs(now - last) > forgottenAfter) yield* line
  })
