/**
 * How fast a server is asked, by how it answers: a share (`pace`) of its limits, halved when it fails or says 429, lowered
 * when its answers get slow, recovering by small steps; and a circuit that lets a single probe through after many failures. What an
 * answer says of its server, and how long one that asks for it is left alone, is in `serverAnswer.ts`.
 *
 * Pure: the queue that keeps the server's row reads it, applies the rule and writes it. What was claimed before the last slow-down
 * says nothing new about it, hence `epoch`: sixteen requests that fail at once halve the pace once, as a lost packet does in TCP.
 */
import type { ClaimedTask } from "../domain/FetchTask.ts"
import type { Settlement } from "./Settlement.ts"
import type { Instant } from "../domain/Instant.ts"

export const paceRule = {
  /** Of a rate of 20 a second, that is one a second; at least one request may always be in flight. */
  least: 0.05,
  afterFailure: 0.5,
  afterSlowness: 0.8,
  /** For each answer, but from nothing to full in no less than a minute. */
  step: 0.01,
  recoverySeconds: 60,
  /** Slow: the recent answers (the last ten or so) took twice the usual (the last few hundred), and a little more. */
  recentWeight: 0.1,
  usualWeight: 0.005,
  /** Answers before anything is called usual. */
  acquaintance: 20,
  slowFactor: 2,
  slowMillis: 250,
  /** Failures in a row that open the circuit; then 15 s of silence, doubling to half an hour. */
  failures: 5,
  firstPauseSeconds: 15,
  longestPauseSeconds: 1800
} as const

/** How a server is doing, as its row keeps it. */
export interface ServerHealth {
  /** The share of its limits that is used. */
  readonly pace: number
  readonly pacedAt: Instant
  /** How often it was slowed down. */
  readonly epoch: number
  /** In a row; from `paceRule.failures` on the circuit is open, and after its pause lets one probe through. */
  readonly failures: number
  /** Pauses in a row. */
  readonly pauses: number
  readonly openUntil: Instant | undefined
  readonly coolDownUntil: Instant | undefined
  /** How many answers were timed, and the moving averages of their times: of the recent ones, and of all. */
  readonly answers: number
  readonly recentMillis: number
  readonly usualMillis: number
  /** Since when nothing that it answered could be used. */
  readonly uselessSince: Instant | undefined
}

export const newServer = (now: Instant): ServerHealth => ({
  pace: 1,
  pacedAt: now,
  epoch: 0,
  failures: 0,
  pauses: 0,
  openUntil: undefined,
  coolDownUntil: undefined,
  answers: 0,
  recentMillis: 0,
  usualMillis: 0,
  uselessSince: undefined
})

/** What the answers that are settled together say of one server. */
export interface ServerSignal {
  readonly answered: number
  /** Failures since the last answer. */
  readonly failed: number
  /** Of the answers whose time counts: how many, and their mean. */
  readonly timed: number
  readonly millis: number
  /** The latest epoch that a good answer, and one that calls for less, was claimed in; -1 without any. */
  readonly goodEpoch: number
  readonly badEpoch: number
  readonly coolDown: number
  /** Whether a document could be used; else, whether that speaks against the server. */
  readonly use: "useful" | "useless" | "neither"
}

/**
 * Whether a run speaks for or against its server. A series that has failed before, or was never seen, may be its own trouble; but not
 * every list of sites, every series that answered until now, and what is no answer at all.
 */
const useOf = ({ answer, run, task }: JudgedSettlement): ServerSignal["use"] => {
  if (run?.result === "SUCCESS" || run?.result === "UNCHANGED") return "useful"
  if (answer?.kind === "failed") return "useless"
  const { attempts, previousHash, requestType } = task
  return requestType === "SITES_LIST" || (attempts === 0 && previousHash !== undefined) ? "useless" : "neither"
}

/** What is looked at of a settlement. */
type JudgedSettlement = Pick<Settlement, "answer"> & {
  readonly run?: Settlement["run"]
  readonly task: Pick<ClaimedTask, "server"> & Partial<ClaimedTask>
}

