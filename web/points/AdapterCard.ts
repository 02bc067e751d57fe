/** How the adapter does: how often it is asked and may be, how it answers, and whether it is left alone. */
import type { AdapterState } from "../asking/shapes.ts"
import { Badge, type Tone } from "../parts/Badge.ts"
import { Card } from "../parts/Card.ts"
import { Figures } from "../parts/Figures.ts"
import { html } from "../parts/html.ts"
import { Moment } from "../parts/Moment.ts"
import { decimal, durationText, millis } from "../parts/numbers.ts"

const states: Readonly<Record<AdapterState["circuit"]["state"], readonly [tone: Tone, word: string, meaning: string]>> =
  {
    closed: ["good", "asked as usual", "Calls go through."],
    doubted: ["late", "in doubt", "Many fail in a row: others are asked, to tell whose failures they are."],
    open: [
      "bad",
      "left alone",
      "It fails for everybody. A few calls are let through now and then; the first answer ends it."
    ],
    unknown: ["rest", "not known", "No instance that syncs has told within half a minute."]
  }

export const AdapterCard = ({ adapter }: { readonly adapter: AdapterState }) => {
  if (!adapter.configured) {
    return html`<${Card} title="Adapter">
      <p><${Badge} tone="late" word="not set" /> Lookups are answered from what is here (ADAPTER_URL is not set).</p>
    <//>`
  }
  const [tone, word, meaning] = states[adapter.circuit.state]
  const { next_call_at, since } = adapter.circuit
  return html`<${Card} title="Adapter">
    <p>
      <${Badge} tone=${tone} word=${word} /> ${meaning}
      ${since === null ? null : html` Since <${Moment} at=${since} />.`}
      ${next_call_at === null ? null : html` The next call is let through <${Moment} at=${next_call_at} />.`}
    </p>
    <${Figures}
      all=${[
        {
          label: adapter.rate_limit_per_second === null ? "calls a second, no limit" : "calls a second, of the limit",
          value: decimal(adapter.calls_per_second),
          note: adapter.rate_limit_per_second === null ? undefined : `of ${decimal(adapter.rate_limit_per_second)}`
        },
        { label: "answered a second", value: decimal(adapter.answered_per_second) },
        { label: "failed a second", value: decimal(adapter.failed_per_second) },
        { label: "takes on average", value: millis(adapter.mean_millis) },
        { label: "slowest", value: millis(adapter.slowest_millis) }
      ]}
    />
    ${
      adapter.told_seconds_ago === null
        ? null
        : html`<p class="small soft">Told ${durationText(adapter.told_seconds_ago)} before this snapshot.</p>`
    }
  <//>`
}
