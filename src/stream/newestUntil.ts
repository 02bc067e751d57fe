/**
 * Until when a value may have been observed that a document of `seenAt` holds, by any clock that is meant to be right. A later one
 * (a mistyped year) is kept like others, and is not taken for the newest of its series.
 */
import type { Instant } from "../domain/Instant.ts"

const DAY = 86_400_000

export const newestUntil = (seenAt: Instant): Instant => seenAt + DAY
