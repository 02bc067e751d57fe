/**
 * How each flow does, in one sentence with its cause, for somebody who was called at night.
 *
 * Red is what `/health/progress` would call stuck, by the same bounds; amber is what works around a trouble.
 */
import type { Duration } from "effect"
import { serverStates, type Count, type FlowCause, type FlowView, type Overview, type ServerView } from "./Overview.ts"
import type { Waiting } from "./DueWork.ts"
import { type Bounds, isUselessFor, pastBound, uselessAmong, type WorkKind } from "./Progress.ts"

/** What each sentence is made of. */
export interface Facts extends Pick<Overview, "accounting_points" | "at" | "hilltop" | "streams"> {
  readonly waiting: Waiting
  readonly bounds: Bounds
  /** For how long an adapter or a server may answer nothing useful, and for how many seconds the adapter has. */
  readonly useless: { readonly bound: Duration.Duration; readonly adapterSeconds: number }
  /** Loops of this instance that stand still. */
  readonly stuck: ReadonlyArray<string>
}

interface Finding {
  readonly colour: "amber" | "red"
  readonly cause: FlowCause
  readonly words: string
}

const red = (cause: FlowCause, words: string): Finding => ({ colour: "red", cause, words })
const amber = (cause: FlowCause, words: string): Finding => ({ colour: "amber", cause, words })

const number = new Intl.NumberFormat("en-GB")
export const countWords = ({ is, value }: Count): string =>
  `${is === "at_least" ? "more than " : is === "estimate" ? "about " : ""}${number.format(value)}`
const many = (n: number, one: string, others = `${one}s`) => `${number.format(n)} ${n === 1 ? one : others}`
const counted = (count: Count, one: string, others = `${one}s`) =>
  `${countWords(count)} ${count.value === 1 && count.is === "exact" ? one : others}`

/** `3 h`, of a number of seconds. */
export const timeWords = (seconds: number): string => {
  const whole = Math.max(0, Math.round(seconds))
  if (whole < 90) return `${whole} s`
  if (whole < 90 * 60) return `${Math.round(whole / 60)} min`
  if (whole < 48 * 3600) return `${Math.round(whole / 3600)} h`
  return `${Math.round(whole / 86_400)} days`
}
const inWords = (at: number | null, now: number): string =>
  at === null || at <= now ? "now" : `in ${timeWords((at - now) / 1000)}`

const past = (facts: Facts, kind: WorkKind, cause: FlowCause, words: (time: string) => string) => {
  const seconds = pastBound(facts.waiting, facts.bounds, kind)
  return seconds === undefined ? [] : [red(cause, words(timeWords(seconds)))]
}

/** Red findings come first and say it all; the first words become those of a sentence. */
const flowOf = (flow: FlowView["flow"], findings: ReadonlyArray<Finding>, good: string): FlowView => {
  const first = findings.filter(({ colour }) => colour === "red")
  const rest = findings.filter(({ colour }) => colour !== "red")
  const words = [...first, ...rest].map((one) => one.words)
  const text = words.length === 0 ? good : words.join("; ")
  return {
    flow,
    colour: first.length > 0 ? "red" : rest.length > 0 ? "amber" : "green",
    sentence: `${text.charAt(0).toUpperCase()}${text.slice(1)}.`,
    causes: [...new Set(findings.map(({ cause }) => cause))]
  }
}

const standing = (names: ReadonlyArray<string>): ReadonlyArray<Finding> =>
  names.length === 0 ? [] : [red("loops", `stands still on this instance: ${names.join(", ")}`)]

const accountingPoints = (facts: Facts, stuck: ReadonlyArray<string>): FlowView => {
  const { adapter, configured, failures, fresh, lanes, late, never_synced, relevant } = facts.accounting_points
  const oldest = lanes.find(({ lane }) => lane === "longest_unsynced")?.oldest_seconds ?? null
  if (!configured) {
    const words = `no adapter is configured; ${counted(relevant, "copy", "copies")} of accounting points are answered from as they are`
    return flowOf("accounting_points", [amber("adapter_not_configured", words), ...standing(stuck)], "")
  }
  if (relevant.value === 0 && relevant.is === "exact") {
    return flowOf("accounting_points", standing(stuck), "no accounting point has to be kept yet")
  }
  const failing = failures.reduce((sum, { points }) => sum + points.value, 0)
  const kinds = failures.map(({ kind, points }) => `${countWords(points)} ${kind}`).join(", ")
  const isOpen = adapter.circuit.state === "open"
  const findings: ReadonlyArray<Finding> = [
    ...standing(stuck),
    ...past(
      facts,
      "sync",
      "late",
      (time) => `accounting points are late: the one that waits longest was synced ${time} ago`
    ),
    ...past(facts, "event", "events_waiting", (time) => `an event has waited for ${time}`),
    ...past(facts, "abandonedSync", "abandoned", (time) => `a sync that was begun ${time} ago never ended`),
    ...(isUselessFor(facts.useless.adapterSeconds, facts.useless.bound)
      ? [
          red(
            "adapter_useless",
            `the adapter has answered nothing useful for ${timeWords(facts.useless.adapterSeconds)}`
          )
        ]
      : []),
    ...(isOpen
      ? [
          amber(
            "adapter_left_alone",
            `the adapter answers nothing and is left alone, asked again ${inWords(adapter.circuit.next_call_at, facts.at)}`
          )
        ]
      : []),
    ...(late.value > 0
      ? [
          amber(
            "late",
            `${countWords(late)} of ${counted(relevant, "accounting point")} not synced within ${timeWords(facts.accounting_points.within_seconds)}`
          )
        ]
      : []),
    ...(failing > 0
      ? [
          amber(
            "failing",
            `${countWords({ value: failing, is: failures.some(({ points }) => points.is === "at_least") ? "at_least" : "exact" })} of ${counted(relevant, "accounting point")} ${failing === 1 ? "fails" : "fail"} (${kinds})`
          )
        ]
      : [])
  ]
  const good =
    never_synced.value > 0
      ? `${countWords(fresh)} of ${counted(relevant, "accounting point")} fresh; ${countWords(never_synced)} wait for their first sync`
      : `all ${counted(relevant, "accounting point")} fresh${oldest === null ? "" : `; the oldest was synced ${timeWords(oldest)} ago`}`
  return flowOf("accounting_points", findings, good)
}

