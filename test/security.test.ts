/** SECURITY.md claims nothing that is not tested, by name. */
import { assert, describe, it } from "@effect/vitest"
import { existsSync, readFileSync } from "node:fs"
import { join, resolve } from "node:path"

const root = resolve(import.meta.dirname, "..")
const read = (file: string) => readFileSync(join(root, file), "utf8")

describe("the threat model", () => {
  const claims = [...read("SECURITY.md").matchAll(/^\| (.+?) +\| `(test\/[^`]+)`: (.+?) +\|$/gm)]

  it("has claims", () => {
    assert.isAbove(claims.length, 10)
  })

  it.each(claims.map(([, claim = "", file = "", name = ""]) => ({ claim, file, name })))(
    "has a test for: $claim",
    ({ file, name }) => {
      assert.isTrue(existsSync(join(root, file)), `${file} is not there`)
      assert.include(read(file), name, `${file} has no test of that name`)
    }
  )
})
