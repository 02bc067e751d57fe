/** SECURITY.md claims nothing that is not tested, by name. */
import { assert, describe, it } from "@effect/vitest"
import { existsSync, readFileSync } from "node:fs"
import { join, resolve } from "node:path"

const root = resolve(import.meta.dirname, "..")
const read = (file: string) => readFileSync(join(root, file), "utf8")

describe("the threat model", () => {
  const section = /^## Claims[^]*?(?=^## )/m.exec(read("SECURITY.md"))?.[0] ?? ""
  const claims = [...section.matchAll(/^\| (.+?) +\| `(test\/[^`]+)`: (.+?) +\|$/gm)]

  it("has claims, and none that names no test", () => {
    assert.isAbove(claims.length, 30)
    const rows = section.split("\n").filter((line) => line.startsWith("|"))
    assert.strictEqual(claims.length, rows.length - 2)
  })

  it.each(claims.map(([, claim = "", file = "", name = ""]) => ({ claim, file, name })))(
    "has a test for: $claim",
    ({ file, name }) => {
      assert.isTrue(existsSync(join(root, file)), `${file} is not there`)
      const title = name.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&")
      assert.match(read(file), new RegExp(`["\`]${title}`), `${file} has no test of that name`)
    }
  )
})
