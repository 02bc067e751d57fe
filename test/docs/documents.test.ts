/**
 * What holds for every document: its links lead somewhere, its pages are found from the README, and each of its blocks has a
 * name, by which the page's own test takes it and runs it.
 */
import { assert, describe, it } from "@effect/vitest"
import { existsSync, globSync, readFileSync, statSync } from "node:fs"
import { dirname, join, relative } from "node:path"
import { documentBlocks } from "../support/documentBlocks.ts"
import { markdownPage, root } from "../support/markdownPage.ts"

const pages = globSync(["*.md", "docs/*.md", "examples/*/README.md", ".github/**/*.md"], { cwd: root }).toSorted()
const read = new Map(pages.map((page) => [page, markdownPage(page)] as const))

/** Within the project: not to another host, and not to the service that the reader has started. */
const isOurs = (url: string) => !/^[a-z][a-z0-9+.-]*:/i.test(url)

const faultOf = (page: string, url: string): string | undefined => {
  const [path = "", anchor] = decodeURIComponent(url).split("#")
  const target = path === "" ? page : relative(root, join(root, dirname(page), path))
  if (target.startsWith("..")) return "leads out of the project"
  if (!existsSync(join(root, target))) return "is not there"
  if (anchor === undefined || statSync(join(root, target)).isDirectory() || !target.endsWith(".md")) return undefined
  return (read.get(target) ?? markdownPage(target)).anchors.has(anchor) ? undefined : "has no such heading"
}

describe("every document", () => {
  it.each(pages)("%s links to what is there", (page) => {
    const faults = (read.get(page)?.links ?? [])
      .filter(({ url }) => isOurs(url))
      .flatMap(({ line, url }) => {
        const fault = faultOf(page, url)
        return fault === undefined ? [] : [`${page}:${line} ${url} ${fault}`]
      })
    assert.deepStrictEqual(faults, [])
  })

  it("is reached from the README", () => {
    const reached = new Set<string>()
    const follow = (page: string) => {
      if (reached.has(page)) return
      reached.add(page)
      for (const { url } of read.get(page)?.links ?? []) {
        if (!isOurs(url)) continue
        const target = relative(root, join(root, dirname(page), decodeURIComponent(url.split("#")[0] ?? "")))
        if (read.has(target)) follow(target)
      }
    }
    follow("README.md")
    const wanted = pages.filter((page) => !page.startsWith(".github/"))
    assert.deepStrictEqual(
      wanted.filter((page) => !reached.has(page)),
      []
    )
  })

  const withBlocks = pages
    .filter((page) => page === "README.md" || page.startsWith("docs/"))
    .filter((page) => documentBlocks(page).length > 0)

  const tests = globSync(["test/readme.test.ts", "test/docs/*.test.ts"], { cwd: root }).map((file) =>
    readFileSync(join(root, file), "utf8")
  )

  it.each(withBlocks)("%s has a name for each block, and a test that takes them all", (page) => {
    const blocks = documentBlocks(page)
    assert.deepStrictEqual(
      blocks.filter(({ name }) => name === "").map(({ line }) => `${page}:${line}`),
      []
    )
    const taking = tests.filter((source) => source.includes(`documentPage("${page}")`) && source.includes("untaken()"))
    assert.strictEqual(taking.length, 1, `the tests that take the blocks of ${page}`)
  })
})
