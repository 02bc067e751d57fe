/**
 * Builds a layer of handlers in a context of these services and no others.
 *
 * The context in which handlers were built is copied into that of every request, service by service: with all forty
 * services of the whole service, copying took an eighth of the time of a lookup.
 */
import { Context, Effect, Layer } from "effect"

/** The layer, built with what it needs of the services there are. */
export const builtWith =
  <const Keys extends ReadonlyArray<Context.Key<unknown, unknown>>>(...services: Keys) =>
  <A, E, R extends Context.Service.Identifier<Keys[number]>>(layer: Layer.Layer<A, E, R>): Layer.Layer<A, E, R> =>
    Layer.fromBuild((memoMap, scope) =>
      Effect.contextWith((context: Context.Context<R>) =>
        Effect.updateContext(Layer.buildWithMemoMap(layer, memoMap, scope), () => Context.pick(...services)(context))
      )
    )