/** Sums up settlements of one server, in the order in which their runs ended. */
export const signalOf = (settlements: ReadonlyArray<JudgedSettlement>): ServerSignal => {
  let use: ServerSignal["use"] = "neither"
  let [answered, failed, timed, total, goodEpoch, badEpoch, coolDown] = [0, 0, 0, 0, -1, -1, 0]
  for (const settlement of settlements) {
    const { answer, task } = settlement
    if (answer === undefined) continue
    const told = useOf(settlement)
    if (told === "useful" || use !== "useful") use = told === "neither" ? use : told
    coolDown = Math.max(coolDown, answer.coolDown ?? 0)
    if (answer.kind === "answered") {
      answered++
      failed = 0
      goodEpoch = Math.max(goodEpoch, task.server.epoch)
      if (answer.millis === undefined) continue
      timed++
      total += answer.millis
    } else {
      badEpoch = Math.max(badEpoch, task.server.epoch)
      if (answer.kind === "failed") failed++
    }
  }
  return { answered, failed, timed, millis: timed === 0 ? 0 : total / timed, goodEpoch, badEpoch, coolDown, use }
}

/** The signals of all servers that these settlements are about, by origin; servers nobody heard of have none. */
export const signalsOf = (settlements: ReadonlyArray<Settlement>): ReadonlyMap<string, ServerSignal> =>
  new Map(
    [
      ...Map.groupBy(
        settlements.filter(({ answer }) => answer !== undefined),
        ({ task }) => task.server.origin
      )
    ].map(([origin, list]) => [origin, signalOf(list)])
  )

/** The server after it was heard of. */
export const afterSignal = (server: ServerHealth, signal: ServerSignal, now: Instant): ServerHealth => {
  const rule = paceRule
  const answers = server.answers + signal.timed
  const averaged = (average: number, weight: number) => {
    const share = signal.timed === 0 ? 0 : Math.max(1 - (1 - weight) ** signal.timed, signal.timed / answers)
    return average + share * (signal.millis - average)
  }
  const recentMillis = averaged(server.recentMillis, rule.recentWeight)
  const usualMillis = averaged(server.usualMillis, rule.usualWeight)
  const isNews = signal.badEpoch >= server.epoch
  const isSlower =
    signal.timed > 0 &&
    answers > rule.acquaintance &&
    signal.goodEpoch >= server.epoch &&
    recentMillis > rule.slowFactor * usualMillis + rule.slowMillis

  const wasOpen = server.failures >= rule.failures
  const failures = (signal.answered > 0 ? 0 : server.failures) + signal.failed
  const opens = signal.failed > 0 && failures >= rule.failures && (isNews || !wasOpen)
  const pauses = (signal.answered > 0 ? 0 : server.pauses) + (opens ? 1 : 0)

  const recovered = Math.min(
    signal.answered * rule.step,
    Math.max(0, now - server.pacedAt) / 1000 / rule.recoverySeconds
  )
  const pace = isNews
    ? server.pace * rule.afterFailure
    : isSlower
      ? server.pace * rule.afterSlowness
      : server.pace + recovered
  return {
    pace: Math.min(1, Math.max(rule.least, pace)),
    pacedAt: Math.max(now, server.pacedAt),
    epoch: server.epoch + (isNews || isSlower || opens ? 1 : 0),
    failures,
    pauses,
    openUntil: opens ? now + pauseSeconds(pauses) * 1000 : signal.answered > 0 ? undefined : server.openUntil,
    coolDownUntil:
      signal.coolDown > 0 ? Math.max(server.coolDownUntil ?? 0, now + signal.coolDown * 1000) : server.coolDownUntil,
    answers,
    recentMillis,
    usualMillis,
    uselessSince:
      signal.use === "useful" ? undefined : (server.uselessSince ?? (signal.use === "useless" ? now : undefined))
  }
}

/** How many requests may be in flight at this pace: while the circuit is open no more than the probe. */
export const concurrencyOf = (server: Pick<ServerHealth, "failures" | "pace">, most: number): number =>
  server.failures >= paceRule.failures ? 1 : Math.max(1, Math.floor(most * server.pace))

/** Beside one request, so that none waits for two, a bucket holds what a server is asked in so many seconds. */
export const bucketSeconds = 0.25
/** How many requests a bucket holds at this rate. */
export const bucketSize = (perSecond: number): number => 1 + perSecond * bucketSeconds

const pauseSeconds = (pauses: number): number =>
  Math.min(paceRule.longestPauseSeconds, paceRule.firstPauseSeconds * 2 ** Math.min(pauses - 1, 20))
