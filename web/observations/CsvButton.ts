/** The part of the series that is looked at as a file. The key goes in a header, so the browser cannot fetch it by itself. */
import { askFor } from "../asking/ask.ts"
import type { Series } from "../asking/shapes.ts"
import { useAction } from "../asking/useAction.ts"
import { html } from "../parts/html.ts"
import { csvPath, type ValueRange } from "./valueRows.ts"

const fileName = (name: string): string => `${name.replaceAll(/[^\p{L}\p{N}]+/gu, "-").replaceAll(/^-|-$/g, "")}.csv`

export interface CsvButtonProps {
  readonly series: Series
  readonly range: ValueRange
  readonly name: string
}

export const CsvButton = ({ name, range, series }: CsvButtonProps) => {
  const action = useAction()
  const save = () =>
    action.run(async () => {
      const address = URL.createObjectURL(
        await (await askFor(csvPath(series.id, range), { accept: "text/csv" })).blob()
      )
      const link = document.createElement("a")
      link.href = address
      link.download = fileName(name)
      link.click()
      setTimeout(() => URL.revokeObjectURL(address), 60_000)
      return "Saved."
    })
  return html`<button type="button" disabled=${action.busy} onClick=${save}>
      ${action.busy ? "Fetching…" : "CSV"}
    </button>
    ${action.said?.good === false ? html`<span role="alert">${action.said.text}</span>` : null}`
}
