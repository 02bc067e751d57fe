/** The README says what the code does: its table of settings, its commands, its map of the rooms. */
import { assert, describe, it } from "@effect/vitest"
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { dirname, join, resolve } from "node:path"
import { type Setting, Settings } from "../layers/Settings.ts"

const root = resolve(import.meta.dirname, "..")
const readme = readFileSync(join(root, "README.md"), "utf8")
const manifest: { readonly scripts: Readonly<Record<string, string>> } = JSON.parse(
  readFileSync(join(root, "package.json"), "utf8")
)

/** The table as the code would write it. */
const settingsTable = Object.entries<Setting<unknown>>(Settings)
  .map(([name, { fallback, meaning }]) => `| \`${name}\` | ${fallback} | ${meaning} |`)
  .join("\n")

describe("the README", () => {
  it("lists every setting with its default and meaning", () => {
    const table = /<!-- settings[^>]*-->\s*\| name[^\n]*\n\|[^\n]*\n([\s\S]*?)\n<!-- end of settings -->/.exec(
      readme
    )?.[1]
    assert.strictEqual(table, settingsTable)
  })

  it("names only npm scripts that exist", () => {
    const named = [...readme.matchAll(/npm run ([a-z:]+)/g)].map((match) => match[1] ?? "")
    assert.isNotEmpty(named)
    for (const name of named) assert.property(manifest.scripts, name)
  })

  it("maps rooms that exist, and all of them", () => {
    const map = readme.slice(readme.indexOf("## The map"))
    const rows = [...map.matchAll(/^\| (`[a-z/]+`(?:, `[a-z]+`)*) \|/gm)].map((row) => row[1] ?? "")
    const mapped = rows.flatMap((row) => {
      const [first = "", ...others] = row.replaceAll("`", "").split(", ")
      return [first, ...others.map((name) => `${dirname(first)}/${name}`)]
    })
    for (const room of mapped) assert.isTrue(existsSync(join(root, room)), room)
    for (const floor of ["src", "layers"]) {
      const rooms = readdirSync(join(root, floor), { withFileTypes: true }).filter((entry) => entry.isDirectory())
      assert.includeMembers(
        mapped,
        rooms.map(({ name }) => `${floor}/${name}`)
      )
    }
  })
})
