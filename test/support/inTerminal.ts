/**
 * A command in a real terminal of 80 by 24 (a pseudo-terminal, by util-linux's `script`), and what a person would see on it.
 */
import { Effect } from "effect"
import { spawn, spawnSync } from "node:child_process"
import { bareEnvironment, place } from "./runCommand.ts"

/** Whether this machine has a `script` that runs a command. */
export const hasTerminal: boolean = /util-linux/.test(spawnSync("script", ["--version"]).stdout?.toString() ?? "")

export interface Terminal {
  /** All that was written to it so far. */
  readonly written: () => string
  /** As a person would. */
  readonly pressCtrlC: Effect.Effect<void>
  readonly exitCode: Effect.Effect<number>
}

const quoted = (words: ReadonlyArray<string>) => words.map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(" ")

/** Starts it; it is killed with the scope. */
export const inTerminal = (
  env: Readonly<Record<string, string>>,
  args: ReadonlyArray<string>,
  { columns = 80, rows = 24 } = {}
) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const command = quoted([process.execPath, place("scripts/penstock.ts"), ...args])
      const child = spawn(
        "script",
        [
          "--quiet",
          "--return",
          "--flush",
          "--command",
          `stty cols ${columns} rows ${rows}; exec ${command}`,
          "/dev/null"
        ],
        {
          stdio: ["pipe", "pipe", "inherit"],
          env: {
            ...bareEnvironment,
            TERM: "xterm-256color",
            ...env
          }
        }
      )
      let written = ""
      child.stdout.on("data", (piece: Buffer) => {
        written += piece.toString()
      })
      const exitCode = Effect.callback<number>((resume) => {
        if (child.exitCode !== null) return resume(Effect.succeed(child.exitCode))
        child.once("close", (code) => resume(Effect.succeed(code ?? -1)))
      })
      const terminal: Terminal = {
        written: () => written,
        pressCtrlC: Effect.sync(() => void child.stdin.write("\u0003")),
        exitCode
      }
      return { terminal, kill: Effect.sync(() => void child.kill("SIGKILL")) }
    }),
    ({ kill }) => kill
  ).pipe(Effect.map(({ terminal }) => terminal))

/** A terminal that obeys as much as our screens use; an order that it does not know is an error. */
export const screenAfter = (written: string, { columns = 80, rows = 24 } = {}) => {
  const blank = () => Array.from({ length: rows }, () => "")
  const main = { lines: blank(), row: 0, column: 0 }
  let screen = main
  let scrolled = 0
  const put = (character: string) => {
    if (screen.column === columns) {
      screen.column = 0
      down()
    }
    const line = screen.lines[screen.row] ?? ""
    screen.lines[screen.row] =
      line.slice(0, screen.column).padEnd(screen.column) + character + line.slice(screen.column + 1)
    screen.column += 1
  }
  const down = () => {
    if (screen.row < rows - 1) return void (screen.row += 1)
    screen.lines.shift()
    screen.lines.push("")
    scrolled += 1
  }
  // oxlint-disable-next-line no-control-regex -- the orders to a terminal are made of them
  for (const [piece] of written.matchAll(/\u001b\[[?0-9;]*[A-Za-z]|[\s\S]/gu)) {
    if (piece === "\r") screen.column = 0
    else if (piece === "\n") down()
    else if (piece === "\u001b[?1049h") screen = { lines: blank(), row: 0, column: 0 }
    else if (piece === "\u001b[?1049l") screen = main
    else if (piece === "\u001b[H") [screen.row, screen.column] = [0, 0]
    else if (piece === "\u001b[2J") screen.lines = blank()
    else if (piece === "\u001b[K") screen.lines[screen.row] = (screen.lines[screen.row] ?? "").slice(0, screen.column)
    else if (piece === "\u001b[J") {
      screen.lines[screen.row] = (screen.lines[screen.row] ?? "").slice(0, screen.column)
      for (let row = screen.row + 1; row < rows; row++) screen.lines[row] = ""
    } else if (piece === "\u001b[?25h" || piece === "\u001b[?25l") continue
    else if (piece.startsWith("\u001b")) throw new Error(`an unknown order to the terminal: ${JSON.stringify(piece)}`)
    else put(piece)
  }
  return { lines: screen.lines.map((line) => line.trimEnd()), scrolled, isAlternate: screen !== main }
}
