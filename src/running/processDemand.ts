/**
 * When an instance starts another process, and when it ends one: by how busy each of them is.
 *
 * Another one helps when every one that there is has all it can do, and gets a processor to do it: on a machine that is full, one
 * more would only make the others wait. What starts quickly ends slowly: a process that is gone has to warm up again, and
 * consumer groups of Kafka stand still for seconds whenever a member comes or goes.
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

/** How busy one process is. */
export interface ProcessLoad {
  /** Share of the time in which its event loop had something to do, whether it got a processor for it or not. */
  readonly loop: number
  /** Processors that it had, on the average; more than one where its threads pack and collect garbage beside each other. */
  readonly processor: number
}

/** For how many looks in a row all were busy, or one too many was there. */
export interface ProcessDemand {
  readonly busy: number
  readonly idle: number
}

export const noDemand: ProcessDemand = { busy: 0, idle: 0 }

/** How it is after a look at all processes; while one of them is only starting, nothing can be said. */
export const demandAfter = (before: ProcessDemand, loads: ReadonlyArray<ProcessLoad | undefined>): ProcessDemand => {
  const known = loads.filter((load) => load !== undefined)
  if (known.length < loads.length) return noDemand
  const sum = known.reduce((all, { loop }) => all + loop, 0)
  return {
    busy: known.every(({ loop, processor }) => Math.min(loop, processor) >= fullyBusy) ? before.busy + 1 : 0,
    idle: sum < halfBusy * (known.length - 1) ? before.idle + 1 : 0
  }
}

export const isAnotherWanted = ({ busy }: ProcessDemand): boolean => busy >= busyLooks
export const isOneTooMany = ({ idle }: ProcessDemand): boolean => idle >= idleLooks
