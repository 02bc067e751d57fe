/**
 * Every request is answered within its deadline, and an answer that says "come again" says when. What was lost with an instance
 * that was killed or stopped is no fault of its own.
 */
import type { Outage } from "./ChaosInstance.ts"
import { answerWithin, type Asked } from "./ChaosLedger.ts"
import { checked } from "./Checked.ts"

/** What the asking itself may take on top: both ends share the processors with all that is tried here. */
const asking = 500

/** What may be said to a request that is in order. */
const allowed = new Set([200, 201, 403, 429, 502, 503, 504])
const needsRetryAfter = new Set([429, 502, 503, 504])

const said = ({ at, detail, instance, kind, millis, status }: Asked, startedAt: number) =>
  `${kind} at instance ${instance}, ${((at - startedAt) / 1_000).toFixed(1)} s: ${status ?? "no answer"} after ${(millis / 1_000).toFixed(1)} s${detail === undefined ? "" : ` (${detail})`}`

/** The most that are told of each kind of failure; the rest are counted. */
const most = 5

const listed = (what: string, failures: ReadonlyArray<Asked>, startedAt: number): ReadonlyArray<string> =>
  failures.length === 0
    ? []
    : [
        `${failures.length} requests ${what}:`,
        ...failures.slice(0, most).map((one) => `  ${said(one, startedAt)}`),
        ...(failures.length > most ? [`  … and ${failures.length - most} more`] : [])
      ]

/** How long after it goes on an instance may still be busy with what came while it stood still. */
const catchUp = 1_000

/** Times in which an instance was away, by its number. */
export type Outages = ReadonlyMap<number, ReadonlyArray<Outage>>

const isExcused = ({ at, instance, until }: Asked, outages: Outages) =>
  (outages.get(instance) ?? []).some(({ from, to }) => at <= to + catchUp && until >= from)

export const requestPromises = (asked: ReadonlyArray<Asked>, startedAt: number, outages: Outages = new Map()) => {
  const answerable = asked.filter((one) => !isExcused(one, outages))
  const late = answerable.filter(({ millis }) => millis > answerWithin + asking)
  const lost = answerable.filter(({ millis, status }) => status === undefined && millis <= answerWithin + asking)
  const wrong = asked.filter(({ status }) => status !== undefined && !allowed.has(status))
  const silent = asked.filter(
    ({ retryAfter, status }) => status !== undefined && needsRetryAfter.has(status) && retryAfter === undefined
  )
  return checked("answered", answerable.length, "requests", [
    ...listed(`had no answer within ${answerWithin / 1_000} s`, late, startedAt),
    ...listed("lost their connection", lost, startedAt),
    ...listed("had an answer that is nobody's fault but the service's", wrong, startedAt),
    ...listed("were told to come again and not when", silent, startedAt)
  ])
}
