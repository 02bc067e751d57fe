/** What the page has to say of itself: that it is not connected, that the database is away, and how old what it shows is. */
import { liveState, overview } from "../live/live.ts"
import { useCell } from "../live/Cell.ts"
import { html } from "../parts/html.ts"
import { Moment } from "../parts/Moment.ts"

export const Banner = () => {
  const { detail, nextTryAt, state } = useCell(liveState)
  const at = useCell(overview, (known) => known?.at)
  const shown = at === undefined ? null : html`<span>What is shown is of <${Moment} at=${at} />.</span>`
  const said =
    state === "away"
      ? html`<div data-tone="bad">
          <strong>✖ Not connected: ${detail}.</strong>
          ${nextTryAt === undefined ? null : html`<span>Tried again by itself.</span>`} ${shown}
        </div>`
      : state === "blind"
        ? html`<div data-tone="bad">
            <strong>✖ Database away: ${detail}.</strong>
            <span>The service goes on trying; so does this page.</span> ${shown}
          </div>`
        : null
  return html`<div class="banner" role="status">${said}</div>`
}
