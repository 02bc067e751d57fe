/**
 * How much memory answers may take at once, however many are in flight: 32 of 20 MB would be 640 MB before the first of
 * them is parsed.
 *
 * Small answers never wait. A larger one is charged for what it has received, not for what it might become, so that one that
 * trickles in holds little. What is left always suffices to finish the answer that has received most, so that they can never
 * wait for each other in a circle. Parsing an answer takes several times its size, so answers are parsed in turns.
 */
import { Effect, type Scope } from "effect"
import { monotonicMillis } from "../running/monotonicMillis.ts"

export interface AnswerMemoryOptions {
  /** Answers up to this many bytes are free. */
  readonly small: number
  /** Bytes of the largest answer that is accepted. */
  readonly largest: number
  /** Bytes that all answers together may hold; the largest fits in any case. */
  readonly received: number
  /** Bytes of answers that may be worked on at once; a larger answer is worked on alone. */
  readonly worked: number
}

/** Of one answer, given back when its scope closes. */
export interface AnswerShare {
  /** Says that so many bytes have been received in all; waits until there is room for them. */
  readonly grow: (bytes: number) => Effect.Effect<void>
  /** Waits for the answer's turn to be worked on, which ends with the scope. To be called once, when it is complete. */
  readonly turn: Effect.Effect<void>
  /** Milliseconds spent waiting in `grow` so far: no fault of the server. */
  readonly waited: Effect.Effect<number>
}

export interface AnswerMemory {
  readonly share: Effect.Effect<AnswerShare, never, Scope.Scope>
}

export const makeAnswerMemory = ({ largest, received, small, worked }: AnswerMemoryOptions): AnswerMemory => {
  const beyondSmall = (bytes: number) => Math.max(0, bytes - small)
  const most = beyondSmall(largest)
  const bytes = new Room({
    size: Math.max(received, most),
    fits: (part, free, parts) => {
      let furthest = part.wanted
      for (const { held } of parts) furthest = Math.max(furthest, held)
      return free - (part.wanted - part.held) >= most - Math.min(furthest, most)
    },
    inOrder: false
  })
  // In order, so that a large answer has its turn however many smaller ones come.
  const turns = new Room({ size: worked, fits: ({ wanted }, free) => wanted <= free, inOrder: true })
  return {
    share: Effect.map(
      Effect.acquireRelease(
        Effect.sync(() => ({ buffer: newPart(), turn: newPart() })),
        ({ buffer, turn }) =>
          Effect.sync(() => {
            bytes.leave(buffer)
            turns.leave(turn)
          })
      ),
      ({ buffer, turn }): AnswerShare => {
        let total = 0
        let waited = 0
        let since: number | undefined
        const wait = Effect.gen(function* () {
          const before = yield* monotonicMillis
          since = before
          yield* bytes.take(buffer, beyondSmall(total))
          since = undefined
          waited += (yield* monotonicMillis) - before
        })
        return {
          grow: (now) =>
            Effect.suspend(() => {
              total = now
              return beyondSmall(now) <= buffer.held ? Effect.void : wait
            }),
          turn: Effect.suspend(() =>
            total <= small ? Effect.void : turns.take(turn, Math.min(worked, beyondSmall(total)))
          ),
          waited: Effect.map(monotonicMillis, (now) => waited + (since === undefined ? 0 : now - since))
        }
      }
    )
  }
}

/** What one answer has, and what it waits for. */
interface Part {
  held: number
  wanted: number
  proceed: (() => void) | undefined
}

const newPart = (): Part => ({ held: 0, wanted: 0, proceed: undefined })

interface RoomOptions {
  readonly size: number
  readonly fits: (part: Part, free: number, parts: Iterable<Part>) => boolean
  /** Whether an answer that does not fit makes those after it wait as well. */
  readonly inOrder: boolean
}

class Room {
  readonly #fits: RoomOptions["fits"]
  readonly #inOrder: boolean
  /** In the order in which they came. */
  readonly #parts = new Set<Part>()
  #free: number

  constructor({ fits, inOrder, size }: RoomOptions) {
    this.#fits = fits
    this.#inOrder = inOrder
    this.#free = size
  }

  /** Waits until the part has what it wants; it leaves also when this was interrupted. */
  take(part: Part, wanted: number): Effect.Effect<void> {
    return Effect.callback<void>((resume) => {
      part.wanted = wanted
      part.proceed = () => resume(Effect.void)
      this.#parts.add(part)
      this.#serve()
      return Effect.sync(() => {
        part.proceed = undefined
      })
    })
  }

  leave(part: Part): void {
    if (!this.#parts.delete(part)) return
    this.#free += part.held
    part.held = 0
    this.#serve()
  }

  #serve(): void {
    for (const part of this.#parts) {
      const { proceed } = part
      if (proceed === undefined) continue
      if (this.#fits(part, this.#free, this.#parts)) {
        this.#free -= part.wanted - part.held
        part.held = part.wanted
        part.proceed = undefined
        proceed()
      } else if (this.#inOrder) return
    }
  }
}
