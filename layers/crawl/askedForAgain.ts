/**
 * The `next_fetch_at` of a task `t` that is asked for at once. It always differs from the one before, by at least a microsecond:
 * a run under way was claimed with the old one, and its settlement then leaves the new one alone. A task that is due already
 * keeps its place among others.
 */
export const askedForAgain = "least(t.next_fetch_at - interval '1 microsecond', now())"
