/**
 * The fenced blocks of a document, for the test that tries them.
 *
 * A block is named by a comment on the line before it, which readers do not see: `<!-- try: first source -->`. The test
 * of a page takes its blocks by name and runs what they say; at its end `untaken` has to be empty, so that no block
 * stands in a document that nobody tried.
 */
import { readFileSync } from "node:fs"
import { join, resolve } from "node:path"

const root = resolve(import.meta.dirname, "../..")

export interface DocumentBlock {
  /** Empty where the document does not name it. */
  readonly name: string
  /** As written behind the fence: `sh`, `sql`, `json`, `ts`, `python`. */
  readonly language: string
  readonly text: string
  /** Where its fence stands, from 1. */
  readonly line: number
}

/** In the order of the document; `path` is relative to the project. */
export const documentBlocks = (path: string): ReadonlyArray<DocumentBlock> => {
  const lines = readFileSync(join(root, path), "utf8").split("\n")
  const blocks: Array<DocumentBlock> = []
  for (let at = 0; at < lines.length; at += 1) {
    const fence = /^(\s*)```(\w*)\s*$/.exec(lines[at] ?? "")
    if (fence === null) continue
    const end = lines.findIndex((line, index) => index > at && line.trim() === "```")
    if (end === -1) throw new Error(`${path}:${at + 1}: a block without an end`)
    blocks.push({
      name: /^\s*<!-- try: (.+?) -->\s*$/.exec(lines[at - 1] ?? "")?.[1] ?? "",
      language: fence[2] ?? "",
      text: lines
        .slice(at + 1, end)
        .map((line) => line.slice((fence[1] ?? "").length))
        .join("\n"),
      line: at + 1
    })
    at = end
  }
  return blocks
}

/** The blocks of one page, each to be taken by the test that tries it. */
export const documentPage = (path: string) => {
  const blocks = documentBlocks(path)
  const taken = new Set<DocumentBlock>()
  return {
    /** The text of the block of that name; a name that is not there, or is there twice, is an error. */
    take: (name: string): string => {
      const found = blocks.filter((block) => block.name === name)
      const [block] = found
      if (block === undefined || found.length > 1) throw new Error(`${path} has ${found.length} blocks "${name}"`)
      taken.add(block)
      return block.text
    },
    /** Those that no test took, as `docs/page.md:12`. */
    untaken: (): ReadonlyArray<string> =>
      blocks.filter((block) => !taken.has(block)).map(({ line }) => `${path}:${line}`)
  }
}
