/**
 * A checkout of a test's own: the project's files as they are here, in a temporary directory, so that what a document says to type
 * writes its `.env`, `.penstock` and dumps there. Its `node_modules` are the project's.
 */
import { Effect, FileSystem } from "effect"
import { cp, readdir, symlink } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"

const root = resolve(import.meta.dirname, "../..")

/** What is no part of a fresh checkout. */
const left = new Set(["node_modules", ".git", ".penstock", ".penstock-test", ".scratch", "coverage", "dist", ".env"])

const checkoutWith = (put: (from: string, to: string) => Promise<void>) =>
  Effect.gen(function* () {
    const files = yield* FileSystem.FileSystem
    const directory = yield* files.makeTempDirectoryScoped({ directory: tmpdir(), prefix: "penstock-checkout-" })
    yield* files.chmod(directory, 0o755)
    yield* Effect.promise(async () => {
      const names = (await readdir(root)).filter((name) => !left.has(name) && !name.endsWith(".tgz"))
      await Promise.all(names.map((name) => put(join(root, name), join(directory, name))))
      await symlink(join(root, "node_modules"), join(directory, "node_modules"))
    })
    return directory
  })

/**
 * Its directory, gone with the scope. Others may pass through it, as the embedded PostgreSQL must where we are root. Its files are
 * links, so that Node.js knows them, and has what it made of them before.
 */
export const ownCheckout = checkoutWith((from, to) => symlink(from, to))

/** The same with files of its own, to build from. */
export const copiedCheckout = checkoutWith((from, to) => cp(from, to, { recursive: true }))
