/**
 * Where addresses lead that were redirected when the budget had no room for one more request: the next time they are asked there.
 *
 * A server that may be asked once a minute, and sends everyone round first, would else never be read. Each is used once, and known in this
 * process alone: whatever else asks for the address is sent round again.
 */
import type { Cookies } from "effect/http"

/** A request that is to be made in place of the first. */
export interface Redirected {
  readonly url: string
  /** Those that came with the redirects to it. */
  readonly cookies: Cookies.Cookies
  /** How many more may follow. */
  readonly redirects: number
}

/** Addresses. At a rate that no redirect can wait for, one server is asked for so many in days. */
const most = 10_000

export const makePutOffRedirects = () => {
  /** The oldest first. */
  const known = new Map<string, Redirected>()
  return {
    keep: (asked: string, redirected: Redirected): void => {
      known.delete(asked)
      known.set(asked, redirected)
      const [oldest] = known.size > most ? known.keys() : []
      if (oldest !== undefined) known.delete(oldest)
    },
    take: (asked: string): Redirected | undefined => {
      const redirected = known.get(asked)
      known.delete(asked)
      return redirected
    }
  }
}
