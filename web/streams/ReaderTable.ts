/** Who reads which topic, how far behind, and in which partitions. */
import type { ReadingGroup, Streams } from "../asking/shapes.ts"
import { Badge } from "../parts/Badge.ts"
import { Bars } from "../parts/Bars.ts"
import { Card } from "../parts/Card.ts"
import { DataTable } from "../parts/DataTable.ts"
import { html } from "../parts/html.ts"
import { durationOr, integer } from "../parts/numbers.ts"

/** As in the health check: what waits for longer is stuck. */
const bound = 600

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

const State = ({ group }: { readonly group: ReadingGroup }) => {
  const waits = group.oldest_unread_seconds ?? 0
  return group.records_behind === 0
    ? html`<${Badge} tone="good" word="read" />`
    : waits > bound
      ? html`<${Badge} tone="bad" word="stuck" />`
      : html`<${Badge} tone="good" word="reading" />`
}

export const ReaderTable = ({ streams }: { readonly streams: Streams }) =>
  html`<${Card} title="Readers" aside=${streams.kafka ? "topics on Kafka" : "topics in PostgreSQL"}>
    ${streams.problem === null ? null : html`<p class="said tone-late" role="alert">${streams.problem}</p>`}
    <${DataTable}
      name="Readers of the topics"
      rows=${streams.groups}
      keyOf=${({ group, topic }: ReadingGroup) => `${group} ${topic}`}
      empty="Nobody reads a topic yet."
      columns=${[
        { head: "topic", cell: ({ topic }: ReadingGroup) => html`<span class="mono">${topic}</span>` },
        { head: "reader", cell: ({ group }: ReadingGroup) => html`<span class="mono">${group}</span>` },
        { head: "state", cell: (group: ReadingGroup) => html`<${State} group=${group} />` },
        { head: "records behind", isNumber: true, cell: ({ records_behind }: ReadingGroup) => integer(records_behind) },
        {
          head: "oldest unread",
          isNumber: true,
          cell: ({ oldest_unread_seconds }: ReadingGroup) => durationOr(oldest_unread_seconds)
        },
        { head: "partitions", cell: (group: ReadingGroup) => html`<${Partitions} group=${group} />` }
      ]}
    />
  <//>`
