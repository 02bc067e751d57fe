/** docs/chaos.md tells of every fault and every promise that there is. */
import { assert, it } from "@effect/vitest"
import { readFileSync } from "node:fs"
import { join, resolve } from "node:path"
import { faultNamed, faultNames } from "../../scripts/chaos/allFaults.ts"
import { promises } from "../../scripts/chaos/Checked.ts"
import { documentBlocks } from "../support/documentBlocks.ts"

const page = readFileSync(join(resolve(import.meta.dirname, "../.."), "docs/chaos.md"), "utf8")
const rows = [...page.matchAll(/^\| (.+?) \| (.+?) \|/gm)].map(
  ([, first = "", second = ""]) => [first, second] as const
)

it("tells of every fault, in its words", () => {
  const told = rows.filter(([first]) => /^`[a-z-]+`$/.test(first) && !first.startsWith("`--"))
  assert.deepStrictEqual(
    told,
    faultNames.map((name) => [`\`${name}\``, faultNamed(name).text] as const)
  )
})

it("tells of every promise, in its words", () => {
  const told = new Set(rows.map(([first]) => first))
  assert.deepStrictEqual(
    Object.values(promises).filter((promise) => !told.has(promise)),
    []
  )
})

it("has no block that would have to be tried", () => assert.deepStrictEqual(documentBlocks("docs/chaos.md"), []))
