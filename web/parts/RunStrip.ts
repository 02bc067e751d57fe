/** The last runs of a task as a strip, oldest first: tall where something was new, striped where it failed. */
import type { Run } from "../asking/shapes.ts"
import { html } from "./html.ts"
import { absoluteText } from "./Moment.ts"

type Kind = "changed" | "unchanged" | "failed"

const kindOf = ({ result }: Run): Kind =>
  result === "SUCCESS" ? "changed" : result === "UNCHANGED" ? "unchanged" : "failed"

const words: Readonly<Record<Kind, string>> = { changed: "with news", unchanged: "unchanged", failed: "failed" }

export const RunStrip = ({ runs }: { readonly runs: ReadonlyArray<Run> }) => {
  const counts = Map.groupBy(runs, kindOf)
  const told = (Object.keys(words) as ReadonlyArray<Kind>)
    .flatMap((kind) => (counts.has(kind) ? [`${counts.get(kind)?.length} ${words[kind]}`] : []))
    .join(", ")
  return runs.length === 0
    ? html`<span class="soft">never run</span>`
    : html`<span class="strip" role="img" aria-label=${`last ${runs.length} runs: ${told}`}>
        ${runs.map(
          (run, index) =>
            html`<i
              key=${index}
              data-run=${kindOf(run)}
              title=${`${run.result} · ${absoluteText(Date.parse(run.at))}`}
            ></i>`
        )}
      </span>`
}
