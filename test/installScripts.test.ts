/** What runs when packages are installed is known: no dependency has an install script but those that are named. */
import { assert, it } from "@effect/vitest"
import { readFileSync } from "node:fs"
import { join, resolve } from "node:path"

interface Locked {
  readonly hasInstallScript?: boolean
  readonly resolved?: string
  readonly integrity?: string
  readonly link?: boolean
  readonly optional?: boolean
}

const root = resolve(import.meta.dirname, "..")
const read = (file: string): unknown => JSON.parse(readFileSync(join(root, file), "utf8"))
const { packages } = read("package-lock.json") as { readonly packages: Readonly<Record<string, Locked>> }
const { allowScripts } = read("package.json") as { readonly allowScripts: Readonly<Record<string, boolean>> }

const nameOf = (path: string) => path.slice(path.lastIndexOf("node_modules/") + "node_modules/".length)
const installed = Object.entries(packages).filter(([path]) => path !== "")

it("runs no install script but those of the packages that are allowed to by name", () => {
  const running = [
    ...new Set(installed.filter(([, one]) => one.hasInstallScript === true).map(([path]) => nameOf(path)))
  ]
  assert.isNotEmpty(running)
  assert.deepStrictEqual(
    running.filter((name) => allowScripts[name] !== true),
    []
  )
})

it("takes every package with the digest of what is expected, and from the registry of whoever installs", () => {
  // npm leaves out the digests of what is optional and of another machine.
  const isStrange = ({ integrity, link, optional, resolved }: Locked) =>
    link !== true &&
    (resolved !== undefined || (integrity === undefined ? optional !== true : !integrity.startsWith("sha512-")))
  assert.deepStrictEqual(
    installed.filter(([, one]) => isStrange(one)).map(([path]) => path),
    []
  )
})
