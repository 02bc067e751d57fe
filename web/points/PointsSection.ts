/** How fresh the copies of accounting points are, why some are not, and how the adapter does. */
import type { Points } from "../asking/shapes.ts"
import { overview } from "../live/live.ts"
import { useCell } from "../live/Cell.ts"
import { Bars } from "../parts/Bars.ts"
import { Card } from "../parts/Card.ts"
import { DataTable } from "../parts/DataTable.ts"
import { Figures } from "../parts/Figures.ts"
import { html } from "../parts/html.ts"
import { countText, durationOr, durationText } from "../parts/numbers.ts"
import { AdapterCard } from "./AdapterCard.ts"
import { FailureCard } from "./FailureCard.ts"
import { freshShare } from "./freshShare.ts"
import { PointLookup } from "./PointLookup.ts"

const lanes: Readonly<Record<string, string>> = {
  pending: "with an event to follow",
  never_synced: "never synced",
  longest_unsynced: "waiting for their turn",
  failing: "failing, with a wait of their own",
  running: "being synced"
}

const Ages = ({ points }: { readonly points: Points }) => {
  const bars = points.ages.map(({ points: count, up_to_seconds }, index) => {
    const before = points.ages[index - 1]?.up_to_seconds ?? 0
    return {
      label: up_to_seconds === null ? `over ${durationText(before)}` : `up to ${durationText(up_to_seconds)}`,
      value: count.value,
      text: countText(count),
      tone: up_to_seconds === null || up_to_seconds > points.within_seconds ? ("late" as const) : undefined
    }
  })
  return html`<${Card} title="Time since the last sync">
    ${bars.length === 0 ? html`<p class="empty">Nothing was synced yet.</p>` : html`<${Bars} all=${bars} />`}
  <//>`
}

const Lanes = ({ points }: { readonly points: Points }) =>
  html`<${Card} title="Lanes">
    <${DataTable}
      name="Lanes of the background sync"
      rows=${points.lanes}
      keyOf=${(lane: Points["lanes"][number]) => lane.lane}
      empty="No lanes."
      columns=${[
        { head: "accounting points", cell: ({ lane }: Points["lanes"][number]) => lanes[lane] ?? lane },
        { head: "rows", isNumber: true, cell: ({ rows }: Points["lanes"][number]) => countText(rows) },
        {
          head: "oldest",
          isNumber: true,
          cell: ({ oldest_seconds, rows }: Points["lanes"][number]) =>
            rows.value === 0 ? "–" : durationOr(oldest_seconds)
        }
      ]}
    />
  <//>`

export const PointsSection = () => {
  const points = useCell(overview, (known) => known?.accounting_points)
  if (points === undefined)
    return html`<h2>Accounting points</h2>
      <p class="empty" role="status">Asking the service…</p>`
  return html`
    <h2>Accounting points</h2>
    <section class="card" aria-label="In figures">
      <${Figures}
        all=${[
          { label: "accounting points", value: countText(points.relevant) },
          {
            label: `synced within ${durationText(points.within_seconds)}`,
            value: freshShare(points),
            note: countText(points.fresh)
          },
          { label: "later than that", value: countText(points.late) },
          { label: "never synced", value: countText(points.never_synced) }
        ]}
      />
    </section>
    <div class="columns">
      <${Ages} points=${points} />
      <${Lanes} points=${points} />
      <${AdapterCard} adapter=${points.adapter} />
      <${FailureCard} failures=${points.failures} />
    </div>
    <${PointLookup} />
  `
}
