/** Adds a source: its server is asked first, so that one sees what it has before it is saved. */
import { useState } from "preact/hooks"
import { ask } from "../asking/ask.ts"
import type { Trial } from "../asking/shapes.ts"
import { useAction } from "../asking/useAction.ts"
import { Dialog } from "../parts/Dialog.ts"
import { html } from "../parts/html.ts"
import { Said } from "../parts/Said.ts"

interface Draft {
  readonly council: string
  readonly address: string
  readonly measurements: string
  readonly excluded: string
  readonly rate: string
  readonly concurrent: string
}

const empty: Draft = { council: "", address: "", measurements: "", excluded: "", rate: "", concurrent: "" }

const linesOf = (text: string): ReadonlyArray<string> =>
  text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "")

const registrationOf = (draft: Draft) => ({
  council_id: Number(draft.council),
  hts_url: draft.address.trim(),
  configuration: {
    measurementNames: linesOf(draft.measurements),
    ...(linesOf(draft.excluded).length === 0 ? {} : { excludedSitesNames: linesOf(draft.excluded) }),
    ...(draft.rate === "" ? {} : { requestsPerSecond: Number(draft.rate) }),
    ...(draft.concurrent === "" ? {} : { maxConcurrent: Number(draft.concurrent) })
  }
})

const TrialResult = ({ trial }: { readonly trial: Trial }) =>
  html`<div role="status" class=${`said tone-${trial.answers ? "good" : "bad"}`}>
    <p><strong>${trial.answers ? "It " : "It does not answer: "}${trial.sentence}.</strong></p>
    ${
      trial.measurements.length === 0 || !trial.answers
        ? null
        : html`<ul>
            ${trial.measurements.map(
              ({ name, problem, sites }) =>
                html`<li key=${name}>${name}: ${sites === null ? (problem ?? "not known") : `${sites} sites`}</li>`
            )}
          </ul>`
    }
  </div>`

export const AddSource = ({ close }: { readonly close: () => void }) => {
  const [draft, setDraft] = useState(empty)
  /** What was found, and of which draft: another draft was not tried. */
  const [trial, setTrial] = useState<{ readonly of: string; readonly found: Trial }>()
  const trying = useAction()
  const saving = useAction()
  const body = registrationOf(draft)
  const tried = trial?.of === JSON.stringify(body) ? trial.found : undefined
  const busy = trying.busy || saving.busy

  const set = (field: keyof Draft) => (event: Event) => {
    const { value } = event.target as HTMLInputElement
    setDraft((before) => ({ ...before, [field]: value }))
    saving.forget()
  }
  const tryIt = () =>
    trying.run(async () => {
      const found = await ask<Trial>("hilltop/source/try", { as: "admin", method: "POST", body })
      setTrial({ of: JSON.stringify(body), found })
      return ""
    })
  const save = () =>
    saving.run(async () => {
      const { id } = await ask<{ readonly id: number }>("hilltop/source", { as: "admin", method: "POST", body })
      return `Saved as source ${id}; it is being asked now.`
    })
  const submit = (event: Event) => {
    event.preventDefault()
    if (tried === undefined) tryIt()
    else save()
  }
  const isSaved = saving.said?.good === true

  return html`<${Dialog} title="Add a source" close=${close}>
    <form class="stack" onSubmit=${submit}>
      <div class="filters">
        <label>
          Council, a number
          <input type="number" min="0" max="2147483647" required value=${draft.council} onInput=${set("council")} />
        </label>
        <label class="grow">
          Address of the Hilltop file
          <input
            type="url"
            required
            placeholder="https://…/data.hts"
            value=${draft.address}
            onInput=${set("address")}
          />
        </label>
      </div>
      <label>
        Measurements, one a line, letter by letter as the server has them
        <textarea rows="3" required value=${draft.measurements} onInput=${set("measurements")}></textarea>
      </label>
      <label>
        Sites to leave out, one a line
        <textarea rows="2" value=${draft.excluded} onInput=${set("excluded")}></textarea>
      </label>
      <div class="filters">
        <label>
          Requests a second, if not the usual
          <input type="number" min="0.01" step="any" value=${draft.rate} onInput=${set("rate")} />
        </label>
        <label>
          Requests at a time, if not the usual
          <input type="number" min="1" step="1" value=${draft.concurrent} onInput=${set("concurrent")} />
        </label>
      </div>
      ${tried === undefined ? null : html`<${TrialResult} trial=${tried} />`}
      ${trying.said?.good === false ? html`<${Said} said=${trying.said} />` : null}
      <${Said} said=${saving.said} />
      <div class="buttons">
        ${
          isSaved
            ? html`<button type="button" class="main" onClick=${close}>Done</button>`
            : tried === undefined
              ? html`<button class="main" disabled=${busy}>${trying.busy ? "Asking the server…" : "Try it"}</button>`
              : html`<button class="main" disabled=${busy}>${tried.answers ? "Save" : "Save all the same"}</button>
                  <button type="button" disabled=${busy} onClick=${tryIt}>Try again</button>`
        }
      </div>
    </form>
  <//>`
}
