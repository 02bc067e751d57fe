/**
 * The demo's screen in a terminal: the alternate one, redrawn in place, so that what was there before is there again at the end,
 * and nothing of the demo but its summary.
 */
import { Effect } from "effect"
import { CliOutput } from "effect/cli"
import { fit } from "../commands/fit.ts"

const enter = "\u001b[?1049h\u001b[?25l\u001b[2J"
const leave = "\u001b[?25h\u001b[?1049l"

/** A line of a screen: cut off at the edge, or whole over as many rows as it takes, since it is there to be copied. */
export interface ScreenLine {
  readonly text: string
  readonly whole?: boolean
}

/** Rows that a line takes on a screen so wide. */
export const rowsOf = ({ text, whole }: ScreenLine, columns: number): number =>
  whole === true ? Math.max(1, Math.ceil(CliOutput.displayWidth(text) / columns)) : 1

/** Draws the screens it is given until the scope closes. */
export const openScreen = Effect.gen(function* () {
  const out = process.stdout
  yield* Effect.acquireRelease(
    Effect.sync(() => out.write(enter)),
    () => Effect.sync(() => out.write(leave))
  )
  return (screenOf: (columns: number, rows: number) => ReadonlyArray<ScreenLine>) =>
    Effect.sync(() => {
      const [columns, rows] = [out.columns || 80, out.rows || 24]
      let left = rows
      const drawn: Array<string> = []
      for (const line of screenOf(columns, rows)) {
        left -= rowsOf(line, columns)
        if (left < 0) break
        drawn.push(line.whole === true ? line.text : fit(line.text, columns))
      }
      // A line that fills its last row leaves the cursor there: what would clear the rest of the row would clear its end.
      const cleared = drawn.map((text) =>
        CliOutput.displayWidth(text) % columns === 0 && text !== "" ? text : `${text}\u001b[K`
      )
      out.write(`\u001b[H${cleared.join("\r\n")}\u001b[J`)
    })
})
