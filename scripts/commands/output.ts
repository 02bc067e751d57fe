/**
 * What commands print: lines, tables with aligned columns, and one JSON object a line.
 *
 * Text from outside (names, addresses, documents) may hold line breaks and commands to the terminal; they become blanks
 * in tables. When whoever reads the output goes away (`| head`), the command ends as on Ctrl-C.
 */
import { Effect, Option, Stdio, Stream, Terminal } from "effect"
import { CliOutput } from "effect/cli"
import { fit } from "./fit.ts"
import { Json } from "./globalFlags.ts"
import { ProgressBar } from "./ProgressBar.ts"

/** A number is aligned to the right; `null` is shown as a dash. */
export type Cell = string | number | boolean | null

/** Prints to standard output, which is for results alone: the log of a command goes to standard error. */
export const print = Effect.fnUntraced(function* (...lines: ReadonlyArray<string>) {
  if (lines.length === 0) return
  yield* Option.match(yield* Effect.serviceOption(ProgressBar), {
    onNone: () => Effect.void,
    onSome: ({ hide }) => hide
  })
  const { stdout } = yield* Stdio.Stdio
  yield* Stream.run(Stream.make(`${lines.join("\n")}\n`), stdout()).pipe(
    Effect.catchTag("PlatformError", () => Effect.interrupt)
  )
})

export const printJson = (values: ReadonlyArray<unknown>) => print(...values.map((value) => JSON.stringify(value)))

/** What came of a command: lines for people, one object for programs. */
export const answer = Effect.fnUntraced(function* (lines: ReadonlyArray<string>, value: object) {
  yield* (yield* Json) ? printJson([value]) : print(...lines)
})

/** In one line, with nothing that a terminal would obey. */
// oxlint-disable-next-line no-control-regex -- exactly those are meant
export const oneLine = (text: string): string => text.replaceAll(/[\s\u0000-\u001f\u007f-\u009f]+/g, " ").trim()

/** The terminal's width; none when the output goes elsewhere. */
export const terminalColumns = Effect.flatMap(Terminal.Terminal, ({ columns }) => columns).pipe(
  Effect.map((columns) => (columns > 0 ? columns : undefined))
)

const textOf = (cell: Cell): string => {
  if (cell === null) return "–"
  return typeof cell === "boolean" ? (cell ? "yes" : "no") : oneLine(String(cell))
}

/** Columns as wide as their widest cell; what is wider than the terminal is cut off at its edge. */
export const printTable = Effect.fnUntraced(function* (
  head: ReadonlyArray<string>,
  rows: ReadonlyArray<ReadonlyArray<Cell>>
) {
  const columns = (yield* terminalColumns) ?? Number.POSITIVE_INFINITY
  const cells = rows.map((row) => row.map(textOf))
  const widths = head.map((name, column) =>
    [name, ...cells.map((row) => row[column] ?? "")].reduce(
      (most, text) => Math.max(most, CliOutput.displayWidth(text)),
      0
    )
  )
  const isNumber = head.map((_, column) => rows.length > 0 && rows.every((row) => typeof row[column] === "number"))
  const line = (texts: ReadonlyArray<string>) => {
    const aligned = texts.map((text, column) => {
      const blanks = " ".repeat((widths[column] ?? 0) - CliOutput.displayWidth(text))
      return isNumber[column] ? blanks + text : text + blanks
    })
    return fit(aligned.join("  ").trimEnd(), columns)
  }
  yield* print(line(head), ...cells.map(line))
})
