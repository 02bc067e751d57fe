/**
 * How often a caller may be wrong about one accounting point: there are 37,000 birth dates, and each answer rules one out.
 *
 * Whoever keeps the trail counts: `tries` in `layers/lookup/lookupStatements.ts`, and `flex.recent_mismatches` under its lock, a
 * function of the database that has the span for itself.
 */
import { Duration } from "effect"

/** Mismatches of one caller about one accounting point within `mismatchSpan`; what comes after them is refused. */
export const mismatchLimit = 5
export const mismatchSpan = Duration.hours(1)
