/** Text on a terminal, cut off at its edge. */
import { CliOutput } from "effect/cli"

/** As much of the text as fits into so many columns. */
export const fit = (text: string, columns: number): string => {
  if (text.length * 2 <= columns || CliOutput.displayWidth(text) <= columns) return text
  let width = 0
  let kept = ""
  for (const character of text) {
    width += CliOutput.displayWidth(character)
    if (width > columns - 1) break
    kept += character
  }
  return `${kept}…`
}
