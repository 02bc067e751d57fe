/**
 * How long whoever asks over HTTP waits at most, whatever it is that does not answer: as long as the adapter may take, and three
 * and a half seconds for the database. With the default of 6 s for the adapter that is 9.5 s: callers often give up after 10.
 */
import { Duration } from "effect"
import type { AdapterClient } from "../sync/AdapterClient.ts"

const adapterUsually = Duration.seconds(6)
const besides = Duration.millis(3_500)

/** The same where somebody else is asked than the adapter, who may take so long. */
export const besidesOthers = (others: Duration.Duration): Duration.Duration => Duration.sum(others, besides)

export const answerWithin = ({ deadline }: AdapterClient["Service"]): Duration.Duration =>
  besidesOthers(deadline === undefined ? adapterUsually : Duration.millis(deadline))
