/**
 * What was promised, in the words of the report, and what came of looking whether it was kept: how much was looked at, and what is
 * not as promised.
 */
export const promises = {
  kept: "what was accepted is not lost",
  newer: "no older payload overwrites a newer one",
  spared: "what fails holds up nobody else",
  budget: "no source is asked beyond its budget",
  secret: "no personal number, key or secret is told",
  inTime: "every copy is synced in time",
  seen: "what is late or fails can be seen",
  answered: "every request is answered in time",
  healthy: "health is never green for nobody",
  back: "all is back ten seconds after a fault",
  ended: "instances end when they are asked to"
} as const

export type PromiseName = keyof typeof promises
export const promiseNames = Object.keys(promises) as ReadonlyArray<PromiseName>

export interface Checked {
  readonly promise: PromiseName
  /** How much was looked at; nothing shows nothing. */
  readonly facts: number
  /** Of what. */
  readonly of: string
  readonly broken: ReadonlyArray<string>
}

export const checked = (
  promise: PromiseName,
  facts: number,
  of: string,
  broken: ReadonlyArray<string> = []
): Checked => ({ promise, facts, of, broken })

/** What was said again and again of one thing becomes one. */
export const merged = (all: ReadonlyArray<Checked>): ReadonlyArray<Checked> =>
  [...Map.groupBy(all, ({ of, promise }) => `${promise} ${of}`).values()].map((same) => {
    const { of, promise } = same[0]!
    const broken = [...new Set(same.flatMap((one) => one.broken))]
    return { promise, of, broken, facts: same.reduce((sum, { facts }) => sum + facts, 0) }
  })
