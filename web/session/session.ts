/**
 * Who is signed in: the keys, kept for this tab only (`sessionStorage`), and why nobody is.
 *
 * Keys may come in the fragment of the address, which browsers send to nobody; it is taken out of the address at once, so that
 * neither the history nor a screenshot keeps it.
 */
import { makeCell } from "../live/Cell.ts"

export interface Keys {
  /** Opens the page. */
  readonly read: string
  /** Shows the actions too. */
  readonly admin: string | undefined
}

export interface Session {
  readonly keys: Keys | undefined
  /** Why there are none any more. */
  readonly ended: string | undefined
}

const place = "penstock.keys"

const isKeys = (value: unknown): value is Keys =>
  typeof value === "object" && value !== null && typeof (value as { read?: unknown }).read === "string"

const keptKeys = (): Keys | undefined => {
  const kept: unknown = JSON.parse(sessionStorage.getItem(place) ?? "null")
  return isKeys(kept) ? kept : undefined
}

/** The keys in a fragment like `#read=…&admin=…`. */
export const keysIn = (fragment: string): Keys | undefined => {
  const named = new URLSearchParams(fragment.replace(/^#/, ""))
  const admin = named.get("admin") || undefined
  const read = named.get("read") || admin
  return read === undefined ? undefined : { read, admin }
}

export const session = makeCell<Session>({ keys: undefined, ended: undefined })

export const signIn = (keys: Keys): void => {
  sessionStorage.setItem(place, JSON.stringify(keys))
  session.set({ keys, ended: undefined })
}

export const signOut = (ended?: string): void => {
  sessionStorage.removeItem(place)
  session.set({ keys: undefined, ended })
}

/** An admin key that has no rights any more takes only the actions away. */
export const giveUpAdmin = (): void => {
  const { keys } = session.get()
  if (keys !== undefined) signIn({ ...keys, admin: undefined })
}

/** Takes the keys out of the address, or those that the tab has kept. */
export const beginSession = (): void => {
  const { hash, pathname, search } = location
  const given = /^#(?:read|admin)=/.test(hash) ? keysIn(hash) : undefined
  if (given !== undefined) history.replaceState(null, "", `${pathname}${search}#/`)
  const keys = given ?? keptKeys()
  if (keys !== undefined) signIn(keys)
}
