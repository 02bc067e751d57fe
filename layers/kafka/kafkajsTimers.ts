/**
 * kafkajs on today's Node: its request queue asks for a timer in the past and then re-arms one for ever.
 *
 * After every answer it plans the end of a throttling that is hardly ever there: `throttledUntil - now`, where the former is
 * -1, is a negative delay. Node 24 warns of it (`TimeoutNegativeWarning`) and waits 1 ms instead; when that timer fires,
 * the queue looks for pending requests, finds none, and plans the next one: a thousand wake-ups a second for each
 * connection. Nothing has to be looked at while nothing is pending, so here no timer is set then. The queue also looked ten
 * times a second for requests that are overdue; once a second will do where requests may take many.
 *
 * kafkajs is no longer maintained and its version is pinned. What is replaced here was read in 2.2.4 and is replaced in that
 * version only; another one stops the start instead of running with a cure for something else.
 */
import { createRequire } from "node:module"

interface Queued {
  readonly sentAt: number
  readonly requestTimeout: number
  readonly timeoutRequest: () => void
}

interface RequestQueue {
  readonly pending: ReadonlyArray<unknown>
  readonly inflight: ReadonlyMap<number, Queued>
  readonly throttledUntil: number
  readonly enforceRequestTimeout: boolean
  throttleCheckTimeoutId: ReturnType<typeof setTimeout> | null
  requestTimeoutIntervalId: ReturnType<typeof setInterval> | undefined
  readonly isConnected: () => boolean
  readonly checkPendingRequests: () => void
  readonly destroy: () => void
}

interface RequestQueueClass {
  readonly prototype: {
    scheduleCheckPendingRequests: (this: RequestQueue) => void
    scheduleRequestTimeoutCheck: (this: RequestQueue) => void
  }
}

const curedVersion = "2.2.4"
/** How long the queue waits before it looks at pending requests again, in milliseconds, as kafkajs has it. */
const checkPendingEvery = 10
const checkOverdueEvery = 1_000

/** Replaces the two methods, once for the whole process; connections that are open already have the new ones too. */
export const cureKafkajsTimers = () => {
  const load = createRequire(import.meta.url)
  const { version } = load("kafkajs/package.json") as { readonly version: string }
  if (version !== curedVersion) {
    throw new Error(`kafkajs is ${version}, but its request queue is known as it was in ${curedVersion}`)
  }
  const { prototype } = load("kafkajs/src/network/requestQueue/index.js") as RequestQueueClass

  prototype.scheduleCheckPendingRequests = function () {
    if (this.throttleCheckTimeoutId !== null || this.pending.length === 0) return
    const throttledFor = this.throttledUntil - Date.now()
    this.throttleCheckTimeoutId = setTimeout(
      () => {
        this.throttleCheckTimeoutId = null
        this.checkPendingRequests()
      },
      throttledFor > 0 ? throttledFor : checkPendingEvery
    )
  }

  prototype.scheduleRequestTimeoutCheck = function () {
    if (!this.enforceRequestTimeout) return
    this.destroy()
    this.requestTimeoutIntervalId = setInterval(() => {
      const now = Date.now()
      for (const request of this.inflight.values()) {
        if (now - request.sentAt > request.requestTimeout) request.timeoutRequest()
      }
      if (!this.isConnected()) this.destroy()
    }, checkOverdueEvery)
  }
}
