/** What a program logs, as `LEVEL text`. */
import { Effect, Layer, Logger } from "effect"

export const keepingLines = () => {
  const lines: Array<string> = []
  const logger = Logger.map(Logger.formatStructured, ({ level, message }) => {
    const parts = Array.isArray(message) ? message : [message]
    lines.push([level, ...parts.map((part) => (typeof part === "string" ? part : JSON.stringify(part)))].join(" "))
  })
  return { lines, layer: Logger.layer([logger]) }
}

/** Runs a program and tells what it logged. */
export const linesOf = <A, E, R>(program: Effect.Effect<A, E, R>) =>
  Effect.suspend(() => {
    const { layer, lines } = keepingLines()
    return Effect.as(Effect.provide(program, Layer.fresh(layer)), lines)
  })
