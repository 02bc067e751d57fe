/** How the copy of one accounting point stands. Persons are not shown: the copy has their internal ids and types only. */
import { useEffect, useState } from "preact/hooks"
import { useAnswer } from "../asking/useAnswer.ts"
import { Card } from "../parts/Card.ts"
import { Figures } from "../parts/Figures.ts"
import { html } from "../parts/html.ts"
import { Moment } from "../parts/Moment.ts"
import { integer } from "../parts/numbers.ts"
import { Failure } from "../parts/Said.ts"
import { choose, route } from "../shell/route.ts"
import { useCell } from "../live/Cell.ts"

interface Copy {
  readonly sync: {
    readonly version: number
    readonly last_synced_at: string | null
    readonly last_event_at: string | null
    readonly failures: number
    readonly next_attempt_at: string | null
  }
}

const isGsrn = (text: string): boolean => /^[1-9][0-9]{17}$/.test(text)

export const PointLookup = () => {
  const chosen = useCell(route, ({ query }) => query["gsrn"] ?? "")
  const [typed, setTyped] = useState(chosen)
  useEffect(() => setTyped(chosen), [chosen])
  const { failure, value } = useAnswer<Copy>(isGsrn(chosen) ? `accounting_point/${chosen}` : undefined)
  return html`<${Card} title="One accounting point">
    <form
      class="filters"
      onSubmit=${(event: Event) => {
        event.preventDefault()
        choose({ gsrn: typed.trim() })
      }}
    >
      <label class="grow">
        GSRN, 18 digits
        <input
          inputmode="numeric"
          maxlength="18"
          value=${typed}
          onInput=${(event: Event) => setTyped((event.target as HTMLInputElement).value)}
        />
      </label>
      <button>Look</button>
    </form>
    ${chosen !== "" && !isGsrn(chosen) ? html`<p class="said tone-late" role="alert">A GSRN has 18 digits, the first of them not 0.</p>` : null}
    <${Failure} failure=${chosen === "" ? undefined : failure} />
    ${
      value === undefined || failure !== undefined || chosen === ""
        ? null
        : html`<${Figures}
            all=${[
              { label: "last synced", value: html`<${Moment} at=${value.sync.last_synced_at} none="never" />` },
              { label: "last event", value: html`<${Moment} at=${value.sync.last_event_at} none="none" />` },
              { label: "version", value: integer(value.sync.version) },
              { label: "failures in a row", value: integer(value.sync.failures) },
              { label: "next attempt", value: html`<${Moment} at=${value.sync.next_attempt_at} none="as it comes" />` }
            ]}
          />`
    }
  <//>`
}
