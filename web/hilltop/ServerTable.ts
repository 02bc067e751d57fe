/** Every server: its state and why, its pace against its budget, how it answers, and what waits for it. */
import type { Hilltop, Server } from "../asking/shapes.ts"
import { Badge } from "../parts/Badge.ts"
import { Card } from "../parts/Card.ts"
import { DataTable } from "../parts/DataTable.ts"
import { html } from "../parts/html.ts"
import { Moment } from "../parts/Moment.ts"
import { countText, decimal, durationOr, integer, millis, several } from "../parts/numbers.ts"
import { serverStates } from "./serverState.ts"

const State = ({ server }: { readonly server: Server }) => {
  const [tone, word] = serverStates[server.state]
  return html`<${Badge} tone=${tone} word=${word} />
    ${server.reason === null ? null : html`<div class="small">${server.reason}</div>`}
    ${
      server.asked_again_at === null
        ? null
        : html`<div class="small soft">asked again <${Moment} at=${server.asked_again_at} /></div>`
    }`
}

const columns = [
  { head: "server", cell: ({ origin }: Server) => html`<span class="mono">${origin}</span>` },
  { head: "state", cell: (server: Server) => html`<${State} server=${server} />` },
  {
    head: "requests a second",
    isNumber: true,
    cell: ({ pace, requests_per_second }: Server) =>
      pace < 1
        ? `${decimal(pace * requests_per_second)} of ${decimal(requests_per_second)}`
        : decimal(requests_per_second)
  },
  {
    head: "in flight",
    isNumber: true,
    cell: ({ in_flight, max_concurrent }: Server) => `${integer(in_flight)} of ${integer(max_concurrent)}`
  },
  {
    head: "takes (usually)",
    isNumber: true,
    cell: ({ recent_millis, usual_millis }: Server) => `${millis(recent_millis)} (${millis(usual_millis)})`
  },
  { head: "due", isNumber: true, cell: ({ due }: Server) => countText(due) },
  { head: "oldest due", isNumber: true, cell: ({ late_seconds }: Server) => durationOr(late_seconds) },
  { head: "failing", isNumber: true, cell: ({ failing }: Server) => countText(failing) },
  { head: "tasks", isNumber: true, cell: ({ tasks }: Server) => countText(tasks) }
]

export const ServerTable = ({ hilltop }: { readonly hilltop: Hilltop }) =>
  html`<${Card}
    title="Servers"
    aside=${
      hilltop.servers_total > hilltop.servers.length
        ? `the worst ${hilltop.servers.length} of ${integer(hilltop.servers_total)}`
        : several(hilltop.servers_total, "server")
    }
  >
    <${DataTable}
      name="Servers"
      rows=${hilltop.servers}
      keyOf=${({ origin }: Server) => origin}
      empty="No server is asked. Add a source, and its server appears here."
      columns=${columns}
    />
  <//>`
