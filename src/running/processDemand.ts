/**
 * When an instance starts another process, and when it ends one: by how busy each of them is, the share of time in which its one
 * thread had work.
 *
 * Another one helps when every one that there is has all it can do. What starts quickly ends slowly: a process that is gone has to
 * warm up again, and consumer groups of Kafka stand still for seconds whenever a member comes or goes.
 */

/** Looks are this far apart, in milliseconds. */
export const betweenLooks = 2_000
/** Of one process. With less it still has time for more. */
const fullyBusy = 0.8
/** In a row: 6 seconds, longer than a start or a large list of sites keeps a process busy. */
const busyLooks = 3
/** Of each process that would be left. */
const halfBusy = 0.5
/** In a row: 5 minutes. */
const idleLooks = 150

/** For how many looks in a row all were busy, or one too many was there. */
export interface ProcessDemand {
  readonly busy: number
  readonly idle: number
}

export const noDemand: ProcessDemand = { busy: 0, idle: 0 }

/** How it is after a look at all processes; while one of them is only starting, nothing can be said. */
export const demandAfter = (before: ProcessDemand, shares: ReadonlyArray<number | undefined>): ProcessDemand => {
  const known = shares.filter((share) => share !== undefined)
  if (known.length < shares.length) return noDemand
  const sum = known.reduce((all, share) => all + share, 0)
  return {
    busy: known.every((share) => share >= fullyBusy) ? before.busy + 1 : 0,
    idle: sum < halfBusy * (known.length - 1) ? before.idle + 1 : 0
  }
}

export const isAnotherWanted = ({ busy }: ProcessDemand): boolean => busy >= busyLooks
export const isOneTooMany = ({ idle }: ProcessDemand): boolean => idle >= idleLooks
