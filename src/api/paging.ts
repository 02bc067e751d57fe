/**
 * Lists in pages: every list of the API has the same form, and its cursor goes back as it came.
 *
 * A page begins after an id, so that it does not shift while rows come and go. A store is asked for one row more than a page
 * holds: if it is there, there is a next page.
 */
import { Schema } from "effect"

/** Part of a list, in the order of ids: those after `after`. */
export interface Window {
  readonly after: number
  readonly limit: number
}

export const defaultLimit = 100

/** What of a list is wanted, as a query says it. */
export const windowQuery = {
  limit: Schema.optionalKey(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 1_000 }))),
  cursor: Schema.optionalKey(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER })))
}

export const windowOf = (query: { readonly limit?: number; readonly cursor?: number }): Window => ({
  after: query.cursor ?? 0,
  limit: query.limit ?? defaultLimit
})

export const oneMore = <W extends Window>(window: W): W => ({ ...window, limit: window.limit + 1 })

export const PageOf = <S extends Schema.Top>(item: S) =>
  Schema.Struct({ items: Schema.Array(item), next_cursor: Schema.NullOr(Schema.String) })

/** A page of what `oneMore` found. */
export const pageOf = <A extends { readonly id: number }>(found: ReadonlyArray<A>, limit: number) => {
  const items = found.slice(0, limit)
  const last = items.at(-1)
  return { items, next_cursor: found.length > limit && last !== undefined ? String(last.id) : null }
}
