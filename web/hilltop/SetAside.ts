/** What rests and why; what was lost by its workers can be re-driven all at once. */
import { ask } from "../asking/ask.ts"
import type { Hilltop } from "../asking/shapes.ts"
import { useAction } from "../asking/useAction.ts"
import { useCell } from "../live/Cell.ts"
import { Card } from "../parts/Card.ts"
import { DataTable } from "../parts/DataTable.ts"
import { html } from "../parts/html.ts"
import { countText, several } from "../parts/numbers.ts"
import { Said } from "../parts/Said.ts"
import { session } from "../session/session.ts"

type Group = Hilltop["set_aside"][number]

export const setAsideReasons: Readonly<Record<string, string>> = {
  lost: "lost by its workers five times in a row",
  excluded: "its site is excluded",
  unwanted: "its measurement is wanted no more",
  divided: "asked for in smaller pieces instead",
  renamed: "its series answers under another name"
}

export const SetAside = ({ hilltop }: { readonly hilltop: Hilltop }) => {
  const isAdmin = useCell(session, ({ keys }) => keys?.admin !== undefined)
  const action = useAction()
  const redrive = () =>
    action.run(async () => {
      let redriven = 0
      for (let more = true; more;) {
        const done = await ask<{ readonly redriven: number; readonly more: boolean }>("hilltop/task/redrive", {
          as: "admin",
          method: "POST",
          body: { reason: "lost" }
        })
        redriven += done.redriven
        more = done.more
      }
      return `${several(redriven, "task")} re-driven.`
    })
  if (hilltop.set_aside.length === 0 && action.said === undefined) return null
  return html`<${Card} title="Set aside">
    <${DataTable}
      name="Tasks that are set aside, by reason"
      rows=${hilltop.set_aside}
      keyOf=${({ reason }: Group) => reason ?? ""}
      empty="Nothing is set aside."
      columns=${[
        {
          head: "reason",
          cell: ({ reason }: Group) => (reason === null ? "nobody said why" : (setAsideReasons[reason] ?? reason))
        },
        { head: "tasks", isNumber: true, cell: ({ tasks }: Group) => countText(tasks) },
        {
          head: "action",
          cell: ({ reason }: Group) =>
            reason === "lost" && isAdmin
              ? html`<button type="button" disabled=${action.busy} onClick=${redrive}>Re-drive all</button>`
              : html`<span class="small soft"
                  >${reason === "lost" ? "re-driven by an admin" : "goes on by itself when that ends"}</span
                >`
        }
      ]}
    />
    <${Said} said=${action.said} />
  <//>`
}
