#!/usr/bin/env node
/**
 * `penstock`: in a checkout the sources as they are, in an installed package what was built of them.
 *
 * Written so that any Node.js can read it, since what an old one says of newer syntax helps nobody.
 */
import { existsSync } from "node:fs"
import module from "node:module"
import { fileURLToPath } from "node:url"

const [major, minor] = process.versions.node.split(".").map(Number)
if (major < 22 || (major === 22 && minor < 19)) {
  console.error(`Penstock needs Node.js 22.19 or later; this is ${process.version}.`)
  process.exit(1)
}
const source = new URL("../scripts/penstock.ts", import.meta.url)
const isCheckout = existsSync(source)
// What Node.js has made of the sources is kept for the next start, which else would take their types away and compile them again:
// that takes a third of a start, and 20 MB that it does not give back. Told to further processes by the environment.
if (isCheckout) {
  if (!process.env.NODE_COMPILE_CACHE) {
    process.env.NODE_COMPILE_CACHE = fileURLToPath(new URL("../node_modules/.cache/node", import.meta.url))
  }
  if (module.enableCompileCache) module.enableCompileCache(process.env.NODE_COMPILE_CACHE)
}
await import(isCheckout ? source.href : new URL("../dist/scripts/penstock.js", import.meta.url).href)
