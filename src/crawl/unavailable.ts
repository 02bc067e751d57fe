/**
 * What a server has no data for, and says so each time: nobody's failure, and not worth asking about every day.
 *
 * Only what an answer says of its own series or site counts. Trouble of the whole server (no connection, a page, a file that it
 * cannot open) ends, and must then not have been taken for an answer; a list of sites is always worth a request a day.
 */
import type { ClaimedTask, Failure } from "../domain/FetchTask.ts"

const ofItsData = /no data|no measurements|years back|more than one data source|not found|unknown site/i
const nothingAtAll = /^an empty answer$/

/** Failures in a row, over some 15 hours; what was known once may be so again, and is asked about for five days. */
const [mostOfUnknown, mostOfKnown] = [5, 10]

/** Whether a task that fails so, once more, is unavailable from now on. */
export const isUnavailable = (
  { attempts, previousHash, requestType }: Pick<ClaimedTask, "attempts" | "previousHash" | "requestType">,
  result: Failure,
  detail: string
): boolean => {
  if (requestType === "SITES_LIST") return false
  if (result === "PARSE_ERROR") return nothingAtAll.test(detail) && attempts + 1 >= mostOfKnown
  if (result !== "HILLTOP_ERROR" || !ofItsData.test(detail)) return false
  return attempts + 1 >= (previousHash === undefined ? mostOfUnknown : mostOfKnown)
}
