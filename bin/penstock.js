#!/usr/bin/env node
/**
 * `penstock`: in a checkout the sources as they are, in an installed package what was built of them.
 *
 * Written so that any Node.js can read it, since what an old one says of newer syntax helps nobody.
 */
import { existsSync } from "node:fs"

const [major, minor] = process.versions.node.split(".").map(Number)
if (major < 22 || (major === 22 && minor < 19)) {
  console.error(`Penstock needs Node.js 22.19 or later; this is ${process.version}.`)
  process.exit(1)
}
const source = new URL("../scripts/penstock.ts", import.meta.url)
await import(existsSync(source) ? source.href : new URL("../dist/scripts/penstock.js", import.meta.url).href)
