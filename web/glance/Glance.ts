/** One sentence for each flow, with its cause, what to do, and the figures behind it. */
import type { Flow, Overview } from "../asking/shapes.ts"
import { overview } from "../live/live.ts"
import { useCell } from "../live/Cell.ts"
import { Badge, type Tone } from "../parts/Badge.ts"
import { type Figure, Figures } from "../parts/Figures.ts"
import { html } from "../parts/html.ts"
import { Moment } from "../parts/Moment.ts"
import { countText, durationText, integer, several } from "../parts/numbers.ts"
import { addressOf } from "../shell/route.ts"
import { type Section } from "../shell/sections.ts"
import { adviceFor } from "./advice.ts"
import { freshShare } from "../points/freshShare.ts"
import { behindText } from "../streams/ReaderTable.ts"

export const toneOf: Readonly<Record<Flow["colour"], Tone>> = { green: "good", amber: "late", red: "bad" }
const wordOf: Readonly<Record<Flow["colour"], string>> = { green: "all well", amber: "needs a look", red: "stuck" }

const titles: Readonly<Record<Flow["flow"], readonly [title: string, section: Section]>> = {
  accounting_points: ["Accounting points", "points"],
  hilltop: ["Hilltop", "hilltop"],
  streams: ["Streams", "streams"]
}

const figuresOf = ({ accounting_points, hilltop, observations, streams }: Overview, flow: Flow["flow"]) => {
  const all: Readonly<Record<Flow["flow"], ReadonlyArray<Figure>>> = {
    accounting_points: [
      { label: "accounting points", value: countText(accounting_points.relevant) },
      {
        label: `synced within ${durationText(accounting_points.within_seconds)}`,
        value: freshShare(accounting_points)
      },
      { label: "later than that", value: countText(accounting_points.late) },
      { label: "never synced", value: countText(accounting_points.never_synced) }
    ],
    hilltop: [
      { label: "servers", value: integer(hilltop.servers_total) },
      { label: "due now", value: countText(hilltop.due) },
      { label: "in flight", value: integer(hilltop.in_flight) },
      { label: "failing", value: countText(hilltop.failing) }
    ],
    streams: [
      { label: "records behind", value: behindText(streams.groups) },
      { label: "dead letters", value: integer(streams.dead_letters.reduce((sum, one) => sum + one.not_redriven, 0)) },
      { label: "sites", value: countText(observations.sites) },
      { label: "series", value: countText(observations.series) }
    ]
  }
  return all[flow]
}

const FlowCard = ({ flow, known }: { readonly flow: Flow; readonly known: Overview }) => {
  const [title, section] = titles[flow.flow]
  const tone = toneOf[flow.colour]
  const advice = adviceFor(flow.causes)
  return html`<article class=${`card flow tone-${tone}`} data-flow=${flow.flow} data-colour=${flow.colour}>
    <div class="card-head">
      <h3><a href=${addressOf(section)}>${title}</a></h3>
      <${Badge} tone=${tone} word=${wordOf[flow.colour]} />
    </div>
    <p class="sentence">${flow.sentence}</p>
    ${
      advice.length === 0
        ? null
        : html`<ul class="advice small soft" aria-label="What to do">
            ${advice.map((line) => html`<li key=${line}>${line}</li>`)}
          </ul>`
    }
    <${Figures} all=${figuresOf(known, flow.flow)} />
  </article>`
}

const Instances = ({ known }: { readonly known: Overview }) =>
  html`<p class="small soft">
    ${several(known.instances.length, "instance")} of version ${known.version}:${" "}
    ${known.instances
      .map(({ roles, running_seconds }) => `${roles.join(", ")} for ${durationText(running_seconds)}`)
      .join("; ")}.
    As of <${Moment} at=${known.at} />.
  </p>`

export const Glance = () => {
  const known = useCell(overview)
  return html`
    <h2>At a glance</h2>
    ${
      known === undefined
        ? html`<p class="empty" role="status">Asking the service…</p>`
        : html`${known.flows.map((flow) => html`<${FlowCard} key=${flow.flow} flow=${flow} known=${known} />`)}
            <${Instances} known=${known} />`
    }
  `
}
