/** The list of licences is that of what is installed. */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { readFileSync } from "node:fs"
import { join, resolve } from "node:path"
import { licences } from "../scripts/licences.ts"

const read = (file: string) => readFileSync(join(resolve(import.meta.dirname, ".."), file), "utf8")

it.effect("docs/licences.md lists the licence of each package; `npm run licences` writes it anew", () =>
  Effect.map(licences(read("package-lock.json")), (page) => assert.strictEqual(read("docs/licences.md"), page))
)
