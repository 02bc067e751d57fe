/** One version, wherever it stands. */
import { assert, describe, it } from "@effect/vitest"
import { globSync, readFileSync } from "node:fs"
import { join, resolve } from "node:path"
import { userAgent, version as ofLayers } from "../layers/version.ts"
import { version as ofApi } from "../src/api/Api.ts"

const root = resolve(import.meta.dirname, "..")
const read = (file: string) => readFileSync(join(root, file), "utf8")
const { version } = JSON.parse(read("package.json")) as { readonly version: string }

describe("the version", () => {
  it("is that of package.json in the lock file, the API's description and what the service calls itself", () => {
    const lock = JSON.parse(read("package-lock.json")) as {
      readonly version: string
      readonly packages: Readonly<Record<string, { readonly version?: string }>>
    }
    assert.deepStrictEqual([lock.version, lock.packages[""]?.version], [version, version])
    assert.deepStrictEqual([ofApi, ofLayers, userAgent], [version, version, `penstock/${version}`])
  })

  it("is that of the tarball, wherever examples and documents name it", () => {
    const files = globSync(["examples/*/package.json", "examples/*/README.md", "docs/*.md", "*.md"], { cwd: root })
    const named = files.flatMap((file) =>
      [...read(file).matchAll(/penstock-(\d+\.\d+\.\d+)\.tgz/g)].map(([, tarball]) => [file, tarball] as const)
    )
    assert.isNotEmpty(named)
    assert.deepStrictEqual(
      named.filter(([, tarball]) => tarball !== version),
      []
    )
  })

  it("is the latest that the changelog tells of, beneath what is not released yet", () => {
    const headings = [...read("CHANGELOG.md").matchAll(/^## \[([^\]]+)\](.*)$/gm)].map(([, name, date]) => [name, date])
    assert.strictEqual(headings[0]?.[0], "Unreleased")
    assert.strictEqual(headings[1]?.[0], version)
    assert.match(headings[1]?.[1] ?? "", /^ - \d{4}-\d\d-\d\d$/)
  })
})
