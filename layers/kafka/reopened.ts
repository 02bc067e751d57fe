/**
 * Something that is opened when it is first needed, shared by all who use it, and opened anew after a use has failed.
 *
 * For connections that are not worth mending: a program that fails gives them up, and the next one gets new ones. They are closed
 * once no program uses them any more.
 */
import { Duration, Effect, RcRef, type Scope } from "effect"

/** `use` runs a program with what `open` gives, which stays open until a program fails or the surrounding scope closes. */
export const reopened = <S, E, R>(open: Effect.Effect<S, E, R | Scope.Scope>) =>
  Effect.map(
    RcRef.make({ acquire: open, idleTimeToLive: Duration.infinity }),
    (session) =>
      <A, E2, R2>(use: (value: S) => Effect.Effect<A, E2, R2>): Effect.Effect<A, E | E2, Exclude<R2, Scope.Scope>> =>
        Effect.scoped(
          Effect.flatMap(RcRef.get(session), (value) => Effect.onError(use(value), () => RcRef.invalidate(session)))
        )
  )
