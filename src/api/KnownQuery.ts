/**
 * Refuses query parameters that an operation does not have: a misspelt filter would otherwise be a list of everything.
 *
 * Comes after the key was shown, and before anything is read. What is said names what there is, never what was sent.
 */
import { Effect, Layer, type Schema, SchemaAST } from "effect"
import { HttpServerRequest } from "effect/http"
import { HttpApiMiddleware, type HttpApiEndpoint } from "effect/http-api"
import { problems, refuse } from "./Problems.ts"

/** The names as they are in an address. */
const namesOf = (query: Schema.Top | undefined): ReadonlySet<string> => {
  const ast = query === undefined ? undefined : SchemaAST.toEncoded(query.ast)
  return new Set(ast?._tag === "Objects" ? ast.propertySignatures.map(({ name }) => String(name)) : [])
}

const known = new WeakMap<HttpApiEndpoint.Top, ReadonlySet<string>>()
const knownOf = (endpoint: HttpApiEndpoint.Top): ReadonlySet<string> => {
  const names = known.get(endpoint) ?? namesOf(endpoint.query)
  known.set(endpoint, names)
  return names
}

const rule = (names: ReadonlySet<string>): string =>
  names.size === 0
    ? "the query: there must be none"
    : `the query: must have no other parameters than ${[...names].sort().join(", ")}`

const refuseUnknown = (endpoint: HttpApiEndpoint.Top) =>
  Effect.flatMap(HttpServerRequest.ParsedSearchParams, (sent) => {
    const names = knownOf(endpoint)
    const isKnown = Object.keys(sent).every((name) => names.has(name))
    return isKnown ? Effect.void : refuse("malformed-request", rule(names))
  })

export class KnownQuery extends HttpApiMiddleware.Service<KnownQuery>()("penstock/api/KnownQuery", {
  error: problems[400]
}) {
  static readonly layer = Layer.succeed(
    KnownQuery,
    KnownQuery.of((answer, { endpoint }) => Effect.andThen(refuseUnknown(endpoint), answer))
  )
}
