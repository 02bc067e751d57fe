/**
 * Every request is answered within its deadline, and an answer that says "come again" says when.
 */
import { answerWithin, type Asked } from "./ChaosLedger.ts"

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

export const requestPromises = (asked: ReadonlyArray<Asked>, startedAt: number): ReadonlyArray<string> => {
  const late = asked.filter(({ millis }) => millis > answerWithin + asking)
  const lost = asked.filter(({ millis, status }) => status === undefined && millis <= answerWithin + asking)
  const wrong = asked.filter(({ status }) => status !== undefined && !allowed.has(status))
  const silent = asked.filter(
    ({ retryAfter, status }) => status !== undefined && needsRetryAfter.has(status) && retryAfter === undefined
  )
  return [
    ...listed(`had no answer within ${answerWithin / 1_000} s`, late, startedAt),
    ...listed("lost their connection", lost, startedAt),
    ...listed("had an answer that is nobody's fault but the service's", wrong, startedAt),
    ...listed("were told to come again and not when", silent, startedAt)
  ]
}
