/**
 * The rule by which runs decide when to ask again: the refresh policy, unless another one is to be compared with it.
 */
import { Context } from "effect"
import { decide, fromHistory, inherited, leaders } from "./RefreshPolicy.ts"

export interface Rule {
  readonly decide: typeof decide
  readonly fromHistory: typeof fromHistory
  readonly inherited: typeof inherited
  readonly leaders: typeof leaders
}

export const RefreshRule = Context.Reference<Rule>("penstock/crawl/RefreshRule", {
  defaultValue: () => ({ decide, fromHistory, inherited, leaders })
})
