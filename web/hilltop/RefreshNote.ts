/** Why a task is asked next when it is, and what was learnt of when its series changes. */
import type { Refresh } from "../asking/shapes.ts"
import { html } from "../parts/html.ts"
import { decimal, durationText } from "../parts/numbers.ts"

const factsOf = (estimate: NonNullable<Refresh["estimate"]>): ReadonlyArray<string> => {
  const { arrives_after_seconds, deliveries_per_day, overdue_seconds, period_seconds, rows_per_delivery } = estimate
  return [
    period_seconds === undefined ? "" : `something new every ${durationText(period_seconds)}`,
    deliveries_per_day === undefined ? "" : `something new ${decimal(deliveries_per_day)} times a day`,
    rows_per_delivery === undefined ? "" : `${decimal(rows_per_delivery)} values at a time`,
    arrives_after_seconds === undefined
      ? ""
      : `${durationText(arrives_after_seconds[0])} to ${durationText(arrives_after_seconds[1])} after it was observed`,
    overdue_seconds === undefined ? "" : `overdue for ${durationText(overdue_seconds)}`
  ].filter((fact) => fact !== "")
}

export const RefreshNote = ({ refresh }: { readonly refresh: Refresh | null | undefined }) => {
  const facts = refresh?.estimate == null ? [] : factsOf(refresh.estimate)
  if (refresh == null || (refresh.reason === null && facts.length === 0)) return null
  return html`<p class="small">
    ${refresh.reason === null ? "" : `Why then: ${refresh.reason}.`}
    ${facts.length === 0 ? "" : `Learnt of its series: ${facts.join(", ")}.`}
  </p>`
}
