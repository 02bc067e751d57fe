/**
 * Who may do what: bearer keys, each good for one scope. No key configured means that nobody gets in.
 *
 * A name may have several keys at a time, so that one can be replaced without a gap. The scope that an endpoint needs is
 * declared by its group (`RequiredScope`). The caller's name goes into the log and the audit trail; the key goes nowhere.
 */
import { Context, Effect, Layer, Redacted } from "effect"
import { HttpApiMiddleware, HttpApiSecurity } from "effect/http-api"
import { CurrentRequest } from "./CurrentRequest.ts"
import { problems, refuse } from "./Problems.ts"

export const scopes = ["lookup", "event", "read", "admin"] as const
export type Scope = (typeof scopes)[number]

export interface GrantedKey {
  readonly scope: Scope
  readonly name: string
  readonly key: Redacted.Redacted
}

/** What a key opens: the name it goes by, in each scope it was granted. */
export type Grants = ReadonlyMap<Scope, string>

export class ApiKeys extends Context.Service<
  ApiKeys,
  {
    /**
     * The scope and name that the key belongs to; nothing when it is no key of ours. How long it takes says nothing about the
     * keys there are.
     */
    readonly grantsOf: (key: Redacted.Redacted) => Effect.Effect<Grants>
  }
>()("penstock/api/ApiKeys") {
  /** Plain comparison, for tests of what lies behind the keys. */
  static readonly layerMemory = (keys: ReadonlyArray<GrantedKey>) =>
    Layer.succeed(
      ApiKeys,
      ApiKeys.of({
        grantsOf: (shown) =>
          Effect.sync(() => {
            const theirs = keys.filter(({ key }) => Redacted.value(key) === Redacted.value(shown))
            return new Map(theirs.map(({ name, scope }) => [scope, name]))
          })
      })
    )
}

/** The name of the key that was shown. */
export class CallerName extends Context.Service<CallerName, string>()("penstock/api/CallerName") {}

/** All that the key that was shown is good for. */
export class CallerGrants extends Context.Service<CallerGrants, Grants>()("penstock/api/CallerGrants") {}

/** The scopes of which the endpoints of a group need one, the least of them first. */
export class RequiredScope extends Context.Service<RequiredScope, ReadonlyArray<Scope>>()(
  "penstock/api/RequiredScope"
) {}

export class Authorization extends HttpApiMiddleware.Service<Authorization, { provides: CallerName | CallerGrants }>()(
  "penstock/api/Authorization",
  { security: { bearer: HttpApiSecurity.bearer }, error: [problems[401], problems[403]] }
) {
  static readonly layer = Layer.effect(
    Authorization,
    Effect.gen(function* () {
      const keys = yield* ApiKeys
      return Authorization.of({
        bearer: Effect.fnUntraced(function* (answer, { credential, group }) {
          if (Redacted.value(credential) === "") {
            return yield* refuse("unauthorized", "a bearer key is needed", {
              "www-authenticate": `Bearer realm="penstock"`
            })
          }
          const grants = yield* keys.grantsOf(credential)
          if (grants.size === 0) {
            return yield* refuse("unauthorized", "this key is not valid", {
              "www-authenticate": `Bearer realm="penstock", error="invalid_token"`
            })
          }
          const needed = Context.getUnsafe(group.annotations, RequiredScope)
          const name = needed.map((scope) => grants.get(scope)).find((one) => one !== undefined)
          const request = yield* CurrentRequest
          request.caller = name ?? grants.values().next().value
          if (name === undefined) {
            const rule = `a key of the scope ${needed.join(" or ")} is needed`
            return yield* refuse("insufficient-scope", `insufficient scope: ${rule}`, {
              "www-authenticate": `Bearer realm="penstock", error="insufficient_scope", scope="${needed.join(" ")}"`
            })
          }
          return yield* answer.pipe(
            Effect.provideService(CallerName, name),
            Effect.provideService(CallerGrants, grants)
          )
        })
      })
    })
  )
}
