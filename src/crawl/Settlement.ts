/**
 * What a run leaves behind, for the queue to record: how it went, when the task is due again and why, what was learnt, and which
 * other tasks its news makes due.
 */
import type { Duration } from "effect"
import type { ClaimedTask, NewTask, ServerAnswer, SetAsideReason, TaskRun } from "../domain/FetchTask.ts"
import type { Lesson } from "./RefreshPolicy.ts"

export interface Settlement {
  readonly task: Pick<ClaimedTask, "id" | "fence" | "server">
  /** Nothing when the task was not run after all: its site was excluded between the claim and now. */
  readonly run: TaskRun | undefined
  /** Until the task is due again, counted by the queue's clock. */
  readonly delay: Duration.Duration
  /** The hash to compare the next answer with; none keeps the previous one, as after a failure. */
  readonly hash: string | undefined
  /** What the document means; none keeps the previous one. */
  readonly digest?: string | undefined
  readonly attempts: number
  /** It has failed for so long, through no fault of its server, that it is no longer called failing. */
  readonly unavailable?: boolean | undefined
  /** The task is to rest from now on. */
  readonly setAside?: SetAsideReason | undefined
  /** None where the server was not asked. */
  readonly answer?: ServerAnswer | undefined
  /** What is known of when it changes, and why it is due when it is; none keeps both. */
  readonly refresh?: { readonly kept: string; readonly reason: string } | undefined
  /** What the run teaches about its server. */
  readonly lesson?: Lesson | undefined
  /** Other tasks that are due sooner now. */
  readonly wakes?: ReadonlyArray<Waking> | undefined
  /** Who follows whom from now on, where the run decided about it. */
  readonly follows?: ReadonlyArray<{ readonly id: number; readonly leader: number | undefined }> | undefined
}

/**
 * Tasks that are due no later than `after` milliseconds from now. What rests, fails or has had no data for long is not woken, and
 * neither is what brings news itself at that moment.
 */
export type Waking = { readonly after: number } & (
  | { readonly of: "followers"; readonly leader: number }
  | { readonly of: "ids"; readonly ids: ReadonlyArray<number> }
  | { readonly of: "requests"; readonly requests: ReadonlyArray<Omit<NewTask<string>, "details" | "refresh">> }
)

/** What is kept is short text of ours; other text is a fault, which costs what was learnt and not the run. */
const isKept = (text: string): boolean => /^[\x20-\x7e]{1,200}$/.test(text)
/** Characters of a reason, which is for a person to read. */
const longestReason = 300

/** What is to be kept of a task, as far as it can be. */
export const keepable = (text: string | undefined): string | undefined =>
  text !== undefined && isKept(text) ? text : undefined
export const readable = (reason: string | undefined): string | undefined =>
  reason?.toWellFormed().replaceAll("\0", "").slice(0, longestReason)

/** Whether news of another series that came while it ran still matters: not to a run that brought some, or failed. */
export const takesWake = ({ attempts, run }: Settlement): boolean => attempts === 0 && !((run?.added ?? 0) > 0)

/** What settlements teach about servers, by origin. */
export const lessonsOf = (settlements: ReadonlyArray<Settlement>): ReadonlyMap<string, ReadonlyArray<Lesson>> => {
  const lessons = new Map<string, Array<Lesson>>()
  for (const { lesson, task } of settlements) {
    if (lesson === undefined) continue
    const { origin } = task.server
    const there = lessons.get(origin)
    if (there === undefined) lessons.set(origin, [lesson])
    else there.push(lesson)
  }
  return lessons
}
