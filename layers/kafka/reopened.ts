/**
 * Something that is opened when it is first needed, shared by all who use it, and opened anew after a use has failed.
 *
 * For connections that are not worth mending: whoever fails closes them, and whoever comes next gets new ones.
 */
import { Effect, Exit, Scope, Semaphore } from "effect"

/** `use` runs a program with what `open` gives, which stays open until a program fails or the surrounding scope closes. */
export const reopened = Effect.fnUntraced(function* <S, E>(open: Effect.Effect<S, E, Scope.Scope>) {
  interface Session {
    readonly value: S
    readonly scope: Scope.Closeable
  }
  const turn = yield* Semaphore.make(1)
  let current: Session | undefined

  const close = (session: Session | undefined) =>
    Effect.suspend(() => {
      if (session === undefined) return Effect.void
      if (current === session) current = undefined
      return Scope.close(session.scope, Exit.void)
    })
  yield* Effect.addFinalizer(() => close(current))

  const openOnce = turn.withPermit(
    Effect.uninterruptibleMask((restore) =>
      Effect.gen(function* () {
        if (current !== undefined) return current
        const scope = yield* Scope.make()
        const value = yield* restore(Scope.provide(open, scope)).pipe(
          Effect.onError(() => Scope.close(scope, Exit.void))
        )
        current = { value, scope }
        return current
      })
    )
  )

  return <A, E2, R>(use: (value: S) => Effect.Effect<A, E2, R>): Effect.Effect<A, E | E2, R> =>
    Effect.flatMap(openOnce, (session) => Effect.onError(use(session.value), () => close(session)))
})
