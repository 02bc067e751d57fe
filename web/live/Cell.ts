/** A value that views follow: they are drawn anew when it changes. */
import { useEffect, useState } from "preact/hooks"

export interface Cell<A> {
  readonly get: () => A
  readonly set: (value: A) => void
  /** Calls back at each change, until what it returns is called. */
  readonly follow: (changed: (value: A) => void) => () => void
}

export const makeCell = <A>(initial: A): Cell<A> => {
  let current = initial
  const followers = new Set<(value: A) => void>()
  return {
    get: () => current,
    set: (value) => {
      if (Object.is(value, current)) return
      current = value
      for (const changed of followers) changed(value)
    },
    follow: (changed) => {
      followers.add(changed)
      return () => void followers.delete(changed)
    }
  }
}

/** The value, or what is made of it: a view is drawn anew only when that changes. */
export const useCell = <A, B = A>(cell: Cell<A>, pick: (value: A) => B = (value) => value as unknown as B): B => {
  const [picked, setPicked] = useState(() => pick(cell.get()))
  useEffect(() => {
    setPicked(pick(cell.get()))
    return cell.follow((value) => setPicked(pick(value)))
  }, [cell])
  return picked
}
