/** Shows what was known when: from the first to the last moment at which what is known of this part changed. */
import { useEffect, useState } from "preact/hooks"
import type { Plot } from "../asking/shapes.ts"
import { html } from "../parts/html.ts"
import { absoluteText } from "../parts/Moment.ts"

const steps = 1000
/** Milliseconds that the slider rests before the service is asked. */
const rest = 150

export interface AsOfSliderProps {
  readonly plot: Plot
  readonly asOf: number | undefined
  readonly choose: (asOf: number | undefined) => void
}

export const AsOfSlider = ({ asOf, choose, plot }: AsOfSliderProps) => {
  const [first, last] = [Date.parse(plot.known_from ?? ""), Date.parse(plot.known_to ?? "")]
  const [step, setStep] = useState(steps)
  useEffect(() => {
    if (asOf === undefined) setStep(steps)
  }, [asOf])
  useEffect(() => {
    const wanted = step === steps ? undefined : Math.round(first + ((last - first) * step) / steps)
    if (wanted === asOf || !Number.isFinite(first)) return undefined
    const timer = setTimeout(() => choose(wanted), rest)
    return () => clearTimeout(timer)
  }, [step])
  if (!Number.isFinite(first) || !Number.isFinite(last)) return null
  const shown = step === steps ? "now" : absoluteText(first + ((last - first) * step) / steps)
  return html`<div class="slider">
    <label for="as-of">As it was known</label>
    <input
      id="as-of"
      type="range"
      min="0"
      max=${steps}
      value=${step}
      aria-valuetext=${shown}
      onInput=${(event: Event) => setStep(Number((event.target as HTMLInputElement).value))}
    />
    <span class="small">
      ${step === steps ? "now" : html`at <strong>${shown}</strong>`}
      ${step === steps ? null : html`<button type="button" class="quiet" onClick=${() => setStep(steps)}>Now</button>`}
    </span>
  </div>`
}
