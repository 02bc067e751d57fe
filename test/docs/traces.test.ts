/**
 * The page of traces: its settings are settings, and its drawings name spans that there are. That they hang together as drawn is
 * tested in test/scripts/traces.test.ts.
 */
import { assert, describe, it } from "@effect/vitest"
import { globSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { Settings } from "../../layers/Settings.ts"
import { documentPage } from "../support/documentBlocks.ts"
import { root } from "../support/markdownPage.ts"

const page = documentPage("docs/traces.md")

const sources = globSync(["src/**/*.ts", "layers/**/*.ts"], { cwd: root })
  .map((file) => readFileSync(join(root, file), "utf8"))
  .join("\n")

describe("docs/traces.md", () => {
  it("shows settings that there are, and the command that reads them", () => {
    const lines = page.take("endpoint").split("\n")
    assert.strictEqual(lines.at(-1), "npm start")
    const names = lines.flatMap((line) => [...line.matchAll(/\b([A-Z_]+)=/g)].map(([, name = ""]) => name))
    assert.isNotEmpty(names)
    for (const name of names) assert.property(Settings, name)
  })

  it.each(["flow 1", "flow 2"])("draws the spans of %s by their names", (flow) => {
    const drawn = page.take(flow)
    const named = [
      ...drawn.matchAll(
        /\b([A-Z][A-Za-z]+\.[a-z][A-Za-z]+|synchronize\.[A-Za-z]+|runTask|readDocument|claim [A-Za-z]+ ?[a-z]*)/g
      )
    ]
    assert.isNotEmpty(named)
    for (const [, name = ""] of named) assert.include(sources, name.trim(), name)
  })

  it("has no other blocks", () => {
    assert.deepStrictEqual(page.untaken(), [])
  })
})
