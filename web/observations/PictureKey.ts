/** What the picture shows, in words and counts. */
import type { Plot } from "../asking/shapes.ts"
import { html } from "../parts/html.ts"
import { integer, several } from "../parts/numbers.ts"
import { censoredOf, correctedOf, gapsOf, thinnedText } from "./plotWords.ts"

/** Quality codes with the share of the picture that has each as its lowest. */
const qualitiesOf = ({ quality }: Plot): string => {
  const coded = quality.filter((code) => code !== null)
  return [...Map.groupBy(coded, (code) => code)]
    .sort(([a], [b]) => b - a)
    .map(([code, rows]) => `${code} (${Math.round((100 * rows.length) / coded.length)} %)`)
    .join(", ")
}

export const PictureKey = ({ plot }: { readonly plot: Plot }) => {
  const [gaps, censored, corrected, qualities] = [gapsOf(plot), censoredOf(plot), correctedOf(plot), qualitiesOf(plot)]
  return html`<ul class="key small soft" aria-label="What the picture shows">
    <li>${several(plot.values, "value")} in this part of the series. ${thinnedText(plot)} Times are NZST (+12:00).</li>
    ${gaps === 0 ? null : html`<li>▨ ${several(gaps, "gap")}, hatched: longer than values are usually apart.</li>`}
    ${censored === 0 ? null : html`<li>▽ ${integer(censored)} censored: the truth is below or above what could be measured.</li>`}
    ${corrected === 0 ? null : html`<li>□ ${integer(corrected)} corrected: another value was known before.</li>`}
    ${qualities === "" ? null : html`<li>Quality codes: ${qualities}.</li>`}
  </ul>`
}
