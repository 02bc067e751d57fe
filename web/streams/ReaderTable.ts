/** Who reads which topic, how far behind, and in which partitions. */
import type { Overview, ReadingGroup, Streams } from "../asking/shapes.ts"
import { overview } from "../live/live.ts"
import { useCell } from "../live/Cell.ts"
import { Badge } from "../parts/Badge.ts"
import { Bars } from "../parts/Bars.ts"
import { Card } from "../parts/Card.ts"
import { DataTable } from "../parts/DataTable.ts"
import { html } from "../parts/html.ts"
import { countText, durationOr, integer } from "../parts/numbers.ts"

/** `≈ 12` where markers of transactions may be among them. */
export const behindText = (groups: ReadonlyArray<ReadingGroup>): string =>
  countText({
    value: groups.reduce((sum, { records_behind }) => sum + records_behind, 0),
    is: groups.every(({ is_exact }) => is_exact) ? "exact" : "estimate"
  })

const Partitions = ({ group }: { readonly group: ReadingGroup }) => {
  const behind = group.partitions.filter((one) => one.behind > 0).sort((a, b) => b.behind - a.behind)
  return behind.length === 0
    ? html`<span class="soft">all ${integer(group.partitions.length)} read to their ends</span>`
    : html`<details>
        <summary>${integer(behind.length)} of ${integer(group.partitions.length)} behind</summary>
        <${Bars}
          all=${behind.map((one) => ({
            label: `partition ${one.partition}`,
            value: one.behind,
            text: `${integer(one.behind)} (${integer(one.next)} of ${integer(one.end)})`
          }))}
        />
      </details>`
}

/** Whether a record waits for too long is for the service to say; whose that is shows in the ages. */
const State = ({ group, longest }: { readonly group: ReadingGroup; readonly longest: number | undefined }) => {
  const waits = group.oldest_unread_seconds ?? 0
  return group.records_behind === 0
    ? html`<${Badge} tone="good" word="read" />`
    : longest !== undefined && waits >= longest
      ? html`<${Badge} tone="bad" word="stuck" />`
      : html`<${Badge} tone="good" word="reading" />`
}

const isLate = (known: Overview | undefined): boolean =>
  known?.flows.some(({ causes }) => causes.includes("records_waiting")) ?? false

export const ReaderTable = ({ streams }: { readonly streams: Streams }) => {
  const late = useCell(overview, isLate)
  const longest = late ? Math.max(...streams.groups.map((one) => one.oldest_unread_seconds ?? 0)) : undefined
  return html`<${Card} title="Readers" aside=${streams.kafka ? "topics on Kafka" : "topics in PostgreSQL"}>
    ${streams.problem === null ? null : html`<p class="said tone-late" role="alert">${streams.problem}</p>`}
    <${DataTable}
      name="Readers of the topics"
      rows=${streams.groups}
      keyOf=${({ group, topic }: ReadingGroup) => `${group} ${topic}`}
      empty="Nobody reads a topic yet."
      columns=${[
        { head: "topic", cell: ({ topic }: ReadingGroup) => html`<span class="mono">${topic}</span>` },
        { head: "reader", cell: ({ group }: ReadingGroup) => html`<span class="mono">${group}</span>` },
        { head: "state", cell: (group: ReadingGroup) => html`<${State} group=${group} longest=${longest} />` },
        { head: "records behind", isNumber: true, cell: (group: ReadingGroup) => behindText([group]) },
        {
          head: "oldest unread",
          isNumber: true,
          cell: ({ oldest_unread_seconds }: ReadingGroup) => durationOr(oldest_unread_seconds)
        },
        { head: "partitions", cell: (group: ReadingGroup) => html`<${Partitions} group=${group} />` }
      ]}
    />
  <//>`
}
