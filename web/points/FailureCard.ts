/** Accounting points that fail, by kind, with a few of each to look at. */
import type { PointFailure } from "../asking/shapes.ts"
import { Card } from "../parts/Card.ts"
import { DataTable } from "../parts/DataTable.ts"
import { html } from "../parts/html.ts"
import { Moment } from "../parts/Moment.ts"
import { countText, several } from "../parts/numbers.ts"
import { choose } from "../shell/route.ts"

const kinds: Readonly<Record<string, string>> = {
  unavailable: "adapter not available",
  deadline: "adapter too slow",
  invalid: "answer not usable",
  refused: "adapter refuses",
  unknown: "adapter does not know it",
  store: "not stored here: a lock, or the database"
}

const Samples = ({ samples }: Pick<PointFailure, "samples">) =>
  html`${samples.map(
    ({ failures, gsrn, next_attempt_at }) =>
      html`<div key=${gsrn}>
        <button type="button" class="row-button mono" onClick=${() => choose({ gsrn })}>${gsrn}</button>
        <span class="small soft">${" "}${several(failures, "failure")}, again <${Moment} at=${next_attempt_at} /></span>
      </div>`
  )}`

export const FailureCard = ({ failures }: { readonly failures: ReadonlyArray<PointFailure> }) =>
  html`<${Card} title="Failures">
    <${DataTable}
      name="Failing accounting points by kind"
      rows=${failures}
      keyOf=${({ kind }: PointFailure) => kind}
      empty="None fails."
      columns=${[
        { head: "kind", cell: ({ kind }: PointFailure) => kinds[kind] ?? kind },
        { head: "how many", isNumber: true, cell: ({ points }: PointFailure) => countText(points) },
        { head: "some of them", cell: ({ samples }: PointFailure) => html`<${Samples} samples=${samples} />` }
      ]}
    />
  <//>`
