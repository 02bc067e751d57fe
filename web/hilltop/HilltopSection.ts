/** The crawl: which servers are asked and how, for which sources, and every request that waits. */
import { overview } from "../live/live.ts"
import { useCell } from "../live/Cell.ts"
import { html } from "../parts/html.ts"
import { ServerTable } from "./ServerTable.ts"
import { SetAside } from "./SetAside.ts"
import { SourceTable } from "./SourceTable.ts"
import { TaskFinder } from "./TaskFinder.ts"

export const HilltopSection = () => {
  const hilltop = useCell(overview, (known) => known?.hilltop)
  return html`
    <h2>Hilltop</h2>
    ${
      hilltop === undefined
        ? html`<p class="empty" role="status">Asking the service…</p>`
        : html`
            <${ServerTable} hilltop=${hilltop} />
            <${SourceTable} hilltop=${hilltop} />
            <${SetAside} hilltop=${hilltop} />
          `
    }
    <${TaskFinder} />
  `
}
