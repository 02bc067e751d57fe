/**
 * The README's blocks and tables, run: its SQL on a database as `penstock migrate` leaves it, its commands and flags
 * against what the command line says of itself. What its `sh` blocks install and start is what `.ci/run` does.
 */
import { NodeServices } from "@effect/platform-node"
import { assert, layer } from "@effect/vitest"
import { Effect, FileSystem, Layer, Stream } from "effect"
import { ChildProcess } from "effect/process"
import { SqlClient } from "effect/sql"
import { fileURLToPath } from "node:url"
import { TestDatabase } from "../support/TestDatabase.ts"

const place = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url))

const readReadme = FileSystem.FileSystem.use((files) => files.readFileString(place("README.md")))

/** What stands between the fences of a language. */
const blocks = (readme: string, language: string): ReadonlyArray<string> =>
  [...readme.matchAll(new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\``, "gm"))].map((match) => match[1] ?? "")

/** The first cells of the table whose head begins with `head`, without the head and the line under it. */
const firstCells = (readme: string, head: string): ReadonlyArray<string> => {
  const lines = readme.slice(readme.indexOf(`| ${head}`)).split("\n")
  const end = lines.findIndex((line) => !line.startsWith("|"))
  return lines.slice(2, end).map((line) => line.split("|")[1] ?? "")
}

const codeSpans = (text: string): ReadonlyArray<string> =>
  [...text.matchAll(/`([^`]+)`/g)].map((match) => match[1] ?? "")

const help = (...command: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    const child = yield* ChildProcess.make(process.execPath, [place("scripts/penstock.ts"), ...command, "--help"], {
      env: { PATH: process.env["PATH"], NODE_COMPILE_CACHE: place("node_modules/.cache/node") }
    })
    return yield* Stream.mkString(Stream.decodeText(child.stdout))
  }).pipe(Effect.scoped)

/** The names under a heading of a help text. */
const namesUnder = (heading: string, text: string): ReadonlyArray<string> => {
  const section = text.slice(text.indexOf(`\n${heading}\n`) + heading.length + 2).split("\n\n")[0] ?? ""
  return [...section.matchAll(/^ {2}(\S+)/gm)].map((match) => (match[1] ?? "").replace(/,$/, ""))
}

const services = Layer.merge(TestDatabase.layer, NodeServices.layer)

layer(services, { excludeTestServices: true })("the README's blocks", (it) => {
  it.effect("hold SQL that runs as it stands", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const statements = blocks(yield* readReadme, "sql")
      assert.isNotEmpty(statements)
      for (const statement of statements) yield* sql.unsafe(statement)
    })
  )

  it.effect(
    "list every command, and none that does not exist",
    () =>
      Effect.gen(function* () {
        const root = namesUnder("SUBCOMMANDS", yield* help())
        const groups = yield* Effect.forEach(
          root,
          (name) => Effect.map(help(name), (text) => [name, text.includes("\nSUBCOMMANDS\n") ? text : ""] as const),
          { concurrency: 3 }
        )
        const existing = groups.flatMap(([name, text]) =>
          text === ""
            ? [name]
            : // One that has a command beneath it and does something itself.
              [...(name === "doctor" ? [name] : []), ...namesUnder("SUBCOMMANDS", text).map((sub) => `${name} ${sub}`)]
        )
        // In a row such as "`source add`, `list`" the later words are of the first one's group.
        const listed = firstCells(yield* readReadme, "`npx penstock").flatMap((cell) => {
          let group = ""
          return codeSpans(cell).map((span) => {
            const [first = "", second] = span.split(" ")
            if (second === undefined || second.startsWith("-")) return `${group} ${first}`.trim()
            group = first
            return `${first} ${second}`
          })
        })
        assert.deepStrictEqual([...listed].sort(), [...existing].sort())
      }),
    // Each command is started once for its help.
    180_000
  )

  it.effect("list the demo's flags", () =>
    Effect.gen(function* () {
      const listed = firstCells(yield* readReadme, "flag (`npm run demo").flatMap(codeSpans)
      const flags = namesUnder("FLAGS", yield* help("demo"))
      assert.deepStrictEqual(listed.map((flag) => flag.split(" ")[0]).sort(), [...flags].sort())
    })
  )
})
