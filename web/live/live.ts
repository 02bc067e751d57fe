/**
 * The state of the service, followed over one stream of events for the whole page.
 *
 * The stream is joined anew by itself when it breaks: after half a second, doubling to 15 s, a little apart from other pages. A
 * stream that is silent for longer than its signs of life is taken for broken. While the tab is hidden there is none.
 */
import { expired } from "../asking/ask.ts"
import type { Overview } from "../asking/shapes.ts"
import { type Keys, session, signOut } from "../session/session.ts"
import { makeCell } from "./Cell.ts"
import { readEvents, type ServerEvent } from "./eventStream.ts"

export interface LiveState {
  /** `away`: nobody answers, tried again at `nextTryAt`; `blind`: the service answers, its database does not. */
  readonly state: "joining" | "live" | "blind" | "away" | "hidden"
  readonly detail: string | undefined
  readonly since: number
  readonly nextTryAt: number | undefined
}

export const liveState = makeCell<LiveState>({ state: "joining", detail: undefined, since: 0, nextTryAt: undefined })
export const overview = makeCell<Overview | undefined>(undefined)
/** By how many milliseconds the service's clock is before this one. */
export const clockAhead = makeCell(0)

/** Signs of life come every 15 s. */
const silence = 40_000
const firstPause = 500
const longestPause = 15_000

const enter = (state: LiveState["state"], detail?: string, nextTryAt?: number): void => {
  const before = liveState.get()
  const since = before.state === state ? before.since : Date.now()
  liveState.set({ state, detail, since, nextTryAt })
}

const hear = ({ data, event }: ServerEvent): string | undefined => {
  const news = JSON.parse(data) as { readonly at?: string; readonly detail?: string; readonly reason?: string }
  if (event === "overview") {
    if (news.at !== undefined) clockAhead.set(Date.parse(news.at) - Date.now())
    overview.set(news as unknown as Overview)
    enter("live")
  }
  if (event === "unavailable") enter("blind", news.detail)
  return event === "end" ? news.reason : undefined
}

/** Follows until what it returns is called, or the key is refused. */
const followWith = (keys: Keys): (() => void) => {
  let attempts = 0
  let stop = new AbortController()
  let timer: ReturnType<typeof setTimeout> | undefined

  const rest = (detail: string) => {
    const pause = Math.min(longestPause, firstPause * 2 ** attempts) * (0.8 + 0.4 * Math.random())
    attempts++
    enter("away", detail, Date.now() + pause)
    timer = setTimeout(join, pause)
  }

  const join = async (): Promise<void> => {
    stop = new AbortController()
    const { signal } = stop
    let reason: string | undefined
    let watch: ReturnType<typeof setTimeout> | undefined
    const alive = () => {
      clearTimeout(watch)
      watch = setTimeout(() => stop.abort("silent"), silence)
    }
    try {
      alive()
      const response = await fetch("overview/events", {
        headers: { authorization: `Bearer ${keys.read}`, accept: "text/event-stream" },
        cache: "no-store",
        credentials: "omit",
        signal
      })
      if (response.status === 401 || response.status === 403) return signOut(expired)
      if (!response.ok || response.body === null) {
        return rest(
          response.status === 503 ? "the service cannot answer now" : `the service answered ${response.status}`
        )
      }
      await readEvents(
        response.body,
        (event) => {
          attempts = 0
          reason = hear(event) ?? reason
        },
        alive
      )
      if (!signal.aborted) rest(reason === "shutting-down" ? "the service is being restarted" : "the connection ended")
    } catch {
      if (!signal.aborted || signal.reason === "silent") rest("the service does not answer")
    } finally {
      clearTimeout(watch)
    }
  }

  const seen = () => {
    clearTimeout(timer)
    stop.abort("hidden")
    if (document.hidden) return enter("hidden")
    attempts = 0
    enter("joining")
    void join()
  }
  document.addEventListener("visibilitychange", seen)
  seen()
  return () => {
    document.removeEventListener("visibilitychange", seen)
    clearTimeout(timer)
    stop.abort("over")
  }
}

/** Follows the service whenever somebody is signed in. */
export const beginToFollow = (): void => {
  let stop = () => {}
  let read: string | undefined
  const change = () => {
    const { keys } = session.get()
    if (keys?.read === read) return
    read = keys?.read
    stop()
    overview.set(undefined)
    stop = keys === undefined ? () => {} : followWith(keys)
  }
  session.follow(change)
  change()
}
