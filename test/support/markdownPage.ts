/** What a document of the project links to, and what in it can be linked to, as a reader of Markdown has it. */
import GithubSlugger from "github-slugger"
import type { Nodes } from "mdast"
import { fromMarkdown } from "mdast-util-from-markdown"
import { toString } from "mdast-util-to-string"
import { readFileSync } from "node:fs"
import { join, resolve } from "node:path"

export const root = resolve(import.meta.dirname, "../..")

interface Link {
  readonly url: string
  readonly line: number
}

const everyNode = (node: Nodes): ReadonlyArray<Nodes> => [
  node,
  ...("children" in node ? node.children.flatMap((child) => everyNode(child)) : [])
]

export interface MarkdownPage {
  readonly links: ReadonlyArray<Link>
  /** The anchors of its headings, as GitHub makes them. */
  readonly anchors: ReadonlySet<string>
}

/** `path` is relative to the project. */
export const markdownPage = (path: string): MarkdownPage => {
  const slugger = new GithubSlugger()
  const nodes = everyNode(fromMarkdown(readFileSync(join(root, path), "utf8")))
  return {
    links: nodes.flatMap((node) =>
      node.type === "link" || node.type === "image" || node.type === "definition"
        ? [{ url: node.url, line: node.position?.start.line ?? 0 }]
        : []
    ),
    anchors: new Set(nodes.flatMap((node) => (node.type === "heading" ? [slugger.slug(toString(node))] : [])))
  }
}
