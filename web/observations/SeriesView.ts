/** One series: a part of it as a picture, as it is known now or was known at a moment, and the values under it. */
import { useState } from "preact/hooks"
import { withQuery } from "../asking/ask.ts"
import { useAnswer } from "../asking/useAnswer.ts"
import type { Plot, Series, SiteWithSeries } from "../asking/shapes.ts"
import { Card } from "../parts/Card.ts"
import { html } from "../parts/html.ts"
import { Failure } from "../parts/Said.ts"
import { AsOfSlider } from "./AsOfSlider.ts"
import { Corrections } from "./Corrections.ts"
import { CsvButton } from "./CsvButton.ts"
import { Picture } from "./Picture.ts"
import { PictureKey } from "./PictureKey.ts"
import { nameOf } from "./SeriesList.ts"
import { lastOf, type Span, spans, stamp } from "./span.ts"
import { ValueTable } from "./ValueTable.ts"

/** As many as a wide screen has pixels for, and no more. */
const points = 1200

const SpanButtons = ({
  chosen,
  choose,
  series
}: {
  readonly series: Series
  readonly chosen: Span | undefined
  readonly choose: (span: Span | undefined) => void
}) => {
  const last = series.last_observed_at
  const move = (by: number) => () => {
    if (chosen === undefined) return
    const length = chosen.to - chosen.from
    choose({ from: chosen.from + by * length, to: chosen.to + by * length })
  }
  return html`<div class="buttons" role="group" aria-label="Part of the series">
    ${
      last === null
        ? null
        : Object.entries(spans).map(([name, length]) => {
            const span = lastOf(last, length)
            const isChosen = chosen?.from === span.from && chosen.to === span.to
            return html`<button
              key=${name}
              type="button"
              aria-pressed=${String(isChosen)}
              onClick=${() => choose(span)}
            >
              ${name}
            </button>`
          })
    }
    <button type="button" aria-pressed=${String(chosen === undefined)} onClick=${() => choose(undefined)}>all</button>
    <button type="button" disabled=${chosen === undefined} onClick=${move(-0.5)} aria-label="Earlier">◀</button>
    <button type="button" disabled=${chosen === undefined} onClick=${move(0.5)} aria-label="Later">▶</button>
  </div>`
}

export const SeriesView = ({ series, site }: { readonly site: SiteWithSeries; readonly series: Series }) => {
  const last = series.last_observed_at
  const [span, setSpan] = useState<Span | undefined>(() =>
    last === null ? undefined : lastOf(last, spans["7 days"] ?? 0)
  )
  const [asOf, setAsOf] = useState<number>()
  const range = {
    from: span === undefined ? undefined : stamp(span.from),
    to: span === undefined ? undefined : stamp(span.to),
    as_of: asOf === undefined ? undefined : stamp(asOf)
  }
  const { asking, failure, value } = useAnswer<Plot>(
    withQuery(`observation/series/${series.id}/plot`, { ...range, points })
  )
  const title = `${nameOf(series)}${series.units === null ? "" : `, ${series.units}`}, ${site.name}`
  return html`<${Card} title=${title} aside=${html`<${CsvButton} series=${series} range=${range} name=${title} />`}>
    <${SpanButtons} series=${series} chosen=${span} choose=${setSpan} />
    <${Failure} failure=${failure} />
    ${
      value === undefined
        ? html`<p class="empty">Asking the service…</p>`
        : html`
            <div aria-busy=${String(asking)}>
              <${Picture} plot=${value} title=${title} choose=${setSpan} />
            </div>
            <${PictureKey} plot=${value} />
            <${AsOfSlider} plot=${value} asOf=${asOf} choose=${setAsOf} />
            <${ValueTable} series=${series} range=${range} title=${title} />
            ${value.corrected.some((count) => count > 0) ? html`<${Corrections} series=${series} range=${range} />` : null}
          `
    }
  <//>`
}
