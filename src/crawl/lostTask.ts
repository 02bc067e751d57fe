/**
 * A task whose process dies again and again may be what kills it: after some losses in a row it is set aside, until an operator
 * lets it go on. A run that is settled, however it went, ends the row.
 */

/** Leases of a task that run out in a row; with the last of them it is set aside as `lost`. */
export const mostTakeovers = 5
/** What its history says then. */
export const lostTooOften = `the process that ran it was lost, ${mostTakeovers} times in a row`

/** Whether a task is set aside whose lease has now run out for the time of that number. */
export const isLostTooOften = (takeovers: number): boolean => takeovers >= mostTakeovers
