/**
 * How sides are measured against each other: taking turns, A B, B A, A B …, so that what else the machine does meanwhile
 * falls on all of them.
 *
 * The order is turned round every time, because whoever comes second finds warm caches, or a database that is still
 * writing what the first one left.
 */
import { Console, Duration, Effect } from "effect"

/** One measurement of each side. */
export type Turn<Sides> = { readonly [Side in keyof Sides]: Effect.Success<Sides[Side]> }

/** Any of the sides. */
type Side<Sides extends Readonly<Record<string, Effect.Effect<unknown, unknown, unknown>>>> = Effect.Effect<
  unknown,
  Effect.Error<Sides[string]>,
  Effect.Services<Sides[string]>
>

export interface RoundsOptions {
  /** Told while it runs. */
  readonly name: string
  readonly rounds: number
  /** Rounds before the first that counts, until what is compiled at run time is compiled; 1 unless said. */
  readonly warmUps?: number
}

/** Takes every side once a round, for all rounds; what the warm-up gave is thrown away. */
export const takeTurns = Effect.fnUntraced(function* <
  const Sides extends Readonly<Record<string, Effect.Effect<unknown, unknown, unknown>>>
>(
  { name, rounds, warmUps = 1 }: RoundsOptions,
  sides: Sides
): Effect.fn.Return<ReadonlyArray<Turn<Sides>>, Effect.Error<Sides[string]>, Effect.Services<Sides[string]>> {
  const turns: Array<Turn<Sides>> = []
  for (let round = -warmUps; round < rounds; round++) {
    const inOrder = round % 2 === 0 ? Object.keys(sides) : Object.keys(sides).toReversed()
    const turn: Record<string, unknown> = {}
    for (const side of inOrder) turn[side] = yield* sides[side] as Side<Sides>
    if (round < 0) continue
    yield* Console.error(`  ${name}: round ${round + 1} of ${rounds}`)
    turns.push(turn as Turn<Sides>)
  }
  return turns
})

/** How many things a second were done, by an effect that says how many it did. */
export const perSecond = <E, R>(work: Effect.Effect<number, E, R>): Effect.Effect<number, E, R> =>
  Effect.map(Effect.timed(work), ([took, count]) => count / Duration.toSeconds(took))

/** Milliseconds that an effect takes. */
export const milliseconds = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<number, E, R> =>
  Effect.map(Effect.timed(effect), ([took]) => Duration.toMillis(took))
