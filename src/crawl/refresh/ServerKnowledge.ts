/**
 * What all runs of a server teach together: what a request is worth there, what was spent on what, and how often months of some age
 * are corrected. One short text in the server's row.
 */
import type { Instant } from "../../domain/Instant.ts"

export interface ServerKnowledge {
  /** Seconds of delay, of one value, that a request must save. */
  readonly price: number
}

/** What one run teaches about its server. */
export interface Lesson {
  readonly at: Instant
}

export const unknownServer: ServerKnowledge = { price: 60 }

/** As text for the queue to keep. */
export const formatServer = (server: ServerKnowledge): string => JSON.stringify(server)

/** Any other text is that of a server of which nothing is known. */
export const parseServer = (_text: string | undefined): ServerKnowledge => unknownServer
