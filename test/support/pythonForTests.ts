/**
 * A Python that has a package, for tests of readers in that language: the one that `PENSTOCK_PYTHON` names, else the one that
 * `.ci/run` and docs/readers.md install.
 */
import { spawnSync } from "node:child_process"
import { resolve } from "node:path"

const root = resolve(import.meta.dirname, "../..")

export type PythonForTests = { readonly python: string } | { readonly missing: string }

export const pythonWith = (module: string): PythonForTests => {
  const python = process.env["PENSTOCK_PYTHON"] ?? resolve(root, ".penstock/python/bin/python")
  const { status } = spawnSync(python, ["-c", `import ${module}`], { stdio: "ignore" })
  return status === 0
    ? { python }
    : { missing: `${python} is no Python with ${module}: see docs/readers.md, or set PENSTOCK_PYTHON` }
}