/** Names for so many; the page has the others. */
const named = 3
const listed = (items: ReadonlyArray<string>): string =>
  items.length <= named ? items.join(", ") : `${items.slice(0, named).join(", ")} and ${items.length - named} more`

const isAlone = ({ state }: ServerView) => state === "left_alone" || state === "probed" || state === "resting"

const hilltop = (facts: Facts, stuck: ReadonlyArray<string>): FlowView => {
  const { due, in_flight, servers, servers_total, set_aside, sources } = facts.hilltop
  const busy = servers.filter(({ state }) => state !== "idle")
  const alone = busy.filter(isAlone).toSorted((a, b) => serverStates.indexOf(a.state) - serverStates.indexOf(b.state))
  const problems = sources.filter(({ paused, problem }) => problem !== null && !paused)
  const lost = set_aside.find(({ reason }) => reason === "lost")
  const each = alone.map(
    ({ asked_again_at, origin, reason }) => `${origin} (${reason}; asked again ${inWords(asked_again_at, facts.at)})`
  )
  const useless = uselessAmong(facts.waiting.uselessServers, facts.useless.bound)
  const isAll = alone.length > 0 && alone.length === servers_total
  const findings: ReadonlyArray<Finding> = [
    ...standing(stuck),
    ...past(facts, "request", "requests_waiting", (time) => `a server could have been asked for ${time} and was not`),
    ...past(facts, "abandonedRequest", "abandoned", (time) => `a request was abandoned ${time} ago and not taken up`),
    ...(useless.length > 0 ? [red("servers_useless", `answers nothing useful: ${listed(useless)}`)] : []),
    ...(alone.length > 0
      ? [
          (isAll && alone.every(({ state }) => state !== "resting") ? red : amber)(
            "servers_left_alone",
            `${number.format(alone.length)} of ${many(servers_total, "server")} ${alone.length === 1 ? "is" : "are"} left alone: ${listed(each)}`
          )
        ]
      : []),
    ...(problems.length > 0
      ? [
          amber(
            "source_problem",
            `${many(problems.length, "source has", "sources have")} a problem: ${listed(problems.map(({ address, problem }) => `${address} (${problem})`))}`
          )
        ]
      : []),
    ...(lost !== undefined && lost.tasks.value > 0
      ? [amber("set_aside_lost", `${counted(lost.tasks, "task")} set aside, since their workers were lost too often`)]
      : [])
  ]
  const good =
    sources.length === 0
      ? "no source is configured yet"
      : servers_total === 0
        ? "no server has been asked yet"
        : `${servers_total === 1 ? "the server answers" : `all ${number.format(servers_total)} servers answer`}; ${counted(due, "request")} due, ${number.format(in_flight)} in flight`
  return flowOf("hilltop", findings, good)
}

const streams = (facts: Facts, stuck: ReadonlyArray<string>): FlowView => {
  const { dead_letters, groups, problem } = facts.streams
  const set = dead_letters.filter(({ not_redriven }) => not_redriven > 0)
  const behind = groups.reduce((sum, { records_behind }) => sum + records_behind, 0)
  const about = groups.every(({ is_exact }) => is_exact) ? "" : "about "
  const oldest = groups.reduce((most, { oldest_unread_seconds: of }) => Math.max(most, of ?? 0), 0)
  const findings: ReadonlyArray<Finding> = [
    ...standing(stuck),
    ...past(facts, "record", "records_waiting", (time) => `a record has waited for ${time} to be read`),
    ...(problem === null ? [] : [red("unavailable", problem)]),
    ...(set.length > 0
      ? [
          amber(
            "dead_letters",
            `${listed(set.map(({ not_redriven, topic }) => `${many(not_redriven, "record")} of ${topic}`))} could not be used and ${set.length === 1 && set[0]?.not_redriven === 1 ? "was" : "were"} set aside`
          )
        ]
      : [])
  ]
  const good =
    behind === 0
      ? "all records are read; no dead letters wait"
      : `${about}${many(behind, "record waits", "records wait")} to be read${oldest > 0 ? `, the oldest for ${timeWords(oldest)}` : ""}; no dead letters wait`
  return flowOf("streams", findings, good)
}

/** Whose loop it is, by its name. */
const loopOf = (name: string): FlowView["flow"] =>
  /hilltop|crawl|source/i.test(name)
    ? "hilltop"
    : /mapper|observation|stream|topic|accounting-point-events/i.test(name)
      ? "streams"
      : "accounting_points"

export const describeFlows = (facts: Facts): ReadonlyArray<FlowView> => {
  const stuckIn = (flow: FlowView["flow"]) => facts.stuck.filter((name) => loopOf(name) === flow)
  return [
    accountingPoints(facts, stuckIn("accounting_points")),
    hilltop(facts, stuckIn("hilltop")),
    streams(facts, stuckIn("streams"))
  ]
}
