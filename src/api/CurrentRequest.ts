/**
 * What is known of the request being answered, beside the request itself.
 *
 * `route` and `caller` are filled in on the way, by the code that finds them out; the one line that is logged for the request
 * and its metrics need them at the end. The default stands for code that runs outside of any request.
 */
import { Context } from "effect"

export interface RequestNotes {
  /** As the caller named it, where that is sane, else made here; on every response. */
  readonly id: string
  /** W3C trace id: the caller's, the tracer's, or made here; in every problem. */
  readonly traceId: string
  /** Template of the route, never the path, which names accounting points. */
  route: string
  /** Name of the key that was shown. */
  caller: string | undefined
}

export const CurrentRequest = Context.Reference<RequestNotes>("penstock/api/CurrentRequest", {
  defaultValue: () => ({ id: "none", traceId: "0".repeat(32), route: "none", caller: undefined })
})
