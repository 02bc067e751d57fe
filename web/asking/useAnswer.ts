/**
 * An answer for a view: asked when the path changes, when it is told to, and again by itself after the service was away. What was
 * known stays on the screen meanwhile.
 */
import { useCallback, useEffect, useRef, useState } from "preact/hooks"
import { liveState, overview } from "../live/live.ts"
import { ask, Unanswered } from "./ask.ts"

export interface Answer<A> {
  /** The last that came, also while another is asked for; of this path or of the one before. */
  readonly value: A | undefined
  readonly failure: Unanswered | undefined
  readonly asking: boolean
  readonly again: () => void
}

/** Milliseconds between two snapshots at which what follows them is asked for again. */
const renewal = 10_000

/**
 * Nothing is asked for while `path` is undefined. What `follows` is asked for again, without a sign of it, as the snapshots of the
 * service come, so not while nobody looks.
 */
export const useAnswer = <A>(
  path: string | undefined,
  { follows = false }: { readonly follows?: boolean } = {}
): Answer<A> => {
  const quietly = useRef(false)
  const [turn, setTurn] = useState(0)
  const [state, setState] = useState<{ path: string | undefined; value?: A; failure?: Unanswered; asking: boolean }>({
    path: undefined,
    asking: path !== undefined
  })
  const again = useCallback(() => setTurn((before) => before + 1), [])

  useEffect(() => {
    if (path === undefined) return setState({ path, asking: false })
    const stop = new AbortController()
    const isQuiet = quietly.current
    quietly.current = false
    if (!isQuiet) setState((before) => ({ ...before, asking: true }))
    ask<A>(path, { signal: stop.signal }).then(
      (value) => setState({ path, value, asking: false }),
      (failure: unknown) => {
        if (stop.signal.aborted) return
        const known =
          failure instanceof Unanswered ? failure : new Unanswered("refused", 0, "the answer is not readable")
        setState((before) => ({ ...before, path, failure: known, asking: false }))
      }
    )
    return () => stop.abort()
  }, [path, turn])

  useEffect(() => {
    if (!follows) return undefined
    let last = Date.now()
    return overview.follow(() => {
      if (Date.now() - last < renewal) return
      last = Date.now()
      quietly.current = true
      again()
    })
  }, [follows, path])

  // What could not be asked while the service was away is asked when it is back.
  const isAway = state.failure?.kind === "away"
  useEffect(() => {
    if (!isAway) return undefined
    return liveState.follow(({ state: now }) => {
      if (now === "live") again()
    })
  }, [isAway])

  return { value: state.value, failure: state.failure, asking: state.asking, again }
}
