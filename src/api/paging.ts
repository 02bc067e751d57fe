/**
 * Lists in pages: every list of the API has the same form, and its cursor goes back as it came.
 *
 * A page begins after an id, so that it does not shift while rows come and go. A store is asked for one row more than a page
 * holds: if it is there, there is a next page.
 */
import { Schema, SchemaAST } from "effect"
import { storable } from "./Malformed.ts"

/** Part of a list, in the order of ids: those after `after`. */
export interface Window {
  readonly after: number
  readonly limit: number
}

export const defaultLimit = 100

/** What of a list is wanted, as a query says it. */
export const windowQuery = {
  limit: Schema.optionalKey(
    Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 1_000 })).annotate({
      description: `How many at most; ${defaultLimit} unless said.`,
      examples: [10]
    })
  ),
  cursor: Schema.optionalKey(
    Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER })).annotate({
      description: "Where to go on: `next_cursor` of the page before.",
      examples: [0]
    })
  )
}

/** A filter by a part of a name. */
export const partOfName = Schema.optionalKey(
  Schema.String.annotate({
    description: "Found anywhere in a name, whatever the case.",
    examples: ["river"]
  }).check(
    // As JSON Schema and PostgreSQL count them.
    Schema.isBetweenCodePoints(1, 100, {
      message: "must have 1 to 100 characters",
      toJsonSchema: () => ({ minLength: 1, maxLength: 100 })
    }),
    storable
  )
)

export const windowOf = (query: { readonly limit?: number; readonly cursor?: number }): Window => ({
  after: query.cursor ?? 0,
  limit: query.limit ?? defaultLimit
})

export const oneMore = <W extends Window>(window: W): W => ({ ...window, limit: window.limit + 1 })

const NextCursor = Schema.NullOr(Schema.String).annotate({
  description: "What to give as `cursor` for the next page; null where this is the last."
})

/** A page of a list; in the OpenAPI document it has the name of its items. */
export const PageOf = <S extends Schema.Top>(item: S) =>
  Schema.Struct({ items: Schema.Array(item), next_cursor: NextCursor }).annotate({
    identifier: `${SchemaAST.resolveIdentifier(item.ast) ?? ""}Page`,
    description: "A page of a list."
  })

/** A page of what `oneMore` found. */
export const pageOf = <A extends { readonly id: number }>(found: ReadonlyArray<A>, limit: number) => {
  const items = found.slice(0, limit)
  const last = items.at(-1)
  return { items, next_cursor: found.length > limit && last !== undefined ? String(last.id) : null }
}
