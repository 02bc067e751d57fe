/** The topics: how far behind their readers are, and the records that could not be used. */
import { overview } from "../live/live.ts"
import { useCell } from "../live/Cell.ts"
import { html } from "../parts/html.ts"
import { DeadLetters } from "./DeadLetters.ts"
import { ReaderTable } from "./ReaderTable.ts"

export const StreamsSection = () => {
  const streams = useCell(overview, (known) => known?.streams)
  return html`
    <h2>Streams</h2>
    ${
      streams === undefined
        ? html`<p class="empty" role="status">Asking the service…</p>`
        : html`<${ReaderTable} streams=${streams} /><${DeadLetters} streams=${streams} />`
    }
  `
}
