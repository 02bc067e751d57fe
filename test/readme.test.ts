/** The README says what the code does, briefly: its commands, its map of the rooms, and what it is built on. */
import { assert, describe, it } from "@effect/vitest"
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { dirname, join, resolve } from "node:path"
import manifest from "../package.json" with { type: "json" }
import { documentPage } from "./support/documentBlocks.ts"

const root = resolve(import.meta.dirname, "..")
const readme = readFileSync(join(root, "README.md"), "utf8")
const page = documentPage("README.md")

describe("the README", () => {
  it("is of at most 150 lines", () => {
    assert.isAtMost(readme.trimEnd().split("\n").length, 150)
  })

  it("names each dependency with its reason, and nothing that is none", () => {
    const section = readme.slice(readme.indexOf("## Built on"), readme.indexOf("## Licence"))
    const rows = [...section.matchAll(/^\| (`.+?`) \| (.{10,}) \|$/gm)]
    const named = rows.flatMap(([, cell = ""]) => [...cell.matchAll(/`([^`]+)`/g)].map(([, name = ""]) => name))
    assert.sameMembers(named, Object.keys(manifest.dependencies))
  })

  it("says where what used to be packages of Effect went", () => {
    for (const gone of ["@effect/platform", "@effect/schema"]) {
      assert.include(readme, `\`${gone}\``)
      assert.notProperty(manifest.dependencies, gone)
    }
  })

  it("names only npm scripts that exist", () => {
    const named = [...readme.matchAll(/npm run ([a-z:]+)/g)].map((match) => match[1] ?? "")
    assert.isNotEmpty(named)
    for (const name of named) assert.property(manifest.scripts, name)
  })

  it("starts with what continuous integration runs, in its order, from a fresh clone", () => {
    // `npm start` is started by test/docs/operators.test.ts.
    assert.strictEqual(page.take("start"), "npm ci && npm start")
    const typed = page.take("demo").split(" && ")
    const run = readFileSync(join(root, ".ci/run"), "utf8")
      .split("\n")
      .map((line) => line.trim())
    const places = typed.map((line) => run.findIndex((each) => each === line || each.startsWith(`${line} -- `)))
    assert.notInclude(places, -1)
    assert.deepStrictEqual(
      places,
      places.toSorted((a, b) => a - b)
    )
  })

  it("draws the two flows by the names of the topics", () => {
    const flows = page.take("two flows")
    for (const topic of ["hilltop_raw", "observations"]) assert.include(flows, `${topic} (topic)`)
  })

  it("maps rooms that exist, and all of them", () => {
    const map = readme.slice(readme.indexOf("## The map"), readme.indexOf("## Where to read on"))
    const rows = [...map.matchAll(/^\| (`[a-z/]+`(?:, `[a-z]+`)*) \|/gm)].map((row) => row[1] ?? "")
    const mapped = rows.flatMap((row) => {
      const [first = "", ...others] = row.replaceAll("`", "").split(", ")
      return [first, ...others.map((name) => `${dirname(first)}/${name}`)]
    })

    for (const room of mapped) assert.isTrue(existsSync(join(root, room)), room)
    for (const floor of ["src", "layers"]) {
      const there = readdirSync(join(root, floor), { withFileTypes: true }).filter((entry) => entry.isDirectory())
      assert.includeMembers(
        mapped,
        there.map(({ name }) => `${floor}/${name}`)
      )
    }
  })

  it("has no other blocks", () => {
    assert.deepStrictEqual(page.untaken(), [])
  })
})
