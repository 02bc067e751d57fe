/** When the values of a nation's series come: every five minutes, each series at a moment of its own. In milliseconds. */
export const step = 300_000

/** How long after its time a value of the series of that number can be had. */
export const lateness = (series: number): number => 5_000 + ((series * 61) % 295) * 1_000
